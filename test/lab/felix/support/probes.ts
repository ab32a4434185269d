// Probes with a verdict: a TCP connection over which the listener answers, a datagram that it answers, an echo request. Allowed is
// proved by the answer, denied by the count that the kernel keeps of what it denied; running out of time is neither.

import { setTimeout as delay } from 'node:timers/promises';
import type { Namespace } from './namespaces.ts';
import { IpProtocol, SocketType, sys } from './syscalls.ts';

export type ProbeProtocol = 'TCP' | 'UDP' | 'ICMP';

export interface Probe {
  readonly name: string;
  readonly from: Namespace;
  readonly fromAddress: string;
  readonly to: string;
  readonly protocol: ProbeProtocol;
  /** Absent for ICMP. */
  readonly port?: number;
}

export type ProbeVerdict = 'allowed' | 'denied' | 'undecided';

/** Denials so far of this source, destination, protocol number and port (0 without ports), in all hosts together. */
export type DenialCount = (source: string, destination: string, protocol: number, port: number) => number;

const QUESTION = Buffer.from('calico?');
const ECONNREFUSED = 111;

/** Listeners of one namespace: they answer whatever comes. */
export class Servers {
  readonly #tcp: number[] = [];
  readonly #udp: number[] = [];
  readonly #connections: number[] = [];

