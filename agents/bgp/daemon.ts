// bgpd as a process: one speaker under the configuration in force, its state directory and its control socket.

import { readFile } from 'node:fs/promises';
import type { EventLog } from '../../lib/events/event-log.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { formatIp } from '../../lib/net/ip.ts';
import type {
  BgpdConfiguration,
  BgpdFieldError,
  BgpdRequest,
  BgpdResponse,
  BgpdStatus,
} from '../../lib/protocol/bgpd.ts';
import { needsNewSpeaker, parseConfiguration, type SpeakerConfig, speakerConfig } from './config.ts';
import { ControlServer } from './control/control-server.ts';
import { StateDir } from './control/state-dir.ts';
import { peerStatus, ribView } from './control/views.ts';
import { CeaseSubcode } from './packet/iana.ts';
import { Speaker } from './speaker.ts';

export interface DaemonOptions {
  readonly stateDir: string;
  readonly host: string;
  readonly log: Logger;
  readonly events: EventLog;
  /** The process is to end: asked for over the socket. */
  readonly onEnd: (kind: 'shutdown' | 'restart') => void;
}

type Answered = Exclude<BgpdRequest, { type: 'events' }>;
type Applied = { readonly ok: true } | { readonly ok: false; readonly errors: readonly BgpdFieldError[] };

export class Daemon {
  readonly #options: DaemonOptions;
  readonly #state: StateDir;
  readonly #control: ControlServer;
  readonly #startedAt = new Date();
  #speaker: Speaker | undefined;
  #number: number | undefined;
  #isRestart = false;
  #applying: Promise<unknown> = Promise.resolve();

