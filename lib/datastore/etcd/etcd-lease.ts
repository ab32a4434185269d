// A lease kept alive on a stream of its own. Holds by our own clock: from the sending of the last request that was
// answered, for its time to live; never longer, whatever the server would still grant.

import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import type { IDuplexStream, ILeaseKeepAliveRequest, ILeaseKeepAliveResponse } from 'etcd3';
import { Backoff, waitFor } from '../../lifecycle/backoff.ts';
import type { Lease } from '../datastore.ts';
import { rethrowBug } from './errors.ts';

export type KeepAliveStream = IDuplexStream<ILeaseKeepAliveRequest, ILeaseKeepAliveResponse>;

export interface EtcdLeaseContext {
  openStream(): Promise<KeepAliveStream>;
  /** Revokes; a lease that is gone already is no failure. */
  revoke(id: string): Promise<void>;
  /** Aborted when the client closes. */
  readonly closed: AbortSignal;
}

export interface GrantedLease {
  readonly id: string;
  readonly ttlSeconds: number;
  /** performance.now() before the request to grant it was sent. */
  readonly requestedMs: number;
  readonly keepAlive: boolean;
}

export class EtcdLease implements Lease {
  readonly id: string;
  readonly ttlSeconds: number;
  readonly #context: EtcdLeaseContext;
  readonly #lost = new AbortController();
  #validUntilMs: number;
  #expiry: NodeJS.Timeout | undefined;

  constructor(context: EtcdLeaseContext, granted: GrantedLease) {
    this.#context = context;
    this.id = granted.id;
    this.ttlSeconds = granted.ttlSeconds;
    this.#validUntilMs = granted.requestedMs + granted.ttlSeconds * 1000;
    this.#armExpiry();
    const end = AbortSignal.any([this.#lost.signal, context.closed]);
    end.addEventListener('abort', () => clearTimeout(this.#expiry), { once: true });
    if (granted.keepAlive) void this.#keepAlive(end);
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  validUntil(): number {
    return this.#validUntilMs;
  }

  async revoke(): Promise<void> {
    try {
      await this.#context.revoke(this.id);
    } finally {
      // Even if the server did not hear of it: nobody may rely on it any more, and it expires unattended.
      this.#lose();
    }
  }

  async #keepAlive(end: AbortSignal): Promise<void> {
    const intervalMs = Math.floor((this.ttlSeconds * 1000) / 3);
    const backoff = new Backoff({ minMs: 50, maxMs: Math.max(50, intervalMs) });
    while (!end.aborted) {
      try {
        await this.#keepAliveOnOneStream(end, intervalMs, backoff);
      } catch (error) {
        rethrowBug(error);
        // The connection: another stream, until the time to live is over.
      }
      if (!(await waitFor(backoff.next(), end))) return;
    }
  }

  async #keepAliveOnOneStream(end: AbortSignal, intervalMs: number, backoff: Backoff): Promise<void> {
    const stream = await this.#context.openStream();
    try {
      while (!end.aborted) {
        const sentMs = performance.now();
        const response = await answer(stream, this.id, end, intervalMs);
        if (Number(response.TTL) <= 0) {
          this.#lose();
          return;
        }
        this.#validUntilMs = sentMs + Number(response.TTL) * 1000;
        this.#armExpiry();
        backoff.reset();
        if (!(await waitFor(intervalMs, end))) return;
      }
    } finally {
      // Ended first, for the reason in watch-session.ts.
      stream.end();
      stream.cancel();
    }
  }

  #armExpiry(): void {
    clearTimeout(this.#expiry);
    this.#expiry = setTimeout(() => this.#lose(), Math.max(0, this.#validUntilMs - performance.now()));
  }

  #lose(): void {
    clearTimeout(this.#expiry);
    this.#lost.abort();
  }
}

/** One request and its answer; rejects with the stream, after `timeoutMs`, or on abort. */
async function answer(
  stream: KeepAliveStream,
  id: string,
  end: AbortSignal,
  timeoutMs: number,
): Promise<ILeaseKeepAliveResponse> {
  const signal = AbortSignal.any([end, AbortSignal.timeout(timeoutMs)]);
  const answered = once(stream as KeepAliveStream & Duplex, 'data', { signal });
  stream.write({ ID: id });
  const [response] = (await answered) as [ILeaseKeepAliveResponse];
  return response;
}
