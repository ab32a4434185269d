// The host's network but for its table: links, routes and neighbours of workloads, tunnels, kernel settings. Writes what is wanted, and
// puts right, with a record, what others change (docs/dataplane.md "Drift").

import type { EventSink } from '../../../lib/events/event.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import type { CompiledWorkloadEndpoint } from '../../../lib/policy/compiled.ts';
import { IpMonitor } from '../../../lib/process/ip-monitor.ts';
import type { Sysctl } from '../../../lib/protocol/kernel-writer.ts';
import { DEFAULT_FELIX_SETTINGS, type FelixSettings, isWorkloadInterface } from '../calc/felix-settings.ts';
import type { CalcMessage } from '../calc/messages.ts';
import { CONNTRACK_SYSCTLS, hostSysctls, workloadInterfaceSysctls } from '../interfaces/sysctls.ts';
import type { KernelWriterClient } from '../kernel/writer-client.ts';
import { LocalRoutes } from '../routes/local-routes.ts';
import { Tunnels, type WireguardOptions } from '../tunnels/tunnels.ts';
import { type ChangedPart, changedPart, type OwnNetwork } from './kernel-change.ts';

export interface HostNetworkOptions {
  readonly writer: KernelWriterClient;
  readonly events: EventSink;
  readonly logger: Logger;
  readonly nowMs: () => number;
  /** Name of this host's Node. Without one there are no tunnels. */
  readonly hostname: string | undefined;
  readonly wireguard: WireguardOptions | undefined;
  /** Something of ours may have been changed: `look` should be called at `dueAtMs`. */
  readonly onNotice: () => void;
}

const ALL_PARTS: readonly ChangedPart[] = ['workloads', 'foreignRoutes', 'tunnels', 'underlay', 'sysctls'];
/** A change of somebody's is several lines; and the least time between two looks. */
const SETTLE_MS = 20;
const BETWEEN_LOOKS_MS = 250;
/** Interfaces whose settings are looked at in one round, in turn: the kernel does not tell of all settings. */
const INTERFACES_A_LOOK = 8;
/** Interfaces that are asked for one by one before all are listed. */
const MOST_ASKED = 16;
/** Names of what was put right that an event lists. */
const MOST_NAMED = 5;

export class HostNetwork {
  readonly #options: HostNetworkOptions;
  readonly #routes: LocalRoutes;
  readonly #tunnels: Tunnels | undefined;
  readonly #monitor: IpMonitor;
  readonly #own: OwnNetwork;
  #felix: FelixSettings = DEFAULT_FELIX_SETTINGS;
  #programmedInterfaces: ReadonlySet<string> = new Set();
  /** Programmed ones of which a setting may have been changed. */
  readonly #toldInterfaces = new Set<string>();
  /** Those of which link, routes or neighbours may have been changed. */
  readonly #toldWorkloads = new Set<string>();
  #changed = new Set<ChangedPart>();
  #noticedAtMs = 0;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #refreshedAtMs: number | undefined;
  #nextInterface = 0;
  /** What of endpoints was found not to be as written, in words by key, until it has been written again. */
  #wrong: ReadonlyMap<string, readonly string[]> = new Map();
  #hasConntrack = false;
  #repairs = 0;

