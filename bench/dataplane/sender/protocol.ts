// What the sender is asked, and what it answers.

/** Network namespaces, as `ip netns` knows them. */
export interface BedNamespaces {
  readonly hosts: readonly string[];
  readonly client: string;
  readonly near: string;
  readonly far: string;
  readonly outside: string;
}

export interface BedTask {
  readonly name: string;
  readonly namespaces: BedNamespaces;
  /** Denies what it should, and so can be measured with denied packets. */
  readonly isPoliced: boolean;
  /** Knows every workload's own address. */
  readonly stopsSpoofing: boolean;
  /** Gives what leaves the pools the host's address. */
  readonly hasNat: boolean;
}

export interface SenderTask {
  /** Without rules; each batch of the others is followed, or led, by one of its. */
  readonly bare: BedTask;
  readonly beds: readonly BedTask[];
  readonly rounds: number;
  /** Milliseconds for one path of one bed in one round. */
  readonly sliceMs: number;
}

export const KINDS = [
  'live',
  'first',
  'denied',
  'denied again',
  'spoofed',
  'connections',
  'nat live',
  'nat first',
] as const;
export type Kind = (typeof KINDS)[number];
export const TOPOLOGIES = ['one host', 'two hosts'] as const;
export type Topology = (typeof TOPOLOGIES)[number];

export const CALLS = ['each', 'batch'] as const;
/** How packets are sent and taken: `each` by calls of its own, or a `batch` by one. */
export type Calls = (typeof CALLS)[number];

/** Of one bed, one kind of packet and one topology, in one round. */
export interface Sample {
  readonly bed: string;
  readonly kind: Kind;
  readonly topology: Topology;
  readonly calls: Calls;
  readonly round: number;
  readonly pairs: number;
  /** Nanoseconds a packet, or a connection: medians of the batches. */
  readonly ns: number;
  readonly bareNs: number;
  /** Packets that came where they should not, or did not come where they should. */
  readonly wrong: number;
}