  constructor(options: DaemonOptions) {
    this.#options = options;
    this.#state = new StateDir(options.stateDir);
    this.#control = new ControlServer({
      path: this.#state.socketPath,
      host: options.host,
      log: options.log,
      events: options.events,
      configurationNumber: () => this.#number,
      handle: (request) => this.#handle(request),
    });
  }

  /** Starts from the last configuration that was accepted; waits for one where there is none. */
  async start(): Promise<void> {
    const { log, events } = this.#options;
    await this.#state.prepare();
    await this.#control.start();
    this.#isRestart = await this.#state.beginRun();
    events.emit({
      component: 'bgpd',
      kind: 'bgpdStarted',
      cause: this.#isRestart ? 'restart' : 'first start',
    });
    const saved = await this.#state.readConfiguration();
    if (saved === undefined) {
      log.info('waiting for a configuration', { socket: this.#state.socketPath });
      return;
    }
    const applied = await this.#queued(() => this.#apply(saved.configuration, saved.number, false));
    if (!applied.ok) log.error('the saved configuration is not usable', { errors: applied.errors });
  }

  /** `shutdown`: leaves for good. `restart`: routes stay, here and at the peers. */
  async stop(kind: 'shutdown' | 'restart'): Promise<void> {
    this.#options.events.emit({ component: 'bgpd', kind: 'bgpdStopping', cause: kind });
    await this.#applying;
    if (kind === 'shutdown') {
      await this.#speaker?.leave();
      await this.#state.endRun();
    } else {
      await this.#speaker?.pause();
    }
    this.#speaker = undefined;
    await this.#control.stop();
  }

  #handle(request: Answered): Promise<BgpdResponse> {
    switch (request.type) {
      case 'configure':
        return this.#configure(request.number, request.configuration);
      case 'status':
        return Promise.resolve({ type: 'status', status: this.#status() });
      case 'shutdown':
      case 'restart':
        setImmediate(() => this.#options.onEnd(request.type));
        return Promise.resolve({ type: 'acknowledged' });
      default:
        return Promise.resolve(this.#handleRouting(request));
    }
  }

  #handleRouting(request: Extract<Answered, { type: 'rib' | 'reset' | 'refresh' }>): BgpdResponse {
    const speaker = this.#speaker;
    if (speaker === undefined) {
      return { type: 'error', code: 'notConfigured', message: 'bgpd has no configuration yet' };
    }
    if (request.type === 'rib') return { type: 'rib', ...ribView(speaker, request.prefix, request.limit) };
    const peer = speaker.peer(request.peer);
    if (peer === undefined)
      return { type: 'error', code: 'unknownPeer', message: `no peer is named ${request.peer}` };
    if (request.type === 'reset') peer.reset(CeaseSubcode.administrativeReset);
    else if (!peer.requestRefresh()) {
      return {
        type: 'error',
        code: 'badRequest',
        message: `${request.peer} is not established with route refresh`,
      };
    }
    return { type: 'acknowledged' };
  }

  async #configure(number: number, document: unknown): Promise<BgpdResponse> {
    const applied = await this.#queued(() => this.#apply(document, number, true));
    if (applied.ok) return { type: 'acknowledged', number };
    this.#options.events.emit({
      component: 'bgpd',
      kind: 'configurationRefused',
      count: applied.errors.length,
    });
    return { type: 'refused', number, errors: applied.errors };
  }

  /** One configuration after the other. */
  #queued<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#applying.then(work);
    this.#applying = next.catch(() => undefined);
    return next;
  }

  async #apply(document: unknown, number: number, save: boolean): Promise<Applied> {
    const started = performance.now();
    const parsed = parseConfiguration(document);
    if (!parsed.ok) return parsed;
    const passwords = await readPasswords(parsed.configuration);
    if (!passwords.ok) return passwords;
    const config = speakerConfig(parsed.configuration, passwords.contentByPath);
    await this.#run(config);
    this.#number = number;
    if (save) await this.#state.writeConfiguration({ number, configuration: document });
    const durationMs = Math.round((performance.now() - started) * 1000) / 1000;
    this.#options.events.emit({
      component: 'bgpd',
      kind: 'configurationApplied',
      durationMs,
      cause: `number ${number}`,
    });
    this.#options.log.info('configuration applied', { number, peers: config.peers.length });
    return { ok: true };
  }

  async #run(config: SpeakerConfig): Promise<void> {
    const { log, events } = this.#options;
    if (this.#speaker !== undefined && !needsNewSpeaker(this.#speaker.config, config)) {
      await this.#speaker.reconfigure(config);
      return;
    }
    const isReplacement = this.#speaker !== undefined;
    await this.#speaker?.leave(CeaseSubcode.otherConfigurationChange);
    const isRestart = this.#isRestart && !isReplacement;
    this.#speaker = new Speaker(config, { log, events, isRestart, random: Math.random });
    await this.#speaker.start();
  }

  #status(): BgpdStatus {
    const speaker = this.#speaker;
    const base = {
      startedAt: this.#startedAt.toISOString(),
      ...(this.#number === undefined ? {} : { configurationNumber: this.#number }),
    };
    const eventsLost = this.#control.eventsLost;
    if (speaker === undefined) {
      return {
        ...base,
        restarting: false,
        peers: [],
        kernel: { installed: 0, failed: [] },
        counters: { unknownSource: 0, destinations: 0, eventsLost },
      };
    }
    return {
      ...base,
      routerId: formatIp({ family: 4, value: BigInt(speaker.config.routerId) }),
      asn: speaker.config.asn,
      restarting: speaker.isRestarting,
      peers: [...speaker.peers].map((peer) => peerStatus(speaker, peer)),
      kernel: { installed: speaker.kernel.installed, failed: speaker.kernel.failures },
      counters: {
        unknownSource: speaker.listener.unknownSources,
        destinations: speaker.rib.size,
        eventsLost,
      },
    };
  }
}

/** The first line of each file, without its end. */
async function readPasswords(
  configuration: BgpdConfiguration,
): Promise<
  | { readonly ok: true; readonly contentByPath: ReadonlyMap<string, string> }
  | { readonly ok: false; readonly errors: readonly BgpdFieldError[] }
> {
  const contentByPath = new Map<string, string>();
  const errors: BgpdFieldError[] = [];
  for (const [index, { passwordFile }] of configuration.peers.entries()) {
    if (passwordFile === undefined) continue;
    const content = await readFile(passwordFile, 'utf8').catch(() => undefined);
    const password = content?.split('\n')[0] ?? '';
    if (password === '' || Buffer.byteLength(password) > 80) {
      errors.push({
        field: `peers[${index}].passwordFile`,
        message: 'cannot be read, or does not hold 1 to 80 octets',
      });
    }
    contentByPath.set(passwordFile, password);
  }
  return errors.length === 0 ? { ok: true, contentByPath } : { ok: false, errors };
}
