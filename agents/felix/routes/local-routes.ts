// Routes, permanent neighbours and links of this host's workloads (docs/dataplane.md "Routes"): /32 and /128 with a protocol number
// (80) by which a restarted agent knows its own. A link is raised only after the endpoint's policy is in the kernel. Where somebody else
// makes the routes (`routeSyncDisabled`), neither they nor neighbours are written, looked for or swept.

import { z } from 'zod';
import type { Logger } from '../../../lib/logging/logger.ts';
import { FAMILIES, withLength, withoutLength } from '../../../lib/net/ip.ts';
import type { CompiledWorkloadEndpoint } from '../../../lib/policy/compiled.ts';
import { DEFAULT_FELIX_SETTINGS, type FelixSettings, isWorkloadInterface } from '../calc/felix-settings.ts';
import { KernelWriteError } from '../kernel/kernel-error.ts';
import type { KernelWriterClient } from '../kernel/writer-client.ts';

/** Protocols of routes that an administrator, or a program without a number of its own, has made: boot and static. */
const FOREIGN_PROTOCOLS = [3, 4];

export type RouteSettings = Pick<
  FelixSettings,
  | 'routeProtocol'
  | 'routeSource4'
  | 'routeSource6'
  | 'removesForeignRoutes'
  | 'programsRoutes'
  | 'interfacePrefixes'
>;

const neighboursSchema = z.array(
  z.object({ dst: z.string(), dev: z.string(), lladdr: z.string().optional() }),
);
const routesSchema = z.array(z.object({ dst: z.string(), dev: z.string().optional() }));
const linksSchema = z.array(
  z.object({
    ifname: z.string(),
    flags: z.array(z.string()),
    addr_info: z.array(z.object({ local: z.string() })),
  }),
);

/** What of the kernel writer is needed. */
type RouteWriter = Pick<KernelWriterClient, 'ip' | 'list' | 'linkState'>;

interface ProgrammedRoutes {
  readonly interfaceName: string;
  readonly mac: string | undefined;
  readonly nets: readonly string[];
  readonly peering: readonly string[];
  /** Of its routes. */
  readonly protocol: number;
}

export class LocalRoutes {
  readonly #writer: RouteWriter;
  readonly #logger: Logger;
  readonly #desired = new Map<string, CompiledWorkloadEndpoint>();
  readonly #programmed = new Map<string, ProgrammedRoutes>();
  readonly #dirty = new Set<string>();
  /** Which endpoint an address is of, without length. */
  readonly #byAddress = new Map<string, string>();
  #settings: RouteSettings = DEFAULT_FELIX_SETTINGS;

  constructor(writer: RouteWriter, logger: Logger) {
    this.#writer = writer;
    this.#logger = logger;
  }

