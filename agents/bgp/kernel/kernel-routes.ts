// Desired and actual routes of our protocol number in the kernel. Desired comes from the RIB (learned) and from the
// configuration (blackholes, ways to peers); the difference goes out in batches. What stands there at start stays until sweep().

import type { Logger } from '../../../lib/logging/logger.ts';
import { type Cidr, cidrCovers, formatCidr } from '../../../lib/net/ip.ts';
import { IpBatch } from '../../../lib/process/ip-batch.ts';
import { IpMonitor, interfaceOf } from '../../../lib/process/ip-monitor.ts';
import { runOk } from '../../../lib/process/run.ts';
import type { KernelConfig } from '../config.ts';
import type { ForwardingChange } from '../rib/forwarding.ts';
import { RetryTimer } from './retry-timer.ts';
import { type KernelRoute, parseRoutes, routeCommand, routeKey, throughGateways } from './route.ts';

/** What a batch did, whoever asked for it: a flush, a configuration, or a comparison with what is there. */
export interface KernelResult {
  readonly installed: readonly Cidr[];
  readonly withdrawn: readonly Cidr[];
  readonly durationMs: number;
}

export interface KernelLookup {
  readonly isEnabled: boolean;
  /** There is a best path from a peer. */
  readonly isLearned: boolean;
  /** The configuration lets a learned route for the prefix into the kernel. */
  readonly isAllowed: boolean;
  readonly desired: KernelRoute | undefined;
  readonly actual: KernelRoute | undefined;
  readonly error: string | undefined;
}

const RECONCILE_MS = 10_000;
const LINK_MS = 100;
const LIST_TIMEOUT_MS = 10_000;
const LIST_MAX_BYTES = 256 * 1024 * 1024;
/** So many prefixes are read one by one; more, and the whole table is. */
const MAX_EXACT = 8;

interface Work {
  readonly action: 'add' | 'replace' | 'del';
  readonly key: string;
  readonly route: KernelRoute;
}

export class KernelRoutes {
  readonly #log: Logger;
  readonly #told: (result: KernelResult) => void;
  /** `fail`: an `add` that was done already would be refused the second time. */
  readonly #batch = new IpBatch({ whenEnded: 'fail' });
  #config: KernelConfig;
  /** Blackholes and static routes: they stand before what is learned. */
  #configured: ReadonlyMap<string, KernelRoute> = new Map();
  readonly #learned = new Map<string, KernelRoute>();
  /** What is there, as far as we know. */
  #actual = new Map<string, KernelRoute>();
  readonly #failures = new Map<string, string>();
  /** That our routes go through, as they were read; undefined where some may have been written since. */
  #devices: ReadonlySet<string> | undefined;
  #maySweep = false;
  /** An interface that goes down takes its routes with it, without a word; one that comes up may carry them again. */
  readonly #links: IpMonitor;
  #timer: NodeJS.Timeout | undefined;
  readonly #retry = new RetryTimer({ look: () => this.#reconcile(), maxMs: RECONCILE_MS });
  #queue: Promise<unknown> = Promise.resolve();
  #isStopped = false;

