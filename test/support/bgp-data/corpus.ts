// Every BGP message and path attribute list in test/data/bgp, with the context that it was sent in as far as it is known.

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { findCapability } from '../../../agents/bgp/packet/capabilities.ts';
import { type CodecContext, UNNEGOTIATED } from '../../../agents/bgp/packet/context.ts';
import { DecodeError, type Notification } from '../../../agents/bgp/packet/errors.ts';
import { HEADER_LENGTH, readHeader } from '../../../agents/bgp/packet/header.ts';
import { ADDRESS_FAMILIES, MessageType } from '../../../agents/bgp/packet/iana.ts';
import { decodeOpen } from '../../../agents/bgp/packet/open.ts';
import { exabgpMessages } from './exabgp.ts';
import { type MrtItem, mrtItems, mrtRecords, readDump } from './mrt.ts';
import { bgpStreams } from './pcap.ts';

export const DATA = join(import.meta.dirname, '../../data/bgp');

const BOTH = new Set(ADDRESS_FAMILIES);
const NONE: ReadonlySet<never> = new Set();

/** Nothing is refused because of who sent it: all attributes count, any family, any next hop. */
export const LENIENT: CodecContext = {
  ...UNNEGOTIATED,
  peerType: 'internal',
  enforceFirstAs: false,
  families: BOTH,
  extendedNextHop: true,
};

/** A whole message or a path attribute list, with what decoding it depends on. */
export interface Sample {
  readonly octets: Uint8Array;
  readonly context: CodecContext;
}

export function dataFiles(folder: 'mrt' | 'pcap' | 'hex'): string[] {
  return readdirSync(join(DATA, folder)).sort();
}

/** The items of a dump, and how often the reader had to look for the next record. */
export function dumpItems(file: string): { readonly items: MrtItem[]; readonly gaps: number } {
  const { records, gaps } = mrtRecords(readDump(join(DATA, 'mrt', file)));
  return { items: [...mrtItems(records)], gaps };
}

export function contextOfItem(file: string, item: Exclude<MrtItem, { kind: 'stateChange' }>): CodecContext {
  // This BIRD wrote messages with path ids as if they had none.
  const hasPathIds = item.kind === 'message' && (item.hasPathIds || file === 'mrtparse.bird_bgp.mrt');
  return withPathIds({ ...LENIENT, fourOctetAs: item.fourOctetAs }, hasPathIds);
}

/** The messages of a capture in the order of its streams, and the errors at which framing stopped. */
export function capturedMessages(file: string): {
  readonly messages: Sample[];
  readonly errors: Notification[];
} {
  const streams = bgpStreams(join(DATA, 'pcap', file)).map((stream) => ({
    ...stream,
    ...framed(stream.octets),
  }));
  const opens = new Map(streams.map(({ flow, messages }) => [flow, messages.find(isOpen)]));
  // Captures without OPENs: one has AS numbers of two octets, one path ids.
  const known = {
    fourOctetAs: file !== 'mpbgp-linklocal-nexthop.pcap',
    hasPathIds: file === 'bgp-addpath.pcap',
  };
  return {
    messages: streams.flatMap(({ flow, reverse, messages }) => {
      const pair = [opens.get(flow), opens.get(reverse)];
      const fourOctetAs =
        known.fourOctetAs && pair.every((open) => open === undefined || hasFourOctetAs(open));
      const context = withPathIds({ ...LENIENT, fourOctetAs, enhancedRefresh: true }, known.hasPathIds);
      return messages.map((octets) => ({ octets, context }));
    }),
    errors: streams.flatMap(({ error }) => (error === undefined ? [] : [error])),
  };
}

export function contextOfHex(file: string): CodecContext {
  const fourOctetAs = file !== 'exabgp-encode.conf-no-asn4.txt';
  return withPathIds({ ...LENIENT, fourOctetAs }, file === 'exabgp-encode.conf-addpath.txt');
}

/** The messages in hex and of the captures: a few of every kind. */
export function smallCorpus(): Sample[] {
  const hex = dataFiles('hex').flatMap((file) =>
    exabgpMessages(join(DATA, 'hex', file)).map(({ octets }) => ({ octets, context: contextOfHex(file) })),
  );
  return [...hex, ...dataFiles('pcap').flatMap((file) => capturedMessages(file).messages)];
}

/** Those of the dumps, 30,000. */
export function dumpedMessages(): Sample[] {
  return dataFiles('mrt').flatMap((file) =>
    dumpItems(file).items.flatMap((item) =>
      item.kind === 'message' ? [{ octets: item.octets, context: contextOfItem(file, item) }] : [],
    ),
  );
}

/** The different attribute lists of all tables. */
export function dumpedAttributes(): Sample[] {
  const byOctets = new Map<string, Sample>();
  for (const file of dataFiles('mrt')) {
    for (const item of dumpItems(file).items) {
      if (item.kind !== 'entry') continue;
      const key = Buffer.from(item.attributes).toString('latin1');
      if (!byOctets.has(key)) {
        byOctets.set(key, { octets: item.attributes, context: contextOfItem(file, item) });
      }
    }
  }
  return [...byOctets.values()];
}

function framed(stream: Uint8Array): { messages: Uint8Array[]; error?: Notification } {
  const messages: Uint8Array[] = [];
  let at = 0;
  try {
    for (;;) {
      const header = readHeader(stream, at, { extendedMessage: true });
      if (header === undefined || header.length > stream.length - at) return { messages };
      messages.push(new Uint8Array(stream.subarray(at, at + header.length)));
      at += header.length;
    }
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return { messages, error: error.type.notification };
  }
}

function isOpen(octets: Uint8Array): boolean {
  return octets[18] === MessageType.open;
}

function hasFourOctetAs(open: Uint8Array): boolean {
  const { capabilities } = decodeOpen(open.subarray(HEADER_LENGTH));
  return findCapability(capabilities, 'fourOctetAs') !== undefined;
}

function withPathIds(context: CodecContext, hasPathIds: boolean): CodecContext {
  const families = hasPathIds ? BOTH : NONE;
  return { ...context, addPathReceive: families, addPathSend: families };
}