  /** Undefined: the endpoint is gone, or must not be reachable. Nothing is written until `sync`. */
  set(key: string, endpoint: CompiledWorkloadEndpoint | undefined): void {
    const addressesOf = (of: CompiledWorkloadEndpoint | undefined): readonly string[] =>
      of === undefined ? [] : netsOf(of).map(withoutLength);
    for (const address of addressesOf(this.#desired.get(key)))
      if (this.#byAddress.get(address) === key) this.#byAddress.delete(address);
    for (const address of addressesOf(endpoint)) this.#byAddress.set(address, key);
    if (endpoint === undefined) this.#desired.delete(key);
    else this.#desired.set(key, endpoint);
    // A change of labels or policies leaves routes as they are, and so do we.
    const there = this.#programmed.get(key);
    const isSame = endpoint !== undefined && there !== undefined && isAsProgrammed(endpoint, there);
    if (!isSame) this.#dirty.add(key);
  }

  /** Every route is written anew where protocol or source are others now, or routes are ours to write again. */
  configure(settings: RouteSettings): void {
    const before = this.#settings;
    this.#settings = settings;
    const isSame =
      before.routeProtocol === settings.routeProtocol &&
      before.routeSource4 === settings.routeSource4 &&
      before.routeSource6 === settings.routeSource6 &&
      before.programsRoutes === settings.programsRoutes;
    if (!isSame) for (const key of this.#desired.keys()) this.#dirty.add(key);
  }

  /** Whether the address is a workload's here, and if so behind which interface and with which link-layer address. */
  neighbourOf(
    address: string,
  ): { readonly interfaceName: string; readonly mac: string | undefined } | undefined {
    const endpoint = this.#desired.get(this.#byAddress.get(address) ?? '');
    return endpoint && { interfaceName: endpoint.interfaceName, mac: endpoint.mac?.toLowerCase() };
  }

  /** Addresses of the endpoint, as it is so far, that it will have no longer. */
  leavingAddresses(key: string, next: CompiledWorkloadEndpoint | undefined): readonly string[] {
    const before = this.#desired.get(key);
    const kept = next === undefined ? [] : netsOf(next);
    return (before === undefined ? [] : netsOf(before))
      .filter((net) => !kept.includes(net))
      .map(withoutLength);
  }

  /** Whether the interface's workload peers with this host, and this is what the host is to it. */
  isPeeringAddress(interfaceName: string, address: string): boolean {
    return [...this.#desired.values()].some(
      (endpoint) => endpoint.interfaceName === interfaceName && endpoint.peeringAddresses?.includes(address),
    );
  }

  /** Interfaces of endpoints that are programmed. */
  get interfaces(): readonly string[] {
    return [...this.#programmed.values()].map(({ interfaceName }) => interfaceName);
  }

  isProgrammed(key: string): boolean {
    return this.#programmed.has(key) && !this.#dirty.has(key);
  }

  /** What was programmed has gone (an interface made anew under the same name): the next `sync` writes it again. */
  writeAnew(key: string): void {
    if (this.#desired.has(key)) this.#dirty.add(key);
  }

  /** Writes what has changed, and tries again what failed before. Keys of endpoints whose link is up now, and whose routes are there. */
  async sync(): Promise<readonly string[]> {
    const keys = [...this.#dirty];
    const { routeProtocol } = this.#settings;
    const lines: { readonly key: string; readonly line: string; readonly mayFail: boolean }[] = [];
    for (const key of keys) lines.push(...this.#removals(key));
    const absent = await this.#run(keys.flatMap((key) => this.#raising(key)));
    for (const key of keys) if (!absent.has(key)) lines.push(...this.#additions(key));
    const failed = new Set([...absent, ...(await this.#run(lines))]);
    const programmed: string[] = [];
    for (const key of keys) {
      const endpoint = this.#desired.get(key);
      if (endpoint === undefined) {
        this.#programmed.delete(key);
        this.#dirty.delete(key);
      } else if (!failed.has(key)) {
        this.#programmed.set(key, {
          interfaceName: endpoint.interfaceName,
          mac: endpoint.mac,
          nets: netsOf(endpoint),
          peering: endpoint.peeringAddresses ?? [],
          protocol: routeProtocol,
        });
        this.#dirty.delete(key);
        programmed.push(key);
      }
    }
    return programmed;
  }

  /**
   * Takes away routes on workload interfaces that no endpoint has now: ours of an earlier life and, unless the settings leave
   * them, others'. Their networks.
   */
  async sweep(): Promise<readonly string[]> {
    const { routeProtocol, removesForeignRoutes, interfacePrefixes, programsRoutes } = this.#settings;
    if (!programsRoutes) return [];
    const wanted = new Set<string>();
    for (const endpoint of this.#desired.values()) {
      for (const net of netsOf(endpoint)) wanted.add(`${net} ${endpoint.interfaceName}`);
    }
    const stale: { readonly net: string; readonly line: string }[] = [];
    const protocols = [routeProtocol, ...(removesForeignRoutes ? FOREIGN_PROTOCOLS : [])];
    for (const protocol of new Set(protocols)) {
      for (const { dst, dev } of await this.#list(protocol)) {
        if (dev === undefined || !isWorkloadInterface(interfacePrefixes, dev)) continue;
        const net = withLength(dst);
        const isOurs = protocol === routeProtocol && wanted.has(`${net} ${dev}`);
        if (!isOurs) stale.push({ net, line: `route del ${net} dev ${dev} proto ${protocol}` });
      }
    }
    await this.#run(stale.map(({ line }) => ({ key: '', line, mayFail: true })));
    return stale.map(({ net }) => net);
  }

  /**
   * What of programmed endpoints is not in the kernel as it was written, in words by key, by a look at the kernel: routes,
   * neighbours, addresses for peering, links that are down. They are written anew by the next `sync`.
   */
  async findWrong(): Promise<ReadonlyMap<string, readonly string[]>> {
    const routes = new Set(
      (await this.#list(this.#settings.routeProtocol)).map(({ dst, dev }) => `${dst} ${dev}`),
    );
    const [neighbours, { up, addresses }] = await Promise.all([this.#neighbours(), this.#links()]);
    const found = new Map<string, readonly string[]>();
    for (const [key, { interfaceName, mac, nets, peering }] of this.#programmed) {
      const wrong = (this.#settings.programsRoutes ? nets : []).flatMap((net) => {
        const end = `${withoutLength(net)} ${interfaceName}`;
        if (!routes.has(end)) return [`route ${net}`];
        return mac === undefined || neighbours.get(end) === mac.toLowerCase()
          ? []
          : [`neighbour ${withoutLength(net)}`];
      });
      for (const address of peering)
        if (!addresses.has(`${address} ${interfaceName}`)) wrong.push(`address ${address}`);
      if (!up.has(interfaceName)) wrong.unshift(`link ${interfaceName}`);
      if (wrong.length === 0) continue;
      found.set(key, wrong);
      this.#dirty.add(key);
    }
    return found;
  }

  /** What of an endpoint's link and routes is not there, asked of the kernel for this interface alone. */
  async missingFor(endpoint: CompiledWorkloadEndpoint): Promise<readonly string[]> {
    const { interfaceName } = endpoint;
    const nets = this.#settings.programsRoutes ? netsOf(endpoint) : [];
    const addresses = nets.map(withoutLength);
    const { link, unrouted } = await this.#writer.linkState(
      interfaceName,
      addresses,
      this.#settings.routeProtocol,
    );
    if (link === 'missing') return [`interface ${interfaceName}`];
    const missing = link === 'up' ? [] : [`link ${interfaceName} up`];
    const lost = nets.filter((net) => unrouted.includes(withoutLength(net)));
    return [...missing, ...lost.map((net) => `route ${net}`)];
  }

  /** By itself and first: `ip` ends with a neighbour on an interface that is not there, and would be started for each line. */
  #raising(key: string): { key: string; line: string; mayFail: boolean }[] {
    const endpoint = this.#desired.get(key);
    if (endpoint === undefined) return [];
    return [{ key, line: `link set dev ${endpoint.interfaceName} up`, mayFail: false }];
  }

  #additions(key: string): { key: string; line: string; mayFail: boolean }[] {
    const endpoint = this.#desired.get(key);
    if (endpoint === undefined) return [];
    const { interfaceName, mac } = endpoint;
    const { routeProtocol, routeSource4, routeSource6, programsRoutes } = this.#settings;
    const lines = (endpoint.peeringAddresses ?? []).map(
      (address) =>
        `addr replace ${withLength(address)} dev ${interfaceName}${address.includes(':') ? ' nodad' : ' scope link'}`,
    );
    for (const net of programsRoutes ? netsOf(endpoint) : []) {
      const isV6 = net.includes(':');
      const from = isV6 ? routeSource6 : routeSource4;
      const rest = `${isV6 ? '' : ' scope link'} proto ${routeProtocol}${from === undefined ? '' : ` src ${from}`}`;
      lines.push(`route replace ${net} dev ${interfaceName}${rest}`);
      if (mac === undefined) continue;
      lines.push(`neigh replace ${withoutLength(net)} lladdr ${mac} dev ${interfaceName} nud permanent`);
    }
    return lines.map((line) => ({ key, line, mayFail: false }));
  }

  /** What was programmed and is no longer wanted. The interface, and the route with it, may be gone already. */
  #removals(key: string): { key: string; line: string; mayFail: boolean }[] {
    const before = this.#programmed.get(key);
    if (before === undefined) return [];
    const endpoint = this.#desired.get(key);
    const isThere = endpoint?.interfaceName === before.interfaceName;
    const kept = new Set(isThere ? netsOf(endpoint) : []);
    const keptPeering = new Set(isThere ? endpoint.peeringAddresses : []);
    const peering = before.peering
      .filter((address) => !keptPeering.has(address))
      .map((address) => `addr del ${withLength(address)} dev ${before.interfaceName}`);
    const nets = before.nets
      .filter((net) => !kept.has(net))
      .flatMap((net) => [
        `route del ${net} dev ${before.interfaceName} proto ${before.protocol}`,
        // `neigh del` of one that is not there would end `ip`.
        `neigh flush to ${withoutLength(net)} dev ${before.interfaceName} nud permanent`,
      ]);
    return [...peering, ...nets].map((line) => ({ key, line, mayFail: true }));
  }

  async #run(
    lines: readonly { readonly key: string; readonly line: string; readonly mayFail: boolean }[],
  ): Promise<ReadonlySet<string>> {
    const failed = new Set<string>();
    if (lines.length === 0) return failed;
    try {
      await this.#writer.ip(lines.map(({ line }) => line));
    } catch (error) {
      if (!(error instanceof KernelWriteError)) throw error;
      if (error.type.code !== 'linesFailed') {
        this.#logger.warn('routes could not be written', { error });
        return new Set(lines.map(({ key }) => key));
      }
      for (const { line, message } of error.type.failures) {
        const entry = lines[line];
        if (entry === undefined || entry.mayFail) continue;
        failed.add(entry.key);
        this.#logger.debug('ip line failed', { line: entry.line, message });
      }
    }
    return failed;
  }

  async #list(protocol: number): Promise<z.infer<typeof routesSchema>> {
    const both = await Promise.all(
      FAMILIES.map((family) => this.#writer.list({ what: 'routes', family, protocol })),
    );
    // A host without IPv6 has no answer for that family.
    return both.flatMap((routes) => routesSchema.safeParse(routes).data ?? []);
  }

  /** Interfaces that are up, and all of them by `address interface`; addresses are not read where no workload peers. */
  async #links(): Promise<{ readonly up: ReadonlySet<string>; readonly addresses: ReadonlySet<string> }> {
    const withAddresses = [...this.#programmed.values()].some(({ peering }) => peering.length > 0);
    const listed = await this.#writer.list({ what: 'links', withAddresses });
    const links = linksSchema.safeParse(listed).data ?? [];
    return {
      up: new Set(links.flatMap(({ ifname, flags }) => (flags.includes('UP') ? [ifname] : []))),
      addresses: new Set(
        links.flatMap(({ ifname, addr_info: infos }) => infos.map(({ local }) => `${local} ${ifname}`)),
      ),
    };
  }

  /** Link-layer address by `address interface`, of permanent neighbours. */
  async #neighbours(): Promise<ReadonlyMap<string, string>> {
    const neighbours = neighboursSchema.safeParse(await this.#writer.list({ what: 'neighbours' })).data ?? [];
    return new Map(neighbours.map(({ dst, dev, lladdr }) => [`${dst} ${dev}`, lladdr ?? '']));
  }
}

function isAsProgrammed(endpoint: CompiledWorkloadEndpoint, there: ProgrammedRoutes): boolean {
  const nets = netsOf(endpoint);
  return (
    endpoint.interfaceName === there.interfaceName &&
    endpoint.mac === there.mac &&
    isSame(nets, there.nets) &&
    isSame(endpoint.peeringAddresses ?? [], there.peering)
  );
}

function isSame(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((text, index) => text === b[index]);
}

function netsOf(endpoint: CompiledWorkloadEndpoint): readonly string[] {
  return [...endpoint.nets4, ...endpoint.nets6];
}
