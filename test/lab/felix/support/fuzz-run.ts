// Plays steps of the differential fuzzer: loads each step's cluster, sends its packets, and compares what the kernel did and wrote down
// with the evaluator (test/support/policy-fuzz/expectation.ts).
//
// Checked of each new flow: it arrived or not, as the evaluator says; a denial is counted once, on the host that decides, under the
// deciding rule's id; a flow that passes is stamped with the deciding rule's id and the current generation on each host on its way.
// Of a packet of a flow that was there before the change: its verdict, and its reason if it is denied in its original direction.

import { Mark } from '../../../../agents/felix/nftables/render/scratch.ts';
import { resolveCluster } from '../../../../lib/policy/cluster.ts';
import {
  type Expectation,
  expectationOf,
  hasUntrackedPolicy,
  textOfMeaning,
} from '../../../support/policy-fuzz/expectation.ts';
import type { FuzzPacket } from '../../../support/policy-fuzz/packets.ts';
import { SecondOpinion } from '../../../support/policy-fuzz/second-opinion.ts';
import type { FuzzStep } from '../../../support/policy-fuzz/steps.ts';
import type { FuzzBed } from './fuzz-bed.ts';
import { conntrackMarks, flushConntrack } from './kernel-records.ts';
import {
  type DenialHits,
  type RoundResult,
  type SentPacket,
  sendRound,
  UncertainRecords,
} from './packet-round.ts';
import { StagedComparison } from './staged-comparison.ts';
import type { TestHost } from './test-host.ts';

/** What kernel and evaluator say differently of one packet. */
export interface Disagreement {
  readonly packet: FuzzPacket;
  /** `first` of its flow, or one of a flow that was there before. */
  readonly part: 'first' | 'original' | 'reply';
  readonly expected: string;
  readonly seen: string;
}

export interface StepResult {
  readonly disagreements: readonly Disagreement[];
  /** Of new flows: the evaluator's `category`, and how many. */
  readonly categories: ReadonlyMap<string, number>;
  readonly packets: number;
  readonly liveFlows: { readonly kept: number; readonly revoked: number };
  /** Ids that were a later rule's of the same run. */
  readonly tolerated: number;
  /** Would-be verdicts of staged policies that were compared. */
  readonly staged: number;
}

interface Sent extends SentPacket {
  readonly isFirst: boolean;
  readonly expectation: Expectation;
}

interface Comparison {
  readonly disagreements: readonly Disagreement[];
  readonly tolerated: number;
}

const MOST_REPEATS = 5;
const PORT_PROTOCOLS: readonly number[] = [6, 17, 132];

interface LiveFlow {
  readonly packet: FuzzPacket;
  readonly id: number;
  readonly isTracked: boolean;
}

export class FuzzRun {
  readonly #bed: FuzzBed;
  #lastId = 0;
  /** Flows of the step before that passed, by their packets' numbers, and their ids on the wire. */
  #flows = new Map<number, LiveFlow>();

  constructor(bed: FuzzBed) {
    this.#bed = bed;
  }

  /** Flows that may be asked for again in the next step. */
  get liveFlows(): readonly FuzzPacket[] {
    return [...this.#flows.values()].map(({ packet }) => packet);
  }

  async play(step: FuzzStep): Promise<StepResult> {
    const cluster = resolveCluster(step.resources);
    await this.#bed.load(step.resources, step.replace);
    const isTracking = !hasUntrackedPolicy(cluster);
    const live = await this.#repeatedly(() =>
      step.again.flatMap(({ number, part }): Sent[] => {
        const flow = this.#flows.get(number);
        // Of what is not tracked a reply is a flow of its own.
        if (flow === undefined || (part === 'reply' && !(flow.isTracked && isTracking))) return [];
        const expectation = expectationOf(cluster, flow.packet);
        if (expectation === undefined) return [];
        return [
          { packet: flow.packet, part, id: ++this.#lastId, flow: flow.id, isFirst: false, expectation },
        ];
      }),
    );
    await this.#flush();
    const fresh = await this.#repeatedly(() =>
      step.packets.flatMap((packet): Sent[] => {
        const id = ++this.#lastId;
        const expectation = expectationOf(cluster, packet);
        if (expectation === undefined) return [];
        return [{ packet, part: 'original', id, flow: id, isFirst: true, expectation }];
      }),
    );
    const stamps = await this.#compareStamps(fresh.sent);
    const opinion = new SecondOpinion(step.resources);
    const staged = new StagedComparison(this.#bed.hosts, step.resources);
    const wouldBe = fresh.sent
      .filter(({ expectation }) => expectation.category !== 'deny spoofedSource')
      .flatMap((each) =>
        staged.differences(each.packet).map((seen) => disagreement(each, 'what the evaluator says', seen)),
      );
    const meanings = fresh.sent.flatMap((each) =>
      opinion
        .differences(cluster, each.packet)
        .map((seen) => disagreement(each, 'what the v3 API means', seen)),
    );
    const passed = fresh.sent.filter(({ expectation }) => expectation.isAllowed);
    this.#flows = new Map(
      passed.map(({ packet, id, expectation: { isTracked } }) => [packet.number, { packet, id, isTracked }]),
    );
    return {
      disagreements: [
        ...[live, fresh, stamps].flatMap(({ disagreements }) => disagreements),
        ...meanings,
        ...wouldBe,
      ],
      staged: staged.compared,
      tolerated: live.tolerated + fresh.tolerated + stamps.tolerated,
      packets: live.sent.length + fresh.sent.length,
      categories: countBy(fresh.sent, ({ expectation }) => expectation.category),
      liveFlows: {
        kept: live.sent.filter(({ expectation }) => expectation.isAllowed).length,
        revoked: live.sent.filter(({ expectation }) => !expectation.isAllowed).length,
      },
    };
  }

