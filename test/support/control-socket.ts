// bgpd's control socket as bgpd serves it, with a speaker behind it that only notes what it was asked.
import { ControlServer } from '../../agents/bgp/control/control-server.ts';
import { EventLog } from '../../lib/events/event-log.ts';
import { silentLogger } from '../../lib/logging/logger.ts';
import type { BgpdFieldError, BgpdRequest, BgpdResponse } from '../../lib/protocol/bgpd.ts';
import type { BgpdStatus } from '../../lib/protocol/bgpd-status.ts';

type Asked = Exclude<BgpdRequest, { type: 'events' }>;

export class ControlSocket {
  readonly events = new EventLog({ host: 'node-1' });
  readonly configured: { readonly number: number; readonly configuration: unknown }[] = [];
  /** What is wrong with every configuration. */
  errors: readonly BgpdFieldError[] = [];
  /** Before the usual answer, or instead of it. */
  onRequest: ((request: Asked) => Promise<BgpdResponse | undefined>) | undefined;
  readonly #startedAt: string;
  readonly #server: ControlServer;

  constructor(path: string, startedAt = '2026-01-01T00:00:00.000Z') {
    this.#startedAt = startedAt;
    this.#server = new ControlServer({
      path,
      host: 'node-1',
      log: silentLogger(),
      events: this.events,
      configurationNumber: () => this.configured.at(-1)?.number,
      handle: async (request) => (await this.onRequest?.(request)) ?? this.#answer(request),
    });
  }

  start(): Promise<void> {
    return this.#server.start();
  }

  stop(): Promise<void> {
    return this.#server.stop();
  }

  #answer(request: Asked): BgpdResponse {
    switch (request.type) {
      case 'configure':
        this.configured.push(request);
        return this.errors.length === 0
          ? { type: 'acknowledged', number: request.number }
          : { type: 'refused', number: request.number, errors: this.errors };
      case 'status':
        return { type: 'status', status: this.#status() };
      case 'rib':
        return this.configured.length === 0
          ? { type: 'error', code: 'notConfigured', message: 'there is no configuration yet' }
          : { type: 'rib', destinations: [], total: 0 };
      default:
        return { type: 'acknowledged' };
    }
  }

  #status(): BgpdStatus {
    return {
      startedAt: this.#startedAt,
      restarting: false,
      peers: [],
      kernel: { installed: 0, failed: [] },
      counters: { unknownSource: 0, refused: {}, destinations: 0, eventsLost: 0, longestTurnMs: 0 },
    };
  }
}
