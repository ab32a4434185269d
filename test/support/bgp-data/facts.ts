// What a file of test/data/bgp decodes to, as counts and a digest of its lines: short enough to stand in a test.

import { createHash } from 'node:crypto';
import { decodeAttributes } from '../../../agents/bgp/packet/attributes/decode.ts';
import type { CodecContext } from '../../../agents/bgp/packet/context.ts';
import { DecodeError, type UpdateFault } from '../../../agents/bgp/packet/errors.ts';
import { decodeMessage } from '../../../agents/bgp/packet/message.ts';
import { formatIp } from '../../../lib/net/ip.ts';
import { contextOfItem, dumpItems } from './corpus.ts';
import type { MrtItem } from './mrt.ts';
import { attributesText, messageLine, nlriText, updateLines } from './render.ts';

export interface Facts {
  /** How often each kind of line is there: `+` announced, `-` withdrawn, `entry`, a message's type, `3/1` refused … */
  readonly counts: Readonly<Record<string, number>>;
  /** First 16 hex digits of the SHA-256 of all lines. */
  readonly digest: string;
}

export function factsOf(lines: readonly { readonly kind: string; readonly text: string }[]): Facts {
  const counts: Record<string, number> = {};
  const hash = createHash('sha256');
  for (const { kind, text } of lines) {
    counts[kind] = (counts[kind] ?? 0) + 1;
    hash.update(`${text}\n`);
  }
  return { counts, digest: hash.digest('hex').slice(0, 16) };
}

export interface Line {
  readonly kind: string;
  readonly text: string;
}

/** A line for each route of an UPDATE and each fault in it, else one; one that says code and subcode if it is refused. */
export function messageLines(octets: Uint8Array, context: CodecContext): Line[] {
  try {
    const message = decodeMessage(octets, context);
    if (message.type !== 'update') return [{ kind: message.type, text: messageLine(message) }];
    return [
      { kind: 'update', text: 'update' },
      ...updateLines(message).map((text) => ({ kind: text.slice(0, 1), text })),
      ...message.faults.map(faultLine),
    ];
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    const { code, subcode } = error.type.notification;
    return [{ kind: `${code}/${subcode}`, text: `${code}/${subcode}` }];
  }
}

/** All of a dump; each line begins with the time and the peer. */
export function dumpFacts(file: string): Facts & { readonly gaps: number } {
  const { items, gaps } = dumpItems(file);
  const lines = items.flatMap((item) => {
    const from = `${item.time} ${formatIp(item.peer.address)} ${item.peer.asn}`;
    return itemLines(file, item).map(({ kind, text }) => ({ kind, text: `${from} ${text}` }));
  });
  return { ...factsOf(lines), gaps };
}

function itemLines(file: string, item: MrtItem): Line[] {
  if (item.kind === 'stateChange') return [{ kind: 'state', text: `${item.from} to ${item.to}` }];
  const context = contextOfItem(file, item);
  if (item.kind === 'message') return messageLines(item.octets, context);
  const { attributes, faults } = decodeAttributes(item.attributes, context);
  const hop = attributes.mpReachNlri?.nextHop ?? attributes.nextHop;
  const via = hop === undefined ? '-' : formatIp(hop);
  const text = `${nlriText(item.prefix)} via ${via} ${attributesText(attributes)}`;
  return [{ kind: 'entry', text }, ...faults.map(faultLine)];
}

function faultLine({ reaction, attribute, subcode }: UpdateFault): Line {
  return { kind: reaction, text: `${reaction} ${attribute ?? '-'} ${subcode}` };
}
