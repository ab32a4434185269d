// What is measured: how many peers send how much to how many others (bench/bgp/README.md).

export interface Row {
  /** Senders x receivers - prefixes of each sender. */
  readonly name: string;
  /** `reflector`: everyone is a client of the daemon. `mesh`: internal peers of it, and it has a prefix of its own. */
  readonly pattern: 'reflector' | 'mesh';
  readonly senders: number;
  /** Peers that only listen; senders get what the others have sent, too. */
  readonly receivers: number;
  readonly prefixesPerSender: number;
  /** Prefixes that share their path attributes, and so a message. */
  readonly prefixesPerSet: number;
  readonly family: 4 | 6;
  readonly prefixLength: number;
}

const reflector = (name: string, senders: number, receivers: number, prefixesPerSender: number): Row => ({
  name,
  pattern: 'reflector',
  senders,
  receivers,
  prefixesPerSender,
  prefixesPerSet: 100,
  family: 4,
  prefixLength: 24,
});
/** Nodes with their blocks: one set of attributes each. */
const nodes = (name: string, senders: number, receivers: number, blocks: number): Row => ({
  ...reflector(name, senders, receivers, blocks),
  prefixesPerSet: blocks,
  prefixLength: 26,
});

export const ROWS: readonly Row[] = [
  reflector('1x1-10k', 1, 1, 10_000),
  reflector('1x1-100k', 1, 1, 100_000),
  { ...reflector('1x1-100k-inet', 1, 1, 100_000), prefixesPerSet: 6 },
  { ...reflector('1x1-100k-v6', 1, 1, 100_000), family: 6, prefixLength: 64 },
  reflector('1x1-500k', 1, 1, 500_000),
  reflector('1x10-10k', 1, 10, 10_000),
  reflector('1x10-100k', 1, 10, 100_000),
  reflector('1x10-500k', 1, 10, 500_000),
  reflector('10x10-10k', 10, 10, 10_000),
  nodes('calico-100', 100, 10, 16),
  nodes('calico-300', 300, 10, 16),
  nodes('clients-500', 500, 2, 1),
  { ...nodes('mesh-500', 499, 0, 1), pattern: 'mesh' },
];

/** Prefixes that the daemon learns in a row. */
export function prefixCount({ senders, prefixesPerSender }: Row): number {
  return senders * prefixesPerSender;
}
