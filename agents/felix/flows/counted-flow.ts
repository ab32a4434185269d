// What an element of the kernel's counting sets says (docs/felix.md "Flow records"): the packet mark, that is verdict and rule id,
// and the flow's 5-tuple as its beginner sent it. Pure.

import { formatIpBytes } from '../../../lib/net/ip.ts';
import type { EndedFlow } from '../kernel/netlink/conntrack-messages.ts';
import { Mark } from '../nftables/render/scratch.ts';

/** The counting sets and chains of one epoch, by their names without it. */
export const COUNTING_SETS = {
  denied: ['dlog4', 'dlogp4', 'dlog6', 'dlogp6'],
  begun: ['alog4', 'alogp4', 'alog6', 'alogp6'],
} as const;
export type CountingSet = (typeof COUNTING_SETS)[keyof typeof COUNTING_SETS][number];
/** Their last rule counts what found the sets full. */
export const COUNTING_CHAINS = {
  denied: ['denied', 'denied_r', 'dropped', 'dropped_r'],
  begun: ['begun', 'begun_r'],
} as const;
/** What an element has left to live after its last packet (nftables/render/layout.ts). */
export const COUNTED_FOR_MS = 60_000;

const ICMP = 1;
const ICMPV6 = 58;

/** Who sent what to whom, and what was done with it. */
export interface FlowKey {
  readonly isAllowed: boolean;
  /** The rule that decided, in its epoch. */
  readonly epoch: number;
  readonly ruleId: number;
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly icmp?: { readonly type: number; readonly code: number };
  /** Of a flow that has ended: the generation that its mark has; `epoch` is 0, as the mark does not say it. */
  readonly endedInGeneration?: number;
}

/** Undefined for a key of another length than the set's. */
export function decodeFlowKey(set: CountingSet, epoch: number, key: Buffer): FlowKey | undefined {
  const addressBytes = set.endsWith('4') ? 4 : 16;
  const hasPorts = !set.includes('p');
  const fieldsAt = 4 + 2 * addressBytes;
  if (key.length !== fieldsAt + 8) return undefined;
  const mark = key.readUInt32LE(0);
  const protocol = hasPorts ? (mark >>> Mark.protocolShift) & 0xff : key.readUInt8(fieldsAt);
  const last = key.readUInt16BE(fieldsAt + 4);
  return {
    isAllowed: set.startsWith('alog'),
    epoch,
    ruleId: mark & Mark.ruleBits,
    source: formatIpBytes(key.subarray(4, 4 + addressBytes)),
    destination: formatIpBytes(key.subarray(4 + addressBytes, 4 + 2 * addressBytes)),
    protocol,
    ...(hasPorts ? { sourcePort: key.readUInt16BE(fieldsAt), destinationPort: last } : {}),
    ...(!hasPorts && (protocol === ICMP || protocol === ICMPV6)
      ? { icmp: { type: last >>> 8, code: last & 0xff } }
      : {}),
  };
}

/** Undefined for a flow that no policy here has let in. */
export function endedFlowKey(ended: EndedFlow): FlowKey | undefined {
  const generation = ended.mark >>> Mark.generationShift;
  if (generation === 0 || (ended.mark & Mark.allow) === 0) return undefined;
  const { sourcePort, destinationPort, icmp } = ended;
  return {
    isAllowed: true,
    epoch: 0,
    ruleId: ended.mark & Mark.ruleBits,
    source: formatIpBytes(ended.source),
    destination: formatIpBytes(ended.destination),
    protocol: ended.protocol,
    ...(sourcePort === undefined ? {} : { sourcePort }),
    ...(destinationPort === undefined ? {} : { destinationPort }),
    ...(icmp === undefined ? {} : { icmp }),
    endedInGeneration: generation,
  };
}
