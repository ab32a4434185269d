// One path through one bed: batches of one kind of packet, timed. A veth hands a packet on within the call that sends it, so
// that the whole way to the receiver's socket is in it. `each` packet is sent and taken by calls of its own, as programs do;
// or a whole batch is sent by one call, and taken when the clock has stopped: what is left is the kernel's path.

import {
  answerOne,
  closeSocket,
  datagramSocket,
  exchange,
  listener,
  MessageVector,
  rawSocket,
  receiveOne,
  socketAddress,
  streamSocket,
  within,
} from '../../support/syscalls.ts';
import {
  ALLOWED_PORT,
  CLIENT,
  DENIED_PORT,
  FAR,
  NEAR,
  OUTSIDE_ADDRESS,
  SPOOFED_ADDRESS,
  TCP_PORTS,
} from '../scales.ts';
import { DATAGRAM_BYTES, encodeDatagram, setSourcePort } from './packet.ts';
import type { BedTask, Calls, Kind, Topology } from './protocol.ts';

const BATCH = 64;
const CONNECTIONS = 16;
const LIVE_PORT = 1_023;
const FIRST_PORT = 1_024;
const LAST_PORT = 65_000;
/** What is under way on a busy core arrives within so many looks. */
const MOST_LOOKS = 2_000;

export interface Batch {
  readonly ns: number;
  readonly count: number;
  /** Packets that came and should not have, or did not come and should have. */
  readonly wrong: number;
  /** The receiver had all of them when the call returned: the time has their whole way in it. */
  readonly isWhole: boolean;
}

export interface Path {
  /** Before batches are timed, and after the host has forgotten its connections. */
  prime(): void;
  /** `share` of a whole batch, for a path on which a packet takes long. */
  batch(share: number): Batch;
  close(): void;
}

export function pathOf(bed: BedTask, kind: Kind, topology: Topology, calls: Calls): Path {
  if (kind === 'connections') return new ConnectionPath(bed, topology);
  return new DatagramPath(bed, kind, topology, calls);
}

class DatagramPath implements Path {
  readonly #receiver: number;
  readonly #raw: number;
  readonly #live: number;
  readonly #packets: MessageVector;
  readonly #drain = new MessageVector(BATCH, 128);
  readonly #isLive: boolean;
  readonly #isOneFlow: boolean;
  readonly #isDenied: boolean;
  readonly #calls: Calls;
  #nextPort = FIRST_PORT;

  constructor(bed: BedTask, kind: Exclude<Kind, 'connections'>, topology: Topology, calls: Calls) {
    this.#calls = calls;
    const isNat = kind.startsWith('nat');
    const { namespaces } = bed;
    const near = topology === 'one host' ? namespaces.near : namespaces.far;
    const netns = isNat ? namespaces.outside : near;
    const destination = isNat ? OUTSIDE_ADDRESS : peerAddress(topology);
    const isForDenied = kind.startsWith('denied');
    const destinationPort = isForDenied ? DENIED_PORT : ALLOWED_PORT;
    const source = kind === 'spoofed' ? SPOOFED_ADDRESS : CLIENT.address;
    this.#isLive = kind.endsWith('live');
    this.#isOneFlow = this.#isLive || kind === 'denied again';
    this.#isDenied = (isForDenied && bed.isPoliced) || (kind === 'spoofed' && bed.stopsSpoofing);
    this.#receiver = within(netns, () => datagramSocket('0.0.0.0', destinationPort));
    this.#live = within(namespaces.client, () => datagramSocket('0.0.0.0', LIVE_PORT));
    this.#raw = within(namespaces.client, rawSocket);
    this.#packets = new MessageVector(BATCH, DATAGRAM_BYTES, socketAddress(destination, 0));
    const datagram = encodeDatagram({ source, destination, sourcePort: LIVE_PORT, destinationPort });
    for (let index = 0; index < BATCH; index++) this.#packets.payload(index).set(datagram);
  }

  prime(): void {
    if (!this.#isLive) return;
    this.#packets.send(this.#raw, 1);
    for (let looks = 0; looks < MOST_LOOKS && !answerOne(this.#receiver); looks++);
    this.#packets.send(this.#raw, 1);
    this.#receive(1);
  }

  batch(share: number): Batch {
    const count = Math.max(4, Math.round(BATCH * share));
    if (!this.#isOneFlow) this.#renew(count);
    const expected = this.#isDenied ? 0 : count;
    const startedAt = process.hrtime.bigint();
    const taken = this.#calls === 'each' ? this.#exchange(count) : this.#send(count);
    const ns = Number(process.hrtime.bigint() - startedAt);
    const atOnce = taken + this.#drain.receive(this.#receiver);
    const received = atOnce < expected ? atOnce + this.#receive(expected - atOnce) : atOnce;
    return { ns, count, wrong: Math.abs(received - expected), isWhole: atOnce === expected };
  }

  close(): void {
    for (const fd of [this.#receiver, this.#raw, this.#live]) closeSocket(fd);
  }

  #send(count: number): number {
    const sent = this.#packets.send(this.#raw, count);
    if (sent !== count) throw new Error(`${sent} of ${count} packets could be sent`);
    return 0;
  }

  /** How many were taken. */
  #exchange(count: number): number {
    let taken = 0;
    for (let index = 0; index < count; index++) {
      if (!this.#packets.sendOne(this.#raw, index)) throw new Error('a packet could not be sent');
      if (receiveOne(this.#receiver)) taken++;
    }
    return taken;
  }

  #renew(count: number): void {
    for (let index = 0; index < count; index++) {
      setSourcePort(this.#packets.payload(index), this.#nextPort);
      this.#nextPort = this.#nextPort === LAST_PORT ? FIRST_PORT : this.#nextPort + 1;
    }
  }

  #receive(expected: number): number {
    let received = 0;
    for (let looks = 0; looks < MOST_LOOKS && received < expected; looks++)
      received += this.#drain.receive(this.#receiver);
    return received;
  }
}

class ConnectionPath implements Path {
  readonly #client: string;
  readonly #listening: number;
  readonly #to: Buffer;

  constructor({ namespaces }: BedTask, topology: Topology) {
    const port = TCP_PORTS[0];
    this.#client = namespaces.client;
    const netns = topology === 'one host' ? namespaces.near : namespaces.far;
    this.#listening = within(netns, () => listener('0.0.0.0', port));
    this.#to = socketAddress(peerAddress(topology), port);
  }

  prime(): void {}

  batch(share: number): Batch {
    const count = Math.max(1, Math.round(CONNECTIONS * share));
    const clients = within(this.#client, () => Array.from({ length: count }, streamSocket));
    const startedAt = process.hrtime.bigint();
    for (const client of clients) exchange(client, this.#listening, this.#to);
    return { ns: Number(process.hrtime.bigint() - startedAt), count, wrong: 0, isWhole: true };
  }

  close(): void {
    closeSocket(this.#listening);
  }
}

function peerAddress(topology: Topology): string {
  return topology === 'one host' ? NEAR.address : FAR.address;
}
