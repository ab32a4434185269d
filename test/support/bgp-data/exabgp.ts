// Reader of the messages in hex that ExaBGP is tested with: `raw` lines after the command that they announce, and single
// messages or bodies.

import { readFileSync } from 'node:fs';
import { frame } from '../../../agents/bgp/packet/header.ts';
import { MessageType } from '../../../agents/bgp/packet/iana.ts';

export interface ExabgpMessage {
  /** What ExaBGP was told to announce; empty if that is not said. */
  readonly command: string;
  readonly octets: Uint8Array;
}

const MARKER = 'ff'.repeat(16);

export function exabgpMessages(path: string): ExabgpMessage[] {
  const lines = readFileSync(path, 'utf8').split('\n');
  return path.includes('exabgp-decode') ? [singleMessage(lines)] : rawLines(lines);
}

function rawLines(lines: readonly string[]): ExabgpMessage[] {
  let command = '';
  return lines.flatMap((line) => {
    command = /^[0-9A-Z]+:cmd:(.*)$/.exec(line)?.[1] ?? command;
    const raw = /^[0-9A-Z]+:raw:([0-9A-F:]+)$/.exec(line)?.[1];
    return raw === undefined ? [] : [{ command, octets: octetsOf(raw.replaceAll(':', '')) }];
  });
}

/** The second line; a body without a header is an UPDATE's. */
function singleMessage(lines: readonly string[]): ExabgpMessage {
  const hex = (lines[1] ?? '').replaceAll(':', '').toLowerCase();
  const octets = octetsOf(hex);
  return { command: '', octets: hex.startsWith(MARKER) ? octets : frame(MessageType.update, octets) };
}

function octetsOf(hex: string): Uint8Array {
  return new Uint8Array(Buffer.from(hex, 'hex'));
}