  /** `told` hears of every batch that changed something. */
  constructor(config: KernelConfig, log: Logger, told: (result: KernelResult) => void) {
    this.#config = config;
    this.#log = log;
    this.#told = told;
    this.#links = new IpMonitor({
      objects: ['link', 'address'],
      logger: log,
      onChange: (line) => {
        if (this.#isConcerned(line)) this.#retry.within(LINK_MS);
      },
    });
  }

  /** Reads what an earlier run has left. Returns how many routes that is. */
  async start(): Promise<number> {
    if (!this.#config.enabled) return 0;
    await this.#list();
    this.#timer = setInterval(() => void this.#reconcile(), RECONCILE_MS);
    this.#links.start();
    return this.#actual.size;
  }

  get installed(): number {
    return this.#actual.size;
  }

  get failures(): readonly { readonly prefix: string; readonly error: string }[] {
    return [...this.#failures].map(([prefix, error]) => ({ prefix, error }));
  }

  /** What is to be done with the prefix, and what has been. */
  lookup(prefix: Cidr): KernelLookup {
    const key = formatCidr(prefix);
    const isAllowed = this.#isAllowed(prefix);
    return {
      isEnabled: this.#config.enabled,
      isLearned: this.#learned.has(key),
      isAllowed,
      desired: this.#desired(key),
      actual: this.#actual.get(key),
      error: this.#failures.get(key),
    };
  }

  configure(config: KernelConfig): Promise<void> {
    this.#config = config;
    const routes = [
      ...config.blackholes.map((prefix): KernelRoute => ({ prefix, nextHops: [] })),
      ...config.staticRoutes.map(({ prefix, via }): KernelRoute => ({ prefix, nextHops: [via] })),
    ];
    this.#configured = new Map(routes.map((route) => [formatCidr(route.prefix), route]));
    return this.#apply(() => this.#difference());
  }

  /** Installs what has a way and withdraws what has none any more. */
  apply(changes: readonly ForwardingChange[]): Promise<void> {
    for (const { prefix, nextHops } of changes) {
      const key = formatCidr(prefix);
      if (nextHops.length === 0) this.#learned.delete(key);
      else this.#learned.set(key, { prefix, nextHops });
    }
    const keys = changes.map(({ prefix }) => formatCidr(prefix));
    return this.#apply(() => this.#difference(keys));
  }

  /** From now on what is there and not desired is removed: the tables of the peers are in. */
  sweep(): Promise<void> {
    this.#maySweep = true;
    return this.#apply(() => this.#difference());
  }

  /** `withdraw`: nothing of ours stays. Otherwise the kernel goes on forwarding. */
  async stop(withdraw: boolean): Promise<void> {
    clearInterval(this.#timer);
    this.#links.stop();
    this.#retry.stop();
    if (withdraw && this.#config.enabled) {
      this.#learned.clear();
      this.#configured = new Map();
      this.#maySweep = true;
      await this.#apply(() => this.#difference());
    }
    await this.#queue;
    this.#isStopped = true;
    await this.#batch.stop();
  }

  /**
   * Whether a change of links or addresses may be one of our routes'. Then all of the kernel is looked at; but interfaces of
   * workloads come and go all the time, and a look is two processes.
   */
  #isConcerned(line: string | undefined): boolean {
    const name = line === undefined ? undefined : interfaceOf(line);
    // What is refused may be taken now, through whatever interface.
    return name === undefined || this.#failures.size > 0 || (this.#devices?.has(name) ?? true);
  }

  #desired(key: string): KernelRoute | undefined {
    const configured = this.#configured.get(key);
    if (configured !== undefined) return configured;
    const learned = this.#learned.get(key);
    if (learned === undefined || !this.#isAllowed(learned.prefix)) return undefined;
    return throughGateways(learned, this.#config.staticRoutes);
  }

  #isAllowed(prefix: Cidr): boolean {
    const { onlyPrefixes, exceptPrefixes } = this.#config;
    if (exceptPrefixes.some((denied) => cidrCovers(denied, prefix))) return false;
    return onlyPrefixes?.some((allowed) => cidrCovers(allowed, prefix)) ?? true;
  }

  /** What has to be done for these prefixes, or for all. */
  #difference(keys?: readonly string[]): Work[] {
    if (!this.#config.enabled) return [];
    const all = keys ?? [...this.#actual.keys(), ...this.#learned.keys(), ...this.#configured.keys()];
    const work: Work[] = [];
    for (const key of new Set(all)) {
      const desired = this.#desired(key);
      const actual = this.#actual.get(key);
      if (desired === undefined) {
        this.#failures.delete(key);
        if (actual !== undefined && this.#maySweep) work.push({ action: 'del', key, route: actual });
      } else if (actual === undefined) {
        work.push({ action: 'add', key, route: desired });
      } else if (routeKey(actual) !== routeKey(desired)) {
        work.push({ action: 'replace', key, route: desired });
      }
    }
    return work;
  }

  /**
   * One batch after the other; each is planned when its turn comes, from what the one before has left. Never rejects for
   * what the kernel or `ip` does: what could not be done is tried again.
   */
  #apply(plan: () => Work[]): Promise<void> {
    const next = this.#queue.then(() => (this.#isStopped ? undefined : this.#planned(plan)));
    this.#queue = next.catch(() => undefined);
    return next;
  }

  /**
   * `ip route replace` does not ask whose route it replaces, so the kernel is looked at right before: where somebody else's
   * has come into the place of ours it becomes an `add`, which is refused and reported. Not `del` and `add`: packets to the
   * prefix would leave by another route in between.
   */
  async #planned(plan: () => Work[]): Promise<void> {
    const work = plan();
    const replaced = work.filter(({ action }) => action === 'replace').map(({ route }) => route.prefix);
    if (replaced.length === 0) return this.#execute(work);
    if (await this.#readAgain(replaced)) await this.#execute(plan());
  }

  /**
   * Reads what the kernel has for these prefixes, or all. False if it could not be read: what is known of it stays, and the
   * next comparison asks again.
   */
  async #readAgain(prefixes?: readonly Cidr[]): Promise<boolean> {
    const isFew = prefixes !== undefined && prefixes.length <= MAX_EXACT;
    try {
      await (isFew ? this.#readExact(prefixes) : this.#read());
      return true;
    } catch (error) {
      this.#log.warn('kernel routes could not be read', { error });
      this.#retry.refused();
      return false;
    }
  }

  async #execute(work: readonly Work[]): Promise<void> {
    if (work.length === 0) return;
    const started = performance.now();
    const commands = work.map(({ action, route }) => routeCommand(action, route, this.#config.protocol));
    let failed: ReadonlyMap<number, string>;
    // From now on: an interface may go down while the batch is under way.
    this.#devices = undefined;
    try {
      failed = new Map((await this.#batch.run(commands)).map(({ line, message }) => [line, message]));
    } catch (error) {
      // How much of the batch was done is unknown: look, and let the next reconciliation do the rest.
      this.#log.error('kernel routes could not be written', { error });
      const isKnown = await this.#readAgain();
      this.#retry.refused();
      if (isKnown) this.#tell(this.#done(work), started);
      return;
    }
    this.#tell(this.#record(work, failed), started);
  }

  #tell(result: Omit<KernelResult, 'durationMs'>, started: number): void {
    if (result.installed.length + result.withdrawn.length > 0)
      this.#told({ ...result, durationMs: performance.now() - started });
  }

  /** What of it the kernel has, as it was read again. */
  #done(work: readonly Work[]): Omit<KernelResult, 'durationMs'> {
    const hasCome = ({ action, key, route }: Work): boolean => {
      const actual = this.#actual.get(key);
      return action === 'del'
        ? actual === undefined
        : actual !== undefined && routeKey(actual) === routeKey(route);
    };
    const prefixes = (isRemoval: boolean): Cidr[] =>
      work
        .filter((each) => (each.action === 'del') === isRemoval && hasCome(each))
        .map(({ route }) => route.prefix);
    return { installed: prefixes(false), withdrawn: prefixes(true) };
  }

  #record(work: readonly Work[], failed: ReadonlyMap<number, string>): Omit<KernelResult, 'durationMs'> {
    const installed: Cidr[] = [];
    const withdrawn: Cidr[] = [];
    for (const [index, { action, key, route }] of work.entries()) {
      const error = failed.get(index);
      if (error !== undefined && action !== 'del') {
        if (this.#failures.get(key) !== error) {
          this.#log.warn('route refused by the kernel', { prefix: key, error });
        }
        this.#failures.set(key, error);
        this.#retry.refused();
        continue;
      }
      this.#failures.delete(key);
      if (action === 'del') {
        // Refused: somebody else has taken it away, or has one of his own there. The next comparison tells.
        if (error !== undefined) this.#retry.refused();
        this.#actual.delete(key);
        withdrawn.push(route.prefix);
      } else {
        this.#actual.set(key, route);
        installed.push(route.prefix);
      }
    }
    if (this.#failures.size === 0) this.#retry.succeeded();
    return { installed, withdrawn };
  }

  /** Puts right what somebody else, or an interface going down, has changed. */
  async #reconcile(): Promise<void> {
    try {
      await this.#apply(() => []);
      await this.#list();
      await this.#apply(() => this.#difference());
    } catch (error) {
      this.#log.warn('kernel routes could not be compared', { error });
    }
  }

  async #list(): Promise<void> {
    const listing = this.#queue.then(() => this.#read());
    this.#queue = listing.catch(() => undefined);
    await listing;
  }

  async #read(): Promise<void> {
    const found = new Map<string, KernelRoute>();
    const devices = new Set<string>();
    for (const family of [4, 6] as const) {
      const { stdout } = await runOk(
        'ip',
        [`-${family}`, '-j', 'route', 'show', 'table', 'main', 'proto', String(this.#config.protocol)],
        { timeoutMs: LIST_TIMEOUT_MS, maxOutputBytes: LIST_MAX_BYTES },
      );
      for (const route of parseRoutes(stdout, family)) {
        found.set(formatCidr(route.prefix), route);
        for (const device of route.devices) devices.add(device);
      }
    }
    this.#actual = found;
    this.#devices = devices;
  }

  /** The kernel walks its whole table for each, but nobody writes and reads it as text. */
  async #readExact(prefixes: readonly Cidr[]): Promise<void> {
    for (const [family, ofFamily] of Map.groupBy(prefixes, (prefix) => prefix.family)) {
      const protocol = this.#config.protocol;
      const input = ofFamily.map(
        (prefix) => `route show exact ${formatCidr(prefix)} table main proto ${protocol}\n`,
      );
      const { stdout } = await runOk('ip', [`-${family}`, '-j', '-batch', '-'], {
        ...{ input: input.join(''), timeoutMs: LIST_TIMEOUT_MS, maxOutputBytes: LIST_MAX_BYTES },
      });
      for (const prefix of ofFamily) this.#actual.delete(formatCidr(prefix));
      for (const line of stdout.split('\n'))
        for (const route of parseRoutes(line, family)) this.#actual.set(formatCidr(route.prefix), route);
    }
  }
}