  constructor(options: HostNetworkOptions) {
    this.#options = options;
    const { writer, events, logger, hostname, wireguard } = options;
    this.#routes = new LocalRoutes(writer, logger);
    this.#tunnels =
      hostname === undefined
        ? undefined
        : new Tunnels({ hostname, writer, events, logger, wireguard }, this.#felix);
    this.#own = this.#ownNetwork();
    this.#monitor = new IpMonitor({
      objects: ['link', 'address', 'route', 'rule', 'neigh', 'netconf'],
      commandPrefix: writer.commandPrefix,
      logger,
      onChange: (line) => this.#onKernelChange(line),
    });
  }

  /** Settings of the whole host. */
  async start(): Promise<void> {
    await this.#options.writer.sysctl(hostSysctls(this.#felix));
    this.#monitor.start();
  }

  /** Those that are there only once the kernel tracks connections. */
  async startConntrack(): Promise<void> {
    await this.#options.writer.sysctl(CONNTRACK_SYSCTLS);
    this.#hasConntrack = true;
  }

  stop(): void {
    this.#monitor.stop();
  }

  get routes(): LocalRoutes {
    return this.#routes;
  }

  /** How often something that others had changed was put right. */
  get repairs(): number {
    return this.#repairs;
  }

  /** Sentences: tunnels that are wanted and that this kernel does not have. */
  get refusedTunnels(): readonly string[] {
    return this.#tunnels?.refused ?? [];
  }

  /** What new workloads get, by the host's interfaces and tunnels; undefined where there is no telling. */
  async workloadMtu(): Promise<number | undefined> {
    return await this.#tunnels?.workloadMtu();
  }

  /** Monotonic milliseconds at which `look` should be called, if somebody seems to have changed something. */
  get dueAtMs(): number {
    if (this.#changed.size === 0) return Number.POSITIVE_INFINITY;
    return Math.max(this.#noticedAtMs + SETTLE_MS, this.#lookedAtMs + BETWEEN_LOOKS_MS);
  }

  apply(message: CalcMessage): void {
    this.#tunnels?.apply(message);
  }

  setFelix(felix: FelixSettings): void {
    if (felix === this.#felix) return;
    this.#felix = felix;
    this.#routes.configure(felix);
    this.#tunnels?.setFelix(felix);
  }

  /** Writes what is wanted and not there. Keys of endpoints that are programmed now. */
  async sync(): Promise<readonly string[]> {
    const programmed = await this.#routes.sync();
    if (programmed.length > 0) await this.#noteProgrammed(programmed);
    this.#said('', (await this.#tunnels?.sync()) ?? []);
    return programmed;
  }

  /** Looks at what may have been changed, or at everything when it is time to; `sync` then writes workloads' links and routes. */
  async look(): Promise<void> {
    const changed = this.#changed;
    const isRefresh = this.#isRefreshDue();
    this.#changed = new Set();
    this.#lookedAtMs = this.#options.nowMs();
    const has = (...parts: readonly ChangedPart[]): boolean =>
      isRefresh || parts.some((part) => changed.has(part));
    try {
      await this.#repairSysctls();
      if (isRefresh || (changed.has('workloads') && (await this.#mayRepair())))
        this.#wrong = await this.#routes.findWrong();
      if (has('foreignRoutes')) this.#said('stray route', await this.#routes.sweep());
      if (has('underlay')) this.#tunnels?.onUnderlayChange();
      if (isRefresh) this.#tunnels?.forgetRefusals();
      if (has('tunnels', 'underlay') && this.#tunnels !== undefined)
        this.#said('', await this.#tunnels.check());
    } catch (error) {
      // What was not looked at is looked at again.
      for (const part of changed) this.#changed.add(part);
      if (isRefresh) this.#refreshedAtMs = undefined;
      throw error;
    }
  }

  /** One whose interface has gone is not repaired: its workload is being taken away, or is to be made anew. */
  async #noteProgrammed(keys: readonly string[]): Promise<void> {
    const wrong = this.#wrong;
    this.#wrong = new Map();
    this.#said(
      '',
      keys.flatMap((key) => wrong.get(key) ?? []),
    );
    const before = this.#programmedInterfaces;
    this.#programmedInterfaces = new Set(this.#routes.interfaces);
    // Whoever made the interface may have left its settings to us.
    const fresh = [...this.#programmedInterfaces].filter((name) => !before.has(name));
    if (fresh.length === 0) return;
    const wanted = fresh.flatMap((name) => workloadInterfaceSysctls(name));
    const unset = await this.#options.writer.wrongSysctls(wanted);
    if (unset.length > 0) await this.#options.writer.sysctl(asWanted(unset, wanted));
  }

  /**
   * A workload that is taken away changes much, and there is nothing to repair: a look at all of them is for interfaces that are
   * still there.
   */
  async #mayRepair(): Promise<boolean> {
    const told = [...this.#toldWorkloads];
    this.#toldWorkloads.clear();
    if (told.length === 0 || told.length > MOST_ASKED) return true;
    const states = await Promise.all(
      told.map((name) => this.#options.writer.linkState(name, [], this.#felix.routeProtocol)),
    );
    return states.some(({ link }) => link !== 'missing');
  }

  #isRefreshDue(): boolean {
    const { nowMs } = this.#options;
    const now = nowMs();
    const intervalMs = this.#felix.routeRefreshMs;
    const isDue =
      this.#refreshedAtMs === undefined || (intervalMs > 0 && now >= this.#refreshedAtMs + intervalMs);
    if (isDue) this.#refreshedAtMs = now;
    return isDue;
  }

  /** Those of the host in each round, those of workloads' interfaces in turn. */
  async #repairSysctls(): Promise<void> {
    const { writer } = this.#options;
    const names = this.#takeInterfaces();
    const wanted: readonly Sysctl[] = [
      ...hostSysctls(this.#felix),
      ...(this.#hasConntrack ? CONNTRACK_SYSCTLS : []),
      ...names.flatMap((name) => workloadInterfaceSysctls(name)),
    ];
    const wrong = await writer.wrongSysctls(wanted);
    if (wrong.length === 0) return;
    const right = asWanted(wrong, wanted);
    await writer.sysctl(right);
    this.#said(
      'setting',
      right.map(({ path, value }, index) => `${path} (was ${wrong[index]?.value}, is ${value})`),
    );
  }

  /** Those that the kernel has told of, and the next in turn. */
  #takeInterfaces(): readonly string[] {
    const all = [...this.#programmedInterfaces];
    const told = [...this.#toldInterfaces].filter((name) => this.#programmedInterfaces.has(name));
    this.#toldInterfaces.clear();
    const count = Math.min(INTERFACES_A_LOOK, all.length);
    const turn = Array.from({ length: count }, (_, at) => all[(this.#nextInterface + at) % all.length] ?? '');
    this.#nextInterface = all.length === 0 ? 0 : (this.#nextInterface + count) % all.length;
    return [...new Set([...told, ...turn])];
  }

  #said(kind: string, what: readonly string[]): void {
    if (what.length === 0) return;
    this.#repairs++;
    const named = what.slice(0, MOST_NAMED).map((text) => `${kind} ${text}`.trim());
    const more = what.length > MOST_NAMED ? ` and ${what.length - MOST_NAMED} more` : '';
    const cause = `${named.join(', ')}${more}`;
    this.#options.logger.warn('somebody else changed the network: put right', { what: cause });
    this.#options.events.emit({ component: 'agent', kind: 'driftRepaired', count: what.length, cause });
  }

  #onKernelChange(line: string | undefined): void {
    const part = line === undefined ? undefined : changedPart(line, this.#own);
    if (line !== undefined && part === undefined) return;
    for (const each of part === undefined ? ALL_PARTS : [part]) this.#changed.add(each);
    if (part === 'workloads') this.#noteWorkload(line ?? '');
    const [, interfaceName] = part === 'sysctls' ? (/^(?:Deleted )?inet6? (\S+)/.exec(line ?? '') ?? []) : [];
    if (interfaceName !== undefined && this.#programmedInterfaces.has(interfaceName))
      this.#toldInterfaces.add(interfaceName);
    this.#noticedAtMs = this.#options.nowMs();
    this.#options.onNotice();
  }

  /** Whose link, route or neighbour the line is about: words are `cali1@if2:`, `cali1`, `10.65.0.3`, `fd65::3/128`. */
  #noteWorkload(line: string): void {
    for (const word of line.split(/\s+/)) {
      const interfaceName = word.replace(/(@\S*)?:$/, '');
      const [address = ''] = word.split('/');
      if (this.#programmedInterfaces.has(interfaceName)) this.#toldWorkloads.add(interfaceName);
      const owner = this.#routes.neighbourOf(address);
      if (owner !== undefined) this.#toldWorkloads.add(owner.interfaceName);
    }
  }

  #ownNetwork(): OwnNetwork {
    const felix = (): FelixSettings => this.#felix;
    return {
      get routeProtocol() {
        return felix().routeProtocol;
      },
      isWorkload: (name) => isWorkloadInterface(this.#felix.interfacePrefixes, name),
      isProgrammed: (name) => this.#programmedInterfaces.has(name),
      isTunnel: (name) => this.#tunnels?.isDevice(name) === true,
      neighbourOf: (address) => this.#routes.neighbourOf(address),
      isPeeringAddress: (interfaceName, address) => this.#routes.isPeeringAddress(interfaceName, address),
      isTunnelNet: (net) => this.#tunnels?.isOurs(net) === true,
      isTunnelTable: (table) => this.#tunnels?.isTable(table) === true,
    };
  }

  /** Endpoints are told one by one, as the table has room for them or not. */
  setEndpoint(key: string, endpoint: CompiledWorkloadEndpoint | undefined): void {
    this.#routes.set(key, endpoint);
  }
}

/** The same settings with the values that they should have. */
function asWanted(wrong: readonly Sysctl[], wanted: readonly Sysctl[]): readonly Sysctl[] {
  const values = new Map(wanted.map(({ path, value }) => [path, value]));
  return wrong.map(({ path }) => ({ path, value: values.get(path) ?? '' }));
}
