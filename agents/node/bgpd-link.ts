// The agent's link to bgpd (docs/interfaces.md "agent → bgpd"): keeps a client of its control socket, hands over the whole
// configuration whenever it changes or bgpd comes back, and takes bgpd's events into the host's log.

import type { EventKind } from '../../lib/events/event.ts';
import type { EventLog } from '../../lib/events/event-log.ts';
import { waitFor } from '../../lib/lifecycle/backoff.ts';
import type { Startable } from '../../lib/lifecycle/startable.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import type { BgpdConfigurationInput } from '../../lib/protocol/bgpd.ts';
import {
  BgpdClient,
  BgpdClientError,
  type BgpdRib,
  type PageOptions,
} from '../../lib/protocol/bgpd-client.ts';
import type { BgpdReceivedPath, BgpdSentPath, BgpdWhy } from '../../lib/protocol/bgpd-routes.ts';
import type { BgpdEvent, BgpdHistory, BgpdStatus } from '../../lib/protocol/bgpd-status.ts';

const RECONNECT_MS = 250;
const RETRY_MS = 1000;
/** Destinations that are asked for at once. */
const WHOLE_RIB = 100_000;

export class BgpdLink implements Startable {
  readonly #path: string;
  readonly #events: EventLog;
  readonly #logger: Logger;
  readonly #stopping = new AbortController();
  #running: Promise<void> = Promise.resolve();
  /** While bgpd answers. */
  #client: BgpdClient | undefined;
  #number = 0;
  #wanted: BgpdConfigurationInput | undefined;
  /** To whom configurations are on their way. */
  #handingTo: BgpdClient | undefined;
  #lastEventSeq = 0;
  #bgpdStart = '';
  #configurationErrors: readonly string[] = [];

  constructor(path: string, events: EventLog, logger: Logger) {
    this.#path = path;
    this.#events = events;
    this.#logger = logger;
  }

  /** What bgpd refused of the last configuration; empty if nothing. */
  get configurationErrors(): readonly string[] {
    return this.#configurationErrors;
  }

  async start(): Promise<void> {
    this.#running = this.#run(this.#stopping.signal);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#client?.close();
    await this.#running;
  }

  /** Kept, and handed over now and whenever bgpd comes back. */
  configure(configuration: BgpdConfigurationInput): void {
    this.#wanted = configuration;
    this.#number += 1;
    if (this.#client !== undefined) void this.#handOver(this.#client);
  }

  /** Throws BgpdClientError. */
  async status(): Promise<BgpdStatus> {
    return this.#connected().status();
  }

  /** The first destinations, 1,000 or as many as asked for, or the one of the prefix. Throws BgpdClientError. */
  async rib(page: PageOptions = {}): Promise<BgpdRib> {
    return this.#connected().rib(page);
  }

  /** Throws BgpdClientError, for a peer that is none too. */
  async ribIn(peer: string, page: PageOptions): Promise<readonly BgpdReceivedPath[]> {
    return this.#connected().ribIn(peer, page);
  }

  /** Throws BgpdClientError, for a peer that is none too. */
  async ribOut(peer: string, page: PageOptions): Promise<readonly BgpdSentPath[]> {
    return this.#connected().ribOut(peer, page);
  }

  /** Throws BgpdClientError. */
  async why(prefix: string): Promise<readonly BgpdWhy[]> {
    return this.#connected().why(prefix);
  }

  /** Throws BgpdClientError, for a peer that is none too. */
  async history(peer: string, raw: boolean): Promise<BgpdHistory> {
    return this.#connected().history(peer, raw);
  }

  /** Prometheus text. Throws BgpdClientError. */
  async metrics(): Promise<string> {
    return this.#connected().metrics();
  }

  /** Every destination, if there are no more than bgpd tells of; `total` says. Throws BgpdClientError. */
  async wholeRib(): Promise<BgpdRib> {
    return this.#connected().rib({ limit: WHOLE_RIB });
  }

  #connected(): BgpdClient {
    if (this.#client !== undefined) return this.#client;
    throw new BgpdClientError({ code: 'unreachable', path: this.#path });
  }

  async #run(signal: AbortSignal): Promise<void> {
    do {
      const client = await BgpdClient.connect(this.#path, { signal }).catch(() => undefined);
      if (client === undefined) continue;
      if (signal.aborted) client.close();
      else await this.#serve(client);
    } while (await waitFor(RECONNECT_MS, signal));
  }

  /** Until the connection ends. */
  async #serve(client: BgpdClient): Promise<void> {
    this.#client = client;
    try {
      await this.#greet(client);
      await this.#handOver(client);
    } catch (error) {
      // It is connected and does not say what it is: the next connection may do better.
      if (!this.#stopping.signal.aborted) this.#logger.warn('bgpd does not say its status', { error });
      client.close();
    }
    await client.closed;
    this.#client = undefined;
    if (!this.#stopping.signal.aborted) this.#logger.warn('bgpd went away');
  }

  /** Asks who is there before it asks for events: a bgpd that started anew counts them from 1 again. */
  async #greet(client: BgpdClient): Promise<void> {
    const { startedAt } = await client.status();
    if (startedAt !== this.#bgpdStart) this.#lastEventSeq = 0;
    this.#bgpdStart = startedAt;
    client.follow(
      this.#lastEventSeq,
      (event) => this.#onEvent(event),
      (count) => this.#events.emit({ component: 'agent', kind: 'eventsLost', count, cause: 'bgpd' }),
    );
  }

  #onEvent({ host: _host, seq, ...event }: BgpdEvent): void {
    this.#lastEventSeq = seq;
    this.#events.relay({ ...event, kind: event.kind as EventKind });
  }

  /** Until bgpd has answered the newest configuration, or the connection has ended: the next one hands it over. */
  async #handOver(client: BgpdClient): Promise<void> {
    if (this.#handingTo === client) return;
    this.#handingTo = client;
    try {
      let sent = 0;
      while (client === this.#client && this.#wanted !== undefined && sent !== this.#number) {
        sent = this.#number;
        if (await this.#send(client, sent, this.#wanted)) continue;
        if (!(await waitFor(RETRY_MS, this.#stopping.signal))) return;
        sent = 0;
      }
    } finally {
      if (this.#handingTo === client) this.#handingTo = undefined;
    }
  }

  async #send(client: BgpdClient, number: number, configuration: BgpdConfigurationInput): Promise<boolean> {
    try {
      const result = await client.configure(number, configuration);
      this.#configurationErrors = result.ok
        ? []
        : result.errors.map(({ field, message }) => `${field}: ${message}`);
      if (!result.ok) this.#logger.error('bgpd refused the configuration', { errors: result.errors });
      else
        this.#events.emit({
          component: 'agent',
          kind: 'bgpConfigured',
          count: configuration.peers?.length ?? 0,
        });
      return true;
    } catch (error) {
      this.#logger.warn('handing over the BGP configuration failed, trying again', { error });
      return false;
    }
  }
}
