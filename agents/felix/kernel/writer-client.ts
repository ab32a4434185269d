// The agent's end of the kernel writer: forks it, numbers the requests, starts it again when it ends. What was with it then
// fails as `writerEnded`: its effect is unknown, so the caller replaces rather than repeats (docs/dataplane.md "Refusals").

import { type ChildProcess, spawn } from 'node:child_process';
import type { EventSink } from '../../../lib/events/event.ts';
import type { Startable } from '../../../lib/lifecycle/startable.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import {
  type ElementChange,
  type ElementQuery,
  type ForeignRules,
  foreignRulesSchema,
  type InterfaceAddresses,
  interfaceAddressesSchema,
  type KernelRequest,
  kernelAnswerSchema,
  kernelReadySchema,
  type NetworkQuery,
  type PodAddresses,
  type Sysctl,
  sysctlListSchema,
  type WorkloadLinkState,
  type WorkloadPair,
  workloadLinkStateSchema,
} from '../../../lib/protocol/kernel-writer.ts';
import { KernelWriteError } from './kernel-error.ts';

/** What the writer did. */
export interface KernelResult {
  readonly output: string;
  readonly rulesetGeneration: number | undefined;
  /** In the writer; the way there and back is not in it. */
  readonly durationMs: number;
}

export interface KernelWriterOptions {
  /** Path of the kernel writer's program (main.ts beside this file, or what it was compiled to). */
  readonly program: string;
  readonly logger: Logger;
  readonly events: EventSink;
  /** Program and arguments put before Node's, such as `nsenter --net=…`: the writer acts in its own namespace. */
  readonly commandPrefix?: readonly string[];
  /** Milliseconds for one request; 30 s if left out. A writer that does not answer is killed. */
  readonly timeoutMs?: number;
  /** Requests that may wait; 1000 if left out. */
  readonly queueLimit?: number;
}

type RequestBody = KernelRequest extends infer R ? (R extends KernelRequest ? Omit<R, 'id'> : never) : never;

interface Pending {
  readonly body: RequestBody;
  readonly resolve: (result: KernelResult) => void;
  readonly reject: (error: KernelWriteError) => void;
  readonly timer: NodeJS.Timeout;
}

const RESTART_DELAY_MS = 100;
const STOP_GRACE_MS = 2_000;

export class KernelWriterClient implements Startable {
  readonly #options: KernelWriterOptions;
  readonly #timeoutMs: number;
  readonly #queueLimit: number;
  readonly #pending = new Map<number, Pending>();
  #child: ChildProcess | undefined;
  #isReady = false;
  #waitingForReady: { readonly send: () => void }[] = [];
  #nextId = 1;
  #isStopped = false;
  #restartTimer: NodeJS.Timeout | undefined;
  #starts = 0;

  constructor(options: KernelWriterOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#queueLimit = options.queueLimit ?? 1_000;
  }

