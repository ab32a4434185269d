// Makes an input that shows a finding smaller, as long as it shows the same one.

import { frame, HEADER_LENGTH } from '../../agents/bgp/packet/header.ts';
import { check } from './check.ts';
import { Finding } from './finding.ts';
import type { FuzzInput } from './mutate.ts';
import { messagesOf } from './session.ts';

/** A finding about time is slow to try. */
const MAX_ATTEMPTS = 20_000;
const MAX_MS = 20_000;

/** Leaves octets out, in ever smaller pieces, then makes zeros of those that do not matter. */
export function minimise(input: FuzzInput, finding: Finding): FuzzInput {
  let attempts = 0;
  const started = performance.now();
  const shows = (candidate: FuzzInput): boolean =>
    attempts++ < MAX_ATTEMPTS && performance.now() - started < MAX_MS && checkOf(candidate) === finding.check;
  if (input.kind === 'session') return withFewerMessages(input, shows);
  let best = input;
  let body = bodyOf(input);
  const keep = (candidate: Uint8Array): boolean => {
    const smaller = withBody(input, candidate);
    if (!shows(smaller)) return false;
    best = smaller;
    body = candidate;
    return true;
  };
  for (let size = Math.ceil(body.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < body.length; ) {
      const left = Uint8Array.of(...body.subarray(0, at), ...body.subarray(at + size));
      if (!keep(left)) at += size;
    }
  }
  for (let at = 0; at < body.length; at++) {
    if (body[at] !== 0) keep(body.with(at, 0));
  }
  return best;
}

function withFewerMessages(input: FuzzInput, shows: (candidate: FuzzInput) => boolean): FuzzInput {
  let messages = messagesOf(input.octets);
  const inputOf = (some: readonly Uint8Array[]): FuzzInput => ({ ...input, octets: Buffer.concat(some) });
  for (let index = messages.length - 1; index >= 0; index--) {
    const left = messages.toSpliced(index, 1);
    if (shows(inputOf(left))) messages = left;
  }
  return inputOf(messages);
}

function checkOf(input: FuzzInput): string | undefined {
  try {
    check(input);
    return undefined;
  } catch (error) {
    return error instanceof Finding ? error.check : 'exception';
  }
}

function bodyOf({ kind, octets }: FuzzInput): Uint8Array {
  return kind === 'message' ? octets.subarray(HEADER_LENGTH) : octets;
}

function withBody(input: FuzzInput, body: Uint8Array): FuzzInput {
  const octets = input.kind === 'message' ? frame(input.octets[HEADER_LENGTH - 1] ?? 0, body) : body;
  return { ...input, octets };
}
