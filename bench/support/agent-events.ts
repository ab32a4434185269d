// Follows a host's event log at its agent's own API.

import { request } from 'node:https';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import type { LabHost } from '../../lab/host.ts';
import type { CalicoEvent } from '../../lib/events/event.ts';
import { parseEventLine } from '../../lib/protocol/event-lines.ts';
import type { BenchLab } from './bench-lab.ts';

const AGENT_PORT = 9098;
const RETRY_MS = 20;
const CONNECT_TIMEOUT_MS = 60_000;

/** From the log's first event on; an agent that does not listen yet is asked again. Returns what ends it. */
export async function followEvents(
  { certificate }: BenchLab,
  host: LabHost,
  onEvent: (event: CalicoEvent) => void,
): Promise<() => void> {
  const deadline = AbortSignal.timeout(CONNECT_TIMEOUT_MS);
  for (;;) {
    const outgoing = request({
      ...certificate('admin'),
      host: host.address,
      port: AGENT_PORT,
      path: '/v1/events?follow=true&after=0',
      servername: 'agent',
      agent: false,
    });
    outgoing.end();
    const answer = await new Promise<NodeJS.ReadableStream | undefined>((resolve) => {
      outgoing.once('response', resolve);
      outgoing.once('error', () => resolve(undefined));
    });
    // Ended by us, or by the agent: then whoever waits for an event waits in vain and says so.
    outgoing.on('error', () => undefined);
    if (answer === undefined) {
      await delay(RETRY_MS, undefined, { signal: deadline });
      continue;
    }
    answer.on('error', () => undefined);
    const lines = createInterface({ input: answer }).on('error', () => undefined);
    lines.on('line', (text) => {
      const line = parseEventLine(JSON.parse(text));
      if (line !== undefined && 'event' in line) onEvent(line.event);
    });
    return () => outgoing.destroy();
  }
}

/** Acknowledgements of one agent: after one, new and live flows get the verdicts of that revision. */
export class Acknowledgements {
  #revision = 0;
  #atMs = 0;
  #wake: () => void = () => {};
  readonly #timeoutMs: number;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  onEvent(event: CalicoEvent): void {
    if (event.kind !== 'kernelTransaction') return;
    this.#revision = event.revision ?? 0;
    this.#atMs = performance.now();
    this.#wake();
  }

  /** When the kernel had the revision, by `performance.now`. Throws if it does not come. */
  async until(revision: number): Promise<number> {
    const deadline = AbortSignal.timeout(this.#timeoutMs);
    while (this.#revision < revision) {
      deadline.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        deadline.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    return this.#atMs;
  }
}
