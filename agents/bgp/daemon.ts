// bgpd as a process: one speaker under the configuration in force, its state directory and its control socket.

import { readFile } from 'node:fs/promises';
import { isNativeError } from 'node:util/types';
import type { EventLog } from '../../lib/events/event-log.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import { formatIp } from '../../lib/net/ip.ts';
import type {
  BgpdConfiguration,
  BgpdFieldError,
  BgpdRequest,
  BgpdResponse,
} from '../../lib/protocol/bgpd.ts';
import { describeFieldErrors, readBgpdFile } from '../../lib/protocol/bgpd-file.ts';
import type { BgpdStatus } from '../../lib/protocol/bgpd-status.ts';
import { parseConfiguration, type SpeakerConfig, speakerConfig } from './config.ts';
import { needsNewSpeaker } from './config-change.ts';
import { ConfigFileError } from './control/config-file-error.ts';
import { ControlServer } from './control/control-server.ts';
import { LoopTurns } from './control/loop-turns.ts';
import { metricsText } from './control/metrics.ts';
import { peerStatus } from './control/peer-view.ts';
import { answerRouting, type RoutingRequest } from './control/routing-requests.ts';
import { type SavedConfiguration, StateDir } from './control/state-dir.ts';
import { CeaseSubcode } from './packet/iana.ts';
import { isWorthRehearsing, rehearse } from './rehearsal.ts';
import { Speaker } from './speaker.ts';

export interface DaemonOptions {
  readonly stateDir: string;
  /** Read at the start, where it comes before what was saved, and by `reload()`. */
  readonly configFile?: string | undefined;
  readonly host: string;
  readonly log: Logger;
  readonly events: EventLog;
  /** The process is to end: asked for over the socket. */
  readonly onEnd: (kind: 'shutdown' | 'restart') => void;
  /** Time until a configuration that could not be saved is tried again; 10 s if left out. */
  readonly saveRetryMs?: number;
}

const SAVE_RETRY_MS = 10_000;

type Answered = Exclude<BgpdRequest, { type: 'events' }>;
type Applied =
  | { readonly outcome: 'inForce' }
  | { readonly outcome: 'stopping' }
  | { readonly outcome: 'refused'; readonly errors: readonly BgpdFieldError[] };