  /** Resolves when the writer has its library. Throws KernelWriteError if it ends first. */
  async start(): Promise<void> {
    this.#fork();
    await this.request({ op: 'rulesetGeneration' });
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** One transaction, all or nothing. Throws KernelWriteError. */
  async nft(text: string): Promise<KernelResult> {
    return await this.request({ op: 'nft', text, output: 'text', isCheck: false });
  }

  /** One transaction of elements of an `inet` table, all or nothing. Throws KernelWriteError. */
  async elements(table: string, changes: readonly ElementChange[]): Promise<KernelResult> {
    return await this.request({ op: 'elements', table, changes: [...changes] });
  }

  /** Whether the kernel would take this transaction; undefined if it would, else what it says. Nothing changes. */
  async checkNft(text: string): Promise<string | undefined> {
    try {
      await this.request({ op: 'nft', text, output: 'text', isCheck: true });
      return undefined;
    } catch (error) {
      if (error instanceof KernelWriteError && error.type.code === 'refused') return error.type.message;
      throw error;
    }
  }

  /** Whether an `inet` table has all of these elements, asked one by one: nothing is listed. */
  async hasElements(table: string, queries: readonly ElementQuery[]): Promise<boolean> {
    return (await this.request({ op: 'hasElements', table, queries: [...queries] })).output === 'true';
  }

  /** JSON output of list or get commands; undefined where the kernel knows no such object. */
  async nftQuery(text: string, output: 'json' | 'terseJson'): Promise<unknown> {
    try {
      const result = await this.request({ op: 'nft', text, output, isCheck: false });
      return JSON.parse(result.output);
    } catch (error) {
      if (error instanceof KernelWriteError && error.type.code === 'refused') return undefined;
      throw error;
    }
  }

  /** Lines for `ip`; all are tried. Throws KernelWriteError `linesFailed` with those that failed. */
  async ip(lines: readonly string[]): Promise<KernelResult> {
    return await this.request({ op: 'ip', lines: [...lines] });
  }

  /** The same with `-6`, for lines in which no address tells the family. */
  async ip6(lines: readonly string[]): Promise<KernelResult> {
    return await this.request({ op: 'ip6', lines: [...lines] });
  }

  /** The same for `bridge`. */
  async bridge(lines: readonly string[]): Promise<KernelResult> {
    return await this.request({ op: 'bridge', lines: [...lines] });
  }

  /** Parsed JSON of a reading `bridge -j` command; undefined where it refuses to say. */
  async bridgeJson(args: readonly string[]): Promise<unknown> {
    return await this.#json({ op: 'bridgeQuery', args: ['-j', ...args] });
  }

  /** What the kernel has of links, routes, neighbours or rules, as JSON of `ip` has it; undefined where it refuses to say. */
  async list(query: NetworkQuery): Promise<unknown> {
    return await this.#json({ op: 'list', query });
  }

  /** Our public key of WireGuard; its private one is in the file, and is made where there is none. */
  async wireguardKey(keyFile: string): Promise<string> {
    return (await this.request({ op: 'wireguardKey', keyFile })).output;
  }

  /** All of a device's configuration but the private key, which is in the file. */
  async configureWireguard(device: string, keyFile: string, configuration: string): Promise<void> {
    await this.request({ op: 'configureWireguard', device, keyFile, configuration });
  }

  /** `wg show DEVICE dump` without its secrets; undefined where it is no such device. */
  async showWireguard(device: string): Promise<string | undefined> {
    try {
      return (await this.request({ op: 'showWireguard', device })).output;
    } catch (error) {
      if (error instanceof KernelWriteError && error.type.code === 'commandFailed') return undefined;
      throw error;
    }
  }

  async sysctl(entries: readonly Sysctl[]): Promise<void> {
    await this.request({ op: 'sysctl', entries: [...entries] });
  }

  /** What stands there of those that are not as they should be; one that does not exist is not wrong. */
  async wrongSysctls(entries: readonly Sysctl[]): Promise<readonly Sysctl[]> {
    const { output } = await this.request({ op: 'wrongSysctls', entries: [...entries] });
    return sysctlListSchema.parse(JSON.parse(output));
  }

  /** Ends the flows of addresses that are nobody's any more. */
  async forgetFlows(addresses: readonly string[]): Promise<void> {
    await this.request({ op: 'forgetFlows', addresses: [...addresses] });
  }

  /** Program and arguments that bring a command into the writer's network namespace; empty where it is our own. */
  get commandPrefix(): readonly string[] {
    return this.#options.commandPrefix ?? [];
  }

  /** The pair, and its end in the workload's namespace; what is there under the host's name is replaced. */
  async makePair(pair: WorkloadPair): Promise<void> {
    await this.request({ op: 'makePair', pair });
  }

  /** Addresses of that end, which has none yet. */
  async addressPod(parts: PodAddresses): Promise<void> {
    await this.request({ op: 'addressPod', parts });
  }

  /** No error if it is not there. */
  async deleteLink(interfaceName: string): Promise<void> {
    await this.request({ op: 'deleteLink', interfaceName });
  }

  /** Whether the link is up, and which of these single addresses have no route of that protocol to it. */
  async linkState(
    interfaceName: string,
    addresses: readonly string[],
    routeProtocol: number,
  ): Promise<WorkloadLinkState> {
    const request = { interfaceName, addresses: [...addresses], routeProtocol };
    const { output } = await this.request({ op: 'linkState', ...request });
    return workloadLinkStateSchema.parse(JSON.parse(output));
  }

  /** Interfaces that are up and have any of these addresses, with those of them that they have. */
  async interfacesWith(addresses: readonly string[]): Promise<InterfaceAddresses> {
    const { output } = await this.request({ op: 'interfacesWith', addresses: [...addresses] });
    return interfaceAddressesSchema.parse(JSON.parse(output));
  }

  /** The ruleset's generation id, and what others have changed of our table since this was asked last. */
  async foreignRules(): Promise<ForeignRules & { readonly generation: number | undefined }> {
    const { output, rulesetGeneration } = await this.request({ op: 'foreignRules' });
    return { ...foreignRulesSchema.parse(JSON.parse(output)), generation: rulesetGeneration };
  }

  /** As JSON of nft's: chains of every table but the `inet` one named, and what of their rules counts for every packet, or sets marks. */
  async othersRuleset(except: string, comment: string): Promise<unknown> {
    return JSON.parse((await this.request({ op: 'othersRuleset', except, comment })).output);
  }

  /** Distinct values in these bits of all conntrack marks. */
  async conntrackMarks(mask: number): Promise<readonly number[]> {
    const { output } = await this.request({ op: 'conntrackMarks', mask });
    return output === '' ? [] : output.split('\n').map(Number);
  }

  async clearConntrackMarks(mask: number, keep: number): Promise<void> {
    await this.request({ op: 'clearConntrackMarks', mask, keep });
  }

  async #json(body: RequestBody): Promise<unknown> {
    try {
      const { output } = await this.request(body);
      return output.trim() === '' ? [] : JSON.parse(output);
    } catch (error) {
      if (error instanceof KernelWriteError && error.type.code === 'commandFailed') return undefined;
      throw error;
    }
  }

