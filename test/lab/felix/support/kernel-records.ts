// What the kernel itself has written down about packets: what it denied, by reason, in the sets of denials, and by which rule a flow
// passes, in the mark of its conntrack entry.

import type { Dataplane } from '../../../../agents/felix/dataplane/dataplane.ts';
import type { KernelWriterClient } from '../../../../agents/felix/kernel/writer-client.ts';
import { Mark } from '../../../../agents/felix/nftables/render/scratch.ts';
import type { Namespace } from './namespaces.ts';

/** What of a `TestHost` is asked. */
interface RecordingHost {
  readonly namespace: Namespace;
  readonly writer: KernelWriterClient;
  readonly dataplane: Dataplane;
}

export interface DenialRecord {
  /** Rule id without the verdict bits. */
  readonly id: number;
  /** `source destination protocol port` of the flow's first packet; port 0 where there is none. */
  readonly key: string;
  /** Source port, or what a protocol without ports has in its place. */
  readonly detail: number;
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

/** Of the current epoch's sets, by rule id, key and detail. */
export async function denialRecords(host: RecordingHost): Promise<ReadonlyMap<string, DenialRecord>> {
  const records = new Map<string, DenialRecord>();
  for (const set of ['dlog4', 'dlogp4', 'dlog6', 'dlogp6']) {
    const text = `list set inet calico ${set}_v${host.dataplane.table.epoch}`;
    const json = (await host.writer.nftQuery(text, 'json')) as
      | { readonly nftables?: readonly unknown[] }
      | undefined;
    for (const entry of json?.nftables ?? []) {
      const { elem = [] } = (entry as { readonly set?: { readonly elem?: readonly SetElement[] } }).set ?? {};
      for (const element of elem) {
        const record = readRecord(element, !set.includes('p'));
        if (record !== undefined) records.set(`${record.id} ${record.key} ${record.detail}`, record);
      }
    }
  }
  return records;
}

/** As the chain that counts writes them (agents/felix/nftables/render/counting-chains.ts): with ports, the protocol is above the id. */
function readRecord({ elem }: SetElement, hasPorts: boolean): DenialRecord | undefined {
  const [scratch, source, destination, fourth, fifth] = elem?.val?.concat ?? [];
  if (scratch === undefined) return undefined;
  const mark = numberOf(scratch);
  const protocol = hasPorts ? (mark >>> Mark.protocolShift) & 0xff : fourth;
  const key = `${source} ${destination} ${protocol} ${hasPorts ? fifth : 0}`;
  const id = mark & Mark.ruleBits;
  const detail = Number(hasPorts ? fourth : fifth);
  return { id, key, detail, packets: elem?.counter?.packets ?? 0, expires: elem?.expires ?? 0 };
}

/** A mark is listed as a number, a classid as its two halves in hex. */
function numberOf(scratch: string | number): number {
  const [high = '', low] = String(scratch).split(':');
  if (low === undefined) return Number(high);
  return Number.parseInt(high, 16) * 0x10000 + Number.parseInt(low, 16);
}

/** Marks of a host's conntrack entries, by `protocol source destination …` as in `conntrackKey`. */
export async function conntrackMarks(host: RecordingHost): Promise<ReadonlyMap<string, number>> {
  const marks = new Map<string, number>();
  for (const line of (await host.namespace.exec('conntrack', '-L')).split('\n')) {
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
export async function flushConntrack(host: RecordingHost): Promise<void> {
  await host.namespace.exec('conntrack', '-F');
}
