// Flow records as lines under each other, and each decision as one sentence.

import { protocolName } from '../../lib/model/numbers.ts';
import type {
  FlowDecision,
  FlowEnd,
  FlowPolicy,
  FlowRecord,
  StagedHit,
} from '../../lib/protocol/flow-record.ts';
import { LiveTable } from './live-table.ts';

const HEADINGS = ['TIME', 'NODE', 'VERDICT', 'SOURCE', 'DESTINATION', 'PROTOCOL', 'PACKETS'];
const WIDE_HEADINGS = ['CONNECTIONS', 'BYTES', 'SOURCE-LABELS', 'DESTINATION-LABELS'];
const WIDTHS = [24, 8, 7, 24, 24, 8, 7];
const WIDE_WIDTHS = [11, 8, 24, 24];

export function flowTable(isWide: boolean, isLive: boolean): LiveTable {
  const headings = [...HEADINGS, ...(isWide ? WIDE_HEADINGS : []), 'WHY'];
  return new LiveTable(headings, [...WIDTHS, ...(isWide ? WIDE_WIDTHS : [])], isLive);
}

export function flowRow(record: FlowRecord, isWide: boolean): string[] {
  const { time, host, verdict, source, destination, protocol, icmp, packets } = record;
  const protocolText =
    icmp === undefined ? nameOf(protocol) : `${nameOf(protocol)} ${icmp.type}/${icmp.code}`;
  // None where these are more packets of flows that were told of before.
  const wide = [String(record.connections), String(record.bytes), labelText(source), labelText(destination)];
  return [
    time,
    host,
    verdict,
    endText(source, isWide),
    endText(destination, isWide),
    protocolText,
    String(packets),
    ...(isWide ? wide : []),
    explainFlow(record),
  ];
}

/** One sentence: what decided; a second one where staged policies would decide otherwise. */
export function explainFlow({ verdict, decidedBy, staged, ended, repeated }: FlowRecord): string {
  const parts = [sentenceOf(verdict, decidedBy)];
  if (ended !== undefined) parts.push(`ended, answered by ${ended.packets} packets, ${ended.bytes} bytes`);
  if (staged !== undefined && staged.verdict !== verdict) {
    const would = staged.verdict === 'allow' ? 'allowed' : 'denied';
    const by = staged.policies.at(-1);
    parts.push(`staged policies would have it ${would}${by === undefined ? '' : ` by ${hitText(by)}`}`);
  }
  if (repeated === true) parts.push('perhaps told before the agent’s restart');
  return parts.join('; ');
}

function sentenceOf(verdict: 'allow' | 'deny', decision: FlowDecision): string {
  const done = verdict === 'allow' ? 'allowed' : 'denied';
  switch (decision.type) {
    case 'rule': {
      const { source } = decision;
      const where = source === undefined ? '' : ` (${source.file}:${source.line})`;
      return `${done} by ${ruleText(decision.direction, decision.index)} of ${policyText(decision)}${where}`;
    }
    case 'endOfTier': {
      const { tier, direction, policy } = decision;
      const because = policy === undefined ? '' : `, where ${policyText(policy)} is the last to apply`;
      return `${done} at the end of tier ${tier}: no ${direction} rule matched${because}`;
    }
    case 'reason':
      return `${done}: ${decision.text}`;
    case 'unknown':
      return `${done} by a rule that nobody remembers: ${decision.ruleId} of epoch ${decision.epoch}`;
  }
}

function hitText(hit: StagedHit): string {
  return hit.index < 0
    ? `the end of tier ${hit.tier}, which ${policyText(hit)} would bring`
    : `${ruleText(hit.direction, hit.index)} of ${policyText(hit)}`;
}

/** Rules are counted from 1, as people do. */
function ruleText(direction: string, index: number): string {
  return `${direction} rule ${index + 1}`;
}

function policyText({ kind, namespace, name }: FlowPolicy): string {
  return `${kind} ${namespace === undefined ? name : `${namespace}/${name}`}`;
}

/** `namespace/name:port`, or the address of nobody known. */
function endText(end: FlowEnd, isWide: boolean): string {
  const { address, port, kind, namespace, name } = end;
  const bracketed = address.includes(':') ? `[${address}]` : address;
  const ending = port === undefined ? '' : `:${port}`;
  if (name === undefined) return `${port === undefined ? address : bracketed}${ending}`;
  const prefix = kind === 'WorkloadEndpoint' ? '' : `${kind} `;
  const named = `${prefix}${namespace === undefined ? name : `${namespace}/${name}`}`;
  return isWide ? `${named} ${port === undefined ? address : bracketed}${ending}` : `${named}${ending}`;
}

function labelText({ labels = {} }: FlowEnd): string {
  const entries = Object.entries(labels).map(([label, value]) => `${label}=${value}`);
  return entries.length === 0 ? '-' : entries.sort().join(',');
}

function nameOf(protocol: number): string {
  return protocolName(protocol) ?? String(protocol);
}