  add(namespace: Namespace, address: string, protocol: 'TCP' | 'UDP', port: number): void {
    const isTcp = protocol === 'TCP';
    const fd = namespace.inside(() =>
      sys.socket(
        isTcp ? SocketType.stream : SocketType.datagram,
        isTcp ? IpProtocol.tcp : IpProtocol.udp,
        address,
        port,
      ),
    );
    if (isTcp) sys.listen(fd);
    (isTcp ? this.#tcp : this.#udp).push(fd);
  }

  /** Takes connections and answers what has come; called in a loop by whoever waits for an answer. */
  serve(): void {
    for (const fd of this.#tcp) {
      for (let taken = sys.accept(fd); taken !== undefined; taken = sys.accept(fd))
        this.#connections.push(taken);
    }
    for (const fd of this.#connections) {
      for (let got = sys.receive(fd); got !== undefined && got.data.length > 0; got = sys.receive(fd))
        sys.send(fd, got.data);
    }
    for (const fd of this.#udp) {
      for (let got = sys.receive(fd); got !== undefined; got = sys.receive(fd))
        sys.replyTo(fd, got.data, got.from);
    }
  }

  /** Ends what was accepted so far, so that long runs do not gather sockets. */
  dropConnections(): void {
    for (const fd of this.#connections.splice(0)) sys.close(fd);
  }

  close(): void {
    this.dropConnections();
    for (const fd of [...this.#tcp.splice(0), ...this.#udp.splice(0)]) sys.close(fd);
  }
}

/** A client's end of a flow, kept open: what a live flow is made of. */
export class Client {
  readonly #fd: number;
  readonly #probe: Probe;

  constructor(probe: Probe) {
    this.#probe = probe;
    this.#fd = probe.from.inside(() => openSocket(probe));
  }

  /** Sends a question. TCP sends nothing before it is connected: called again. */
  ask(): void {
    const { protocol, to, port = 0 } = this.#probe;
    if (protocol === 'TCP') sys.send(this.#fd, QUESTION);
    else if (protocol === 'UDP') sys.sendTo(this.#fd, QUESTION, to, port);
    else sys.sendTo(this.#fd, echoRequest(to), to, 0);
  }

  get hasAnswer(): boolean {
    const got = sys.receive(this.#fd);
    return got !== undefined && got.data.length > 0;
  }

  /** Whether an ICMP error or a reset has ended it since the last call; of datagrams and echo requests none is told of. */
  get isRefused(): boolean {
    return sys.socketError(this.#fd) === ECONNREFUSED;
  }

  /** Forgets answers that have come so far. */
  drain(): void {
    for (
      let got = sys.receive(this.#fd);
      got !== undefined && got.data.length > 0;
      got = sys.receive(this.#fd)
    );
  }

  close(): void {
    sys.close(this.#fd);
  }
}

/** Whether a question that is asked now is answered; what has come to those before does not count. */
export function isAnswering(client: Client, servers: Servers): boolean {
  client.drain();
  client.ask();
  servers.serve();
  return client.hasAnswer;
}

interface OpenProbe {
  readonly probe: Probe;
  readonly client: Client;
  verdict: ProbeVerdict;
}

/** A kernel may lose a datagram (a neighbour looked up anew, a full queue); it is neither answered nor counted as denied then. */
const ASK_AGAIN_MS = 1_000;

/**
 * All probes at once; each has until the deadline. `readDenials` gives a fresh count. A datagram of which neither an answer nor a
 * denial was seen is sent once more, as TCP does by itself, and said so: one lost in many thousands is the machine's, not policy's.
 */
export async function probeAll(
  probes: readonly Probe[],
  servers: Servers,
  readDenials: () => Promise<DenialCount>,
  deadlineMs = 10_000,
): Promise<readonly ProbeVerdict[]> {
  const before = await readDenials();
  const flows = probes.map(
    (probe): OpenProbe => ({ probe, client: new Client(probe), verdict: 'undecided' }),
  );
  const startedAt = Date.now();
  const deadline = startedAt + deadlineMs;
  const askDatagrams = (some: readonly OpenProbe[]): readonly OpenProbe[] => {
    const datagrams = some.filter(({ probe }) => probe.protocol !== 'TCP');
    for (const { client } of datagrams) client.ask();
    return datagrams;
  };
  askDatagrams(flows);
  let isAskedAgain = false;
  const undecided = (): readonly OpenProbe[] => flows.filter(({ verdict }) => verdict === 'undecided');
  try {
    while (undecided().length > 0 && Date.now() < deadline) {
      settleAllowed(undecided(), servers);
      if (undecided().length === 0) break;
      settleDenied(undecided(), before, await readDenials());
      if (!isAskedAgain && Date.now() > startedAt + ASK_AGAIN_MS) {
        isAskedAgain = true;
        for (const { probe } of askDatagrams(undecided()))
          process.stdout.write(`lost, sent again: ${probe.name}\n`);
      }
      if (undecided().length > 0) await delay(5);
    }
  } finally {
    for (const { client } of flows) client.close();
    servers.dropConnections();
  }
  return flows.map(({ verdict }) => verdict);
}

/** Everything on the way is synchronous in the kernel: a few rounds settle all that is allowed. */
function settleAllowed(flows: readonly OpenProbe[], servers: Servers): void {
  for (let round = 0; round < 4; round++) {
    servers.serve();
    for (const flow of flows) {
      if (flow.verdict !== 'undecided') continue;
      if (flow.probe.protocol === 'TCP') flow.client.ask();
      if (flow.client.hasAnswer) flow.verdict = 'allowed';
    }
  }
}

function settleDenied(flows: readonly OpenProbe[], before: DenialCount, now: DenialCount): void {
  for (const flow of flows) {
    const key = denialKey(flow.probe);
    // A count that the kernel kept from long ago may have expired and begun anew.
    const count = now(...key);
    if (count > 0 && count !== before(...key)) flow.verdict = 'denied';
  }
}

function denialKey(probe: Probe): readonly [string, string, number, number] {
  const isV6 = probe.to.includes(':');
  const protocol = {
    TCP: IpProtocol.tcp,
    UDP: IpProtocol.udp,
    ICMP: isV6 ? IpProtocol.icmpv6 : IpProtocol.icmp,
  }[probe.protocol];
  return [probe.fromAddress, probe.to, protocol, probe.port ?? 0];
}

function openSocket(probe: Probe): number {
  const { protocol, fromAddress, to, port = 0 } = probe;
  if (protocol === 'TCP') {
    const fd = sys.socket(SocketType.stream, IpProtocol.tcp, fromAddress, 0);
    sys.connect(fd, to, port);
    return fd;
  }
  if (protocol === 'UDP') return sys.socket(SocketType.datagram, IpProtocol.udp, fromAddress, 0);
  const icmp = to.includes(':') ? IpProtocol.icmpv6 : IpProtocol.icmp;
  return sys.socket(SocketType.datagram, icmp, fromAddress, 0);
}

function echoRequest(to: string): Buffer {
  const request = Buffer.alloc(16);
  request[0] = to.includes(':') ? 128 : 8;
  return request;
}
