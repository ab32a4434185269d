// What the kernel has dropped without a word to anybody: segments with a missing or wrong TCP-MD5 key, packets from too
// far away. Totals of the network namespace, not of a peer: a difference over one attempt to connect is a hint.

import { readFileSync } from 'node:fs';

export interface DropCounters {
  /** Unsigned segments where a key is configured. */
  readonly unsigned: number;
  /** Signed segments where no key is configured. */
  readonly unexpectedlySigned: number;
  readonly wronglySigned: number;
  /** Below the least TTL (RFC 5082). */
  readonly lowTtl: number;
}

export const NO_DROPS: DropCounters = { unsigned: 0, unexpectedlySigned: 0, wronglySigned: 0, lowTtl: 0 };

/** The counters now; zeros where they cannot be read. */
export function readDropCounters(): DropCounters {
  try {
    return parseDropCounters(readFileSync('/proc/net/netstat', 'utf8'));
  } catch {
    return NO_DROPS;
  }
}

/** `/proc/net/netstat`: a line with names, then one with values, for each group. */
export function parseDropCounters(text: string): DropCounters {
  const [names = [], values = []] = text
    .split('\n')
    .filter((line) => line.startsWith('TcpExt: '))
    .map((line) => line.split(' '));
  const counter = (name: string): number => Number(values[names.indexOf(name)] ?? 0);
  return {
    unsigned: counter('TCPMD5NotFound'),
    unexpectedlySigned: counter('TCPMD5Unexpected'),
    wronglySigned: counter('TCPMD5Failure'),
    lowTtl: counter('TCPMinTTLDrop'),
  };
}

export function dropsSince(before: DropCounters, now: DropCounters): DropCounters {
  return {
    unsigned: now.unsigned - before.unsigned,
    unexpectedlySigned: now.unexpectedlySigned - before.unexpectedlySigned,
    wronglySigned: now.wronglySigned - before.wronglySigned,
    lowTtl: now.lowTtl - before.lowTtl,
  };
}