  async #flush(): Promise<void> {
    await Promise.all([...this.#bed.hosts.values()].map(flushConntrack));
  }

  /** Sends what `make` gives and compares, once more where the kernel's records were about to be forgotten. */
  async #repeatedly(make: () => readonly Sent[]): Promise<Comparison & { readonly sent: readonly Sent[] }> {
    for (let repeats = 0; ; repeats++) {
      const sent = make();
      if (sent.length === 0) return { sent, disagreements: [], tolerated: 0 };
      try {
        const round = await sendRound(this.#bed, sent);
        const verdicts = this.#compareVerdicts(sent, round);
        if (verdicts.length > 0) return { sent, disagreements: verdicts, tolerated: 0 };
        return { sent, ...new DenialComparison(this.#bed, round.denials).compare(sent) };
      } catch (error) {
        if (!(error instanceof UncertainRecords) || repeats >= MOST_REPEATS) throw error;
        // New flows have to be new again; live ones are not.
        if (sent.some(({ isFirst }) => isFirst)) await this.#flush();
      }
    }
  }

  #compareVerdicts(
    sent: readonly Sent[],
    { arrivedAt, denials, unsent }: RoundResult,
  ): readonly Disagreement[] {
    return sent.flatMap((each) => {
      const end = arrivedAt.get(each.id);
      const { denial, isAllowed } = each.expectation;
      if (unsent.has(each.id)) return [disagreement(each, 'a way for it', 'its sender knows none')];
      if ((end !== undefined) === isAllowed) return [];
      const expected = denial === undefined ? 'allowed' : `denied by ${denial.reason} on ${denial.host}`;
      const counted = describeDenials(this.#bed, denials, each);
      return [
        disagreement(each, expected, end === undefined ? `did not arrive; ${counted}` : `arrived at ${end}`),
      ];
    });
  }

  async #compareStamps(sent: readonly Sent[]): Promise<Comparison> {
    const disagreements: Disagreement[] = [];
    let tolerated = 0;
    for (const [name, host] of this.#bed.hosts) {
      const marks = await conntrackMarks(host);
      for (const each of sent) {
        const expected = each.expectation.stamps.find((stamp) => stamp.host === name);
        const seen = stampOf(host, marks.get(conntrackKey(each)) ?? 0);
        if (seen === stampText(host, expected?.reason)) continue;
        const isTolerated = expected?.tolerated.some((reason) => seen === stampText(host, reason)) === true;
        if (isTolerated) tolerated++;
        else disagreements.push(disagreement(each, `${stampText(host, expected?.reason)} on ${name}`, seen));
      }
    }
    return { disagreements, tolerated };
  }
}

function stampOf(host: TestHost, mark: number): string {
  if (mark === 0) return stampText(host, undefined);
  const reason = textOfMeaning(host.dataplane.table.renderer?.ruleMeanings.get(mark & Mark.ruleBits));
  return stampText(host, reason, mark >>> Mark.generationShift);
}

function stampText(
  host: TestHost,
  reason: string | undefined,
  generation = host.dataplane.table.generation,
): string {
  return reason === undefined ? 'no stamp' : `stamp of ${reason}, generation ${generation}`;
}

/** Gives each denial that was counted to the packet that it is of: exact reasons first, as packets of one key may have several. */
class DenialComparison {
  readonly #bed: FuzzBed;
  /** `host key` → reasons counted, one for each packet. */
  readonly #counted = new Map<string, string[]>();

  constructor(bed: FuzzBed, denials: DenialHits) {
    this.#bed = bed;
    for (const [host, hits] of denials) {
      for (const [record, count] of hits) {
        const place = `${host} ${keyOfRecord(record)}`;
        const reasons = Array.from({ length: count }, () => reasonOfRecord(bed, host, record));
        this.#counted.set(place, [...(this.#counted.get(place) ?? []), ...reasons]);
      }
    }
  }

  compare(sent: readonly Sent[]): Comparison {
    const denied = sent.filter(({ expectation }) => !expectation.isAllowed);
    const originals = denied.filter(({ part }) => part === 'original');
    const inexact = originals.filter((each) => !this.#take(each, [each.expectation.denial?.reason ?? '']));
    const wrong = inexact.filter((each) => !this.#take(each, each.expectation.denial?.tolerated ?? []));
    const uncounted = denied.filter(({ part }) => part === 'reply').filter((each) => !this.#takeReply(each));
    return {
      tolerated: inexact.length - wrong.length,
      disagreements: [
        ...wrong.map((each) => this.#wrongReason(each)),
        ...uncounted.map((each) => disagreement(each, 'a denial that is counted', 'no count')),
      ],
    };
  }

  #take(each: Sent, reasons: readonly string[]): boolean {
    const left = this.#counted.get(`${each.expectation.denial?.host} ${denialKey(each)}`) ?? [];
    const at = left.findIndex((reason) => reasons.includes(reason));
    if (at >= 0) left.splice(at, 1);
    return at >= 0;
  }

  /** Whichever host it meets first denies it: of a reply only that it is counted is known. */
  #takeReply(each: Sent): boolean {
    return [...this.#bed.hosts.keys()].some(
      (host) => this.#counted.get(`${host} ${denialKey(each)}`)?.shift() !== undefined,
    );
  }

  #wrongReason(each: Sent): Disagreement {
    const { denial } = each.expectation;
    const seen = [...this.#bed.hosts.keys()].flatMap((host) =>
      (this.#counted.get(`${host} ${denialKey(each)}`) ?? []).map((reason) => `${reason} on ${host}`),
    );
    return disagreement(
      each,
      `denied by ${denial?.reason} on ${denial?.host}`,
      `denied by ${seen.join(', ') || 'nobody'}`,
    );
  }
}

function disagreement({ packet, part, isFirst }: Sent, expected: string, seen: string): Disagreement {
  return { packet, part: isFirst ? 'first' : part, expected, seen };
}

/** What was denied between the packet's ends, as a hint. */
function describeDenials(bed: FuzzBed, denials: DenialHits, { packet }: Sent): string {
  const reasons = [...denials].flatMap(([host, hits]) =>
    [...hits.keys()]
      .filter((record) => record.includes(packet.source) && record.includes(packet.destination))
      .map((record) => `${reasonOfRecord(bed, host, record)} on ${host} (${keyOfRecord(record)})`),
  );
  return `denied between its ends: ${reasons.join(', ') || 'nothing'}`;
}

function reasonOfRecord(bed: FuzzBed, host: string, record: string): string {
  const id = Number(record.slice(0, record.indexOf(' ')));
  return textOfMeaning(bed.hosts.get(host)?.dataplane.table.renderer?.ruleMeanings.get(id));
}

function keyOfRecord(record: string): string {
  return record.slice(record.indexOf(' ') + 1, record.lastIndexOf(' '));
}

/** As the kernel counts its denial, a reply's under its flow. */
function denialKey({ packet }: Sent): string {
  const { source, destination, protocol, destinationPort = 0 } = packet;
  const port = PORT_PROTOCOLS.includes(protocol) ? destinationPort : 0;
  return [source, destination, protocol, port].join(' ');
}

function conntrackKey({ packet, id }: Sent): string {
  const { source, destination, protocol, sourcePort, destinationPort, icmp } = packet;
  const ports = PORT_PROTOCOLS.includes(protocol) ? [sourcePort, destinationPort] : [];
  const parts = icmp === undefined ? ports : [icmp.type, icmp.code, id & 0xffff];
  return [protocol, source, destination, ...parts].join(' ');
}

function countBy<T>(values: readonly T[], keyOf: (value: T) => string): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(keyOf(value), (counts.get(keyOf(value)) ?? 0) + 1);
  return counts;
}