export class Daemon {
  readonly #options: DaemonOptions;
  readonly #state: StateDir;
  readonly #control: ControlServer;
  readonly #startedAt = new Date();
  readonly #turns = { status: new LoopTurns(), metrics: new LoopTurns() };
  #speaker: Speaker | undefined;
  #number: number | undefined;
  /** Until a speaker has taken up what an earlier run has left. */
  #isRestart = false;
  #isStopping = false;
  #hasRehearsed = false;
  #applying: Promise<unknown> = Promise.resolve();
  /** In force and not on disk, with the reason. */
  #unsaved: { readonly saved: SavedConfiguration; readonly reason: string } | undefined;
  #saveTimer: NodeJS.Timeout | undefined;
  /** What is wrong with the configuration file; undefined where nothing is. */
  #fileProblem: string | undefined;

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
    await this.#state.prepare();
    for (const turns of Object.values(this.#turns)) turns.start();
    // In the queue before anybody can connect: what a client hands over is newer than what is saved.
    await this.#queued(async () => {
      await this.#control.start();
      await this.#load();
    });
  }

  async #load(): Promise<void> {
    const { log, events } = this.#options;
    this.#isRestart = await this.#state.beginRun((error) =>
      log.error('this run cannot be marked', { error }),
    );
    events.emit({
      component: 'bgpd',
      kind: 'bgpdStarted',
      cause: this.#isRestart ? 'restart' : 'first start',
    });
    const saved = await this.#state.readConfiguration();
    const { configFile } = this.#options;
    if (configFile !== undefined) {
      const errors = await this.#applyFile(configFile, 1 + (saved?.number ?? 0));
      if (errors.length === 0) return;
      // Better the routes of yesterday's configuration than none.
      if (saved === undefined) {
        // The next run is no restart of this one.
        if (!this.#isRestart) await this.#state.endRun();
        throw new ConfigFileError(configFile, errors);
      }
    }
    if (saved === undefined) {
      log.info('waiting for a configuration', { socket: this.#state.socketPath });
      return;
    }
    const applied = await this.#apply(saved.configuration, saved.number, false);
    if (applied.outcome !== 'refused') return;
    log.error('the saved configuration is not usable', { errors: applied.errors });
  }

  /** Reads the file again; a bad one leaves the configuration in force. */
  async reload(): Promise<void> {
    const { configFile, log } = this.#options;
    if (configFile === undefined) {
      log.warn('there is no configuration file to read again');
      return;
    }
    await this.#queued(() => this.#applyFile(configFile, 1 + (this.#number ?? 0)));
  }

  /** Returns what is wrong with the file; nothing if it is in force. */
  async #applyFile(path: string, number: number): Promise<readonly BgpdFieldError[]> {
    const { log, events } = this.#options;
    const file = await readBgpdFile(path);
    const applied: Applied = file.ok
      ? await this.#apply(file.document, number, true)
      : { outcome: 'refused', errors: file.errors };
    const errors = applied.outcome === 'refused' ? applied.errors : [];
    this.#fileProblem = errors.length === 0 ? undefined : describeFieldErrors(errors);
    if (errors.length === 0) return errors;
    log.error('the configuration file is not usable', { path, errors });
    events.emit({ component: 'bgpd', kind: 'configurationRefused', count: errors.length, cause: path });
    return errors;
  }

  /** `shutdown`: leaves for good. `restart`: routes stay, here and at the peers. */
  async stop(kind: 'shutdown' | 'restart'): Promise<void> {
    this.#isStopping = true;
    this.#options.events.emit({ component: 'bgpd', kind: 'bgpdStopping', cause: kind });
    await this.#applying;
    clearTimeout(this.#saveTimer);
    if (kind === 'shutdown') {
      await this.#speaker?.leave();
      await this.#state.endRun();
    } else {
      await this.#speaker?.pause();
    }
    this.#speaker = undefined;
    for (const turns of Object.values(this.#turns)) turns.stop();
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
      case 'metrics':
        return Promise.resolve({ type: 'metrics', text: this.metrics() });
      default:
        return this.#answerRouting(request);
    }
  }

  async #answerRouting(request: RoutingRequest): Promise<BgpdResponse> {
    if (this.#speaker !== undefined) return answerRouting(this.#speaker, request);
    return { type: 'error', code: 'notConfigured', message: 'bgpd has no configuration yet' };
  }

  /** Prometheus text. */
  metrics(): string {
    return metricsText(this.#speaker, {
      longestTurnMs: this.#turns.metrics.takeLongestMs(),
      eventsLost: this.#control.eventsLost,
      residentBytes: process.memoryUsage.rss(),
    });
  }

  async #configure(number: number, document: unknown): Promise<BgpdResponse> {
    const applied = await this.#queued(() => this.#apply(document, number, true));
    if (applied.outcome === 'inForce') return { type: 'acknowledged', number };
    if (applied.outcome === 'stopping') {
      return { type: 'error', code: 'stopping', message: 'bgpd is about to end' };
    }
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
    if (!parsed.ok) return { outcome: 'refused', errors: parsed.errors };
    const passwords = await readPasswords(parsed.configuration);
    if (!passwords.ok) return { outcome: 'refused', errors: passwords.errors };
    const config = speakerConfig(parsed.configuration, passwords.contentByPath);
    if (this.#isStopping) return { outcome: 'stopping' };
    await this.#run(config);
    this.#number = number;
    if (save) await this.#save({ number, configuration: document });
    const durationMs = Math.round((performance.now() - started) * 1000) / 1000;
    this.#options.events.emit({
      component: 'bgpd',
      kind: 'configurationApplied',
      durationMs,
      cause: `number ${number}`,
    });
    this.#options.log.info('configuration applied', { number, peers: config.peers.length });
    return { outcome: 'inForce' };
  }

  async #run(config: SpeakerConfig): Promise<void> {
    const { log, events } = this.#options;
    const running = this.#speaker;
    if (running !== undefined && !needsNewSpeaker(running.config, config)) {
      await running.reconfigure(config);
      return;
    }
    this.#speaker = undefined;
    this.#number = undefined;
    await running?.leave(CeaseSubcode.otherConfigurationChange);
    if (!this.#hasRehearsed && isWorthRehearsing(config)) {
      this.#hasRehearsed = true;
      log.info('rehearsed', { durationMs: Math.round(rehearse()) });
    }
    const speaker = new Speaker(config, { log, events, isRestart: this.#isRestart, random: Math.random });
    try {
      await speaker.start();
    } catch (error) {
      // Half a speaker must not take the next configuration for a change of its own.
      await speaker.pause();
      throw error;
    }
    this.#isRestart = false;
    this.#speaker = speaker;
  }

  /** A configuration in force counts, saved or not: where the disk is full that is said, and tried again. */
  async #save(saved: SavedConfiguration): Promise<void> {
    clearTimeout(this.#saveTimer);
    try {
      await this.#state.writeConfiguration(saved);
      this.#unsaved = undefined;
    } catch (error) {
      const reason = isNativeError(error) ? error.message : String(error);
      if (this.#unsaved?.reason !== reason) {
        this.#options.log.error('the configuration in force cannot be saved', {
          number: saved.number,
          error,
        });
        this.#options.events.emit({ component: 'bgpd', kind: 'configurationNotSaved', cause: reason });
      }
      this.#unsaved = { saved, reason };
      const again = async (): Promise<void> => {
        if (this.#unsaved !== undefined && !this.#isStopping) await this.#save(this.#unsaved.saved);
      };
      this.#saveTimer = setTimeout(
        () => void this.#queued(again),
        this.#options.saveRetryMs ?? SAVE_RETRY_MS,
      );
    }
  }

  #status(): BgpdStatus {
    const speaker = this.#speaker;
    const base = {
      startedAt: this.#startedAt.toISOString(),
      ...(this.#number === undefined ? {} : { configurationNumber: this.#number }),
      ...(this.#unsaved === undefined ? {} : { configurationNotSaved: this.#unsaved.reason }),
      ...(this.#fileProblem === undefined ? {} : { configurationFileProblem: this.#fileProblem }),
    };
    const common = {
      eventsLost: this.#control.eventsLost,
      longestTurnMs: this.#turns.status.takeLongestMs(),
    };
    if (speaker === undefined) {
      return {
        ...base,
        restarting: false,
        peers: [],
        kernel: { installed: 0, failed: [] },
        counters: { unknownSource: 0, refused: {}, destinations: 0, ...common },
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
        unknownSource: speaker.listener.refused.unknownAddress ?? 0,
        refused: speaker.listener.refused,
        destinations: speaker.rib.size,
        ...common,
      },
    };
  }
}

/** The first line of each file, without its end. */
async function readPasswords({
  peers,
  dynamicPeers,
}: BgpdConfiguration): Promise<
  | { readonly ok: true; readonly contentByPath: ReadonlyMap<string, string> }
  | { readonly ok: false; readonly errors: readonly BgpdFieldError[] }
> {
  const contentByPath = new Map<string, string>();
  const errors: BgpdFieldError[] = [];
  const named = Object.entries({ peers, dynamicPeers }).flatMap(([list, entries]) =>
    entries.map(({ passwordFile }, index) => ({ field: `${list}[${index}].passwordFile`, passwordFile })),
  );
  for (const { field, passwordFile } of named) {
    if (passwordFile === undefined) continue;
    const content = await readFile(passwordFile, 'utf8').catch(() => undefined);
    const password = content?.split('\n')[0] ?? '';
    if (password === '' || Buffer.byteLength(password) > 80) {
      errors.push({ field, message: 'cannot be read, or does not hold 1 to 80 octets' });
    }
    contentByPath.set(passwordFile, password);
  }
  return errors.length === 0 ? { ok: true, contentByPath } : { ok: false, errors };
}
