// What the kernel itself has written down about packets: what it denied, by reason, in the sets of denials, and by which rule a flow
// passes, in the mark of its conntrack entry.

import type { TestHost } from './test-host.ts';

export interface DenialRecord {
  /** Rule id without the verdict bits. */
  readonly id: number;
  /** `source destination protocol port`; port 0 where there is none. */
  readonly key: string;
  readonly packets: number;
  /** Seconds until the kernel forgets it. */
  readonly expires: number;
}

interface SetElement {
  readonly elem?: {
    readonly val?: { readonly concat?: readonly (string | number)[] };
    readonly expires?: number;
    readonly counter?: { readonly packets: number };
  };
}

const RULE_BITS = 0x3ffff;

/** Of the current epoch's sets, by rule id and key. */
export async function denialRecords(host: TestHost): Promise<ReadonlyMap<string, DenialRecord>> {
  const records = new Map<string, DenialRecord>();
  for (const set of ['dlog4', 'dlogp4', 'dlog6', 'dlogp6']) {
    const text = `list set inet calico ${set}_v${host.dataplane.table.epoch}`;
    const json = (await host.writer.nftQuery(text, 'json')) as
      | { readonly nftables?: readonly unknown[] }
      | undefined;
    for (const entry of json?.nftables ?? []) {
      const { elem = [] } = (entry as { readonly set?: { readonly elem?: readonly SetElement[] } }).set ?? {};
      for (const element of elem) {
        const record = readRecord(element);
        if (record !== undefined) records.set(`${record.id} ${record.key}`, record);
      }
    }
  }
  return records;
}

function readRecord({ elem }: SetElement): DenialRecord | undefined {
  const [mark, source, destination, protocol, port = 0] = elem?.val?.concat ?? [];
  if (mark === undefined) return undefined;
  const key = `${source} ${destination} ${protocol} ${port}`;
  const id = Number(mark) & RULE_BITS;
  return { id, key, packets: elem?.counter?.packets ?? 0, expires: elem?.expires ?? 0 };
}

/** Marks of a host's conntrack entries, by `protocol source destination …` as in `conntrackKey`. */
export async function conntrackMarks(host: TestHost): Promise<ReadonlyMap<string, number>> {
  const marks = new Map<string, number>();
  const lists = ['ipv4', 'ipv6'].map((family) => host.namespace.exec('conntrack', '-L', '-f', family));
  for (const line of (await Promise.all(lists)).join('\n').split('\n')) {
    const protocol = /^\S+\s+(\d+) /.exec(line)?.[1];
    const value = (name: string): string | undefined => new RegExp(` ${name}=(\\S+)`).exec(line)?.[1];
    if (protocol === undefined) continue;
    const parts = ['src', 'dst', 'sport', 'dport', 'type', 'code', 'id'].map(value);
    marks.set(
      [protocol, ...parts.filter((part) => part !== undefined)].join(' '),
      Number(value('mark') ?? 0),
    );
  }
  return marks;
}

/** Forgets every flow of the host. */
export async function flushConntrack(host: TestHost): Promise<void> {
  await host.namespace.exec('conntrack', '-F');
}