  request(body: RequestBody): Promise<KernelResult> {
    if (this.#isStopped) return Promise.reject(new KernelWriteError({ code: 'stopped' }));
    if (this.#pending.size >= this.#queueLimit) {
      return Promise.reject(new KernelWriteError({ code: 'queueFull', limit: this.#queueLimit }));
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.#onTimeout(id), this.#timeoutMs);
      this.#pending.set(id, { body, resolve, reject, timer });
      const send = (): void => {
        this.#child?.send({ ...body, id }, () => undefined);
      };
      if (this.#isReady) send();
      else this.#waitingForReady.push({ send });
    });
  }

  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    clearTimeout(this.#restartTimer);
    const child = this.#child;
    this.#failAll({ code: 'stopped' });
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
      child.once('exit', () => {
        clearTimeout(timer);
        resolve();
      });
      if (child.connected) child.disconnect();
      else child.kill('SIGKILL');
    });
  }

  #fork(): void {
    const argv = [...(this.#options.commandPrefix ?? []), process.execPath, this.#options.program];
    const [program = process.execPath, ...args] = argv;
    const child = spawn(program, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child = child;
    this.#isReady = false;
    child.on('message', (message) => this.#onMessage(message));
    child.on('error', (error) => this.#options.logger.error('kernel writer process failed', { error }));
    // Not 'exit': a program that could not be started at all has none.
    child.once('close', (code, signal) => this.#onExit(code, signal));
  }

  #onMessage(message: unknown): void {
    if (kernelReadySchema.safeParse(message).success) {
      this.#onReady();
      return;
    }
    const answer = kernelAnswerSchema.parse(message);
    const pending = this.#take(answer.id);
    if (pending === undefined) return;
    if (!answer.ok) pending.reject(new KernelWriteError(answer.error));
    else {
      const { output, rulesetGeneration, durationMs } = answer;
      pending.resolve({ output, rulesetGeneration, durationMs });
    }
  }

  #onReady(): void {
    this.#isReady = true;
    this.#starts++;
    const waiting = this.#waitingForReady;
    this.#waitingForReady = [];
    for (const entry of waiting) entry.send();
    const component = 'agent';
    this.#options.events.emit({ component, kind: 'kernelWriterStarted', count: this.#starts });
  }

  #onExit(code: number | null, signal: NodeJS.Signals | null): void {
    const wasReady = this.#isReady;
    this.#isReady = false;
    if (this.#isStopped) return;
    this.#options.logger.warn('kernel writer ended', { code, signal, waiting: this.#pending.size });
    this.#waitingForReady = [];
    this.#failAll({ code: 'writerEnded' });
    const delayMs = wasReady ? 0 : RESTART_DELAY_MS;
    this.#restartTimer = setTimeout(() => this.#fork(), delayMs);
  }

  #onTimeout(id: number): void {
    const pending = this.#take(id);
    pending?.reject(new KernelWriteError({ code: 'timedOut', timeoutMs: this.#timeoutMs }));
    this.#child?.kill('SIGKILL');
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    return pending;
  }

  #failAll(type: { readonly code: 'writerEnded' } | { readonly code: 'stopped' }): void {
    for (const id of [...this.#pending.keys()]) this.#take(id)?.reject(new KernelWriteError(type));
  }
}
