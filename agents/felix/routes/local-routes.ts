// Routes, permanent neighbours and links of this host's workloads (docs/dataplane.md "Routes"): /32 and /128 with protocol 80,
// by which a restarted agent knows its own. A link is raised only after the endpoint's policy is in the kernel.

import { z } from 'zod';
import type { Logger } from '../../../lib/logging/logger.ts';
import type { CompiledWorkloadEndpoint } from '../../../lib/policy/compiled.ts';
import { KernelWriteError } from '../kernel/kernel-error.ts';
import type { KernelWriterClient } from '../kernel/writer-client.ts';

/** Felix's own number for the routes it owns. */
const ROUTE_PROTOCOL = 80;

const neighboursSchema = z.array(
  z.object({ dst: z.string(), dev: z.string(), lladdr: z.string().optional() }),
);
const routesSchema = z.array(z.object({ dst: z.string(), dev: z.string().optional() }));

interface ProgrammedRoutes {
  readonly interfaceName: string;
  readonly mac: string | undefined;
  readonly nets: readonly string[];
}

/** What one `sync` did. */
export interface RouteSync {
  /** Keys of endpoints whose link is up and whose routes are there. */
  readonly programmed: readonly string[];
  /** Keys of endpoints whose interface is not there, or not yet. */
  readonly waiting: readonly string[];
}

export class LocalRoutes {
  readonly #writer: KernelWriterClient;
  readonly #logger: Logger;
  readonly #desired = new Map<string, CompiledWorkloadEndpoint>();
  readonly #programmed = new Map<string, ProgrammedRoutes>();
  readonly #dirty = new Set<string>();

  constructor(writer: KernelWriterClient, logger: Logger) {
    this.#writer = writer;
    this.#logger = logger;
  }

  /** Undefined: the endpoint is gone, or must not be reachable. Nothing is written until `sync`. */
  set(key: string, endpoint: CompiledWorkloadEndpoint | undefined): void {
    if (endpoint === undefined) this.#desired.delete(key);
    else this.#desired.set(key, endpoint);
    // A change of labels or policies leaves routes as they are, and so do we.
    const there = this.#programmed.get(key);
    const isSame = endpoint !== undefined && there !== undefined && isAsProgrammed(endpoint, there);
    if (!isSame) this.#dirty.add(key);
  }

  isProgrammed(key: string): boolean {
    return this.#programmed.has(key) && !this.#dirty.has(key);
  }

  /** What was programmed has gone (an interface made anew under the same name): the next `sync` writes it again. */
  writeAnew(key: string): void {
    if (this.#desired.has(key)) this.#dirty.add(key);
  }

  get waitingCount(): number {
    return this.#dirty.size;
  }

  /** Writes what has changed, and tries again what failed before. */
  async sync(): Promise<RouteSync> {
    const keys = [...this.#dirty];
    const lines: { readonly key: string; readonly line: string; readonly mayFail: boolean }[] = [];
    for (const key of keys) lines.push(...this.#removals(key));
    const absent = await this.#run(keys.flatMap((key) => this.#raising(key)));
    for (const key of keys) if (!absent.has(key)) lines.push(...this.#additions(key));
    const failed = new Set([...absent, ...(await this.#run(lines))]);
    const programmed: string[] = [];
    const waiting: string[] = [];
    for (const key of keys) {
      const endpoint = this.#desired.get(key);
      if (endpoint === undefined) {
        this.#programmed.delete(key);
        this.#dirty.delete(key);
      } else if (failed.has(key)) {
        waiting.push(key);
      } else {
        this.#programmed.set(key, {
          interfaceName: endpoint.interfaceName,
          mac: endpoint.mac,
          nets: netsOf(endpoint),
        });
        this.#dirty.delete(key);
        programmed.push(key);
      }
    }
    return { programmed, waiting };
  }

  /** Takes away routes of ours on workload interfaces that no endpoint has now: an earlier life's, or another's. */
  async sweep(interfacePrefixes: readonly string[]): Promise<number> {
    const wanted = new Set<string>();
    for (const endpoint of this.#desired.values()) {
      for (const net of netsOf(endpoint)) wanted.add(`${net} ${endpoint.interfaceName}`);
    }
    const stale: string[] = [];
    for (const { dst, dev } of await this.#list()) {
      if (dev === undefined || !interfacePrefixes.some((prefix) => dev.startsWith(prefix))) continue;
      const net = dst.includes('/') ? dst : `${dst}/${dst.includes(':') ? 128 : 32}`;
      if (!wanted.has(`${net} ${dev}`)) stale.push(`route del ${net} dev ${dev} proto ${ROUTE_PROTOCOL}`);
    }
    await this.#run(stale.map((line) => ({ key: '', line, mayFail: true })));
    return stale.length;
  }

  /**
   * Endpoints of which a route is missing, or a neighbour missing or another than theirs, by a look at the kernel; they are
   * written anew by the next `sync`.
   */
  async findWrong(): Promise<readonly string[]> {
    const routes = new Set((await this.#list()).map(({ dst, dev }) => `${dst} ${dev}`));
    const neighbours = await this.#neighbours();
    const isThere = (net: string, { interfaceName, mac }: ProgrammedRoutes): boolean => {
      const end = `${withoutLength(net)} ${interfaceName}`;
      return routes.has(end) && (mac === undefined || neighbours.get(end) === mac.toLowerCase());
    };
    const wrong: string[] = [];
    for (const [key, programmed] of this.#programmed) {
      if (programmed.nets.every((net) => isThere(net, programmed))) continue;
      wrong.push(key);
      this.#dirty.add(key);
    }
    return wrong;
  }

  /** What of an endpoint's link and routes is not there, asked of the kernel for this interface alone. */
  async missingFor(endpoint: CompiledWorkloadEndpoint): Promise<readonly string[]> {
    const { interfaceName } = endpoint;
    const nets = netsOf(endpoint);
    const addresses = nets.map(withoutLength);
    const { link, unrouted } = await this.#writer.linkState(interfaceName, addresses, ROUTE_PROTOCOL);
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
    const lines: string[] = [];
    for (const net of netsOf(endpoint)) {
      const scope = net.includes(':') ? '' : ' scope link';
      lines.push(`route replace ${net} dev ${interfaceName}${scope} proto ${ROUTE_PROTOCOL}`);
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
    const kept = new Set(endpoint?.interfaceName === before.interfaceName ? netsOf(endpoint) : []);
    return before.nets
      .filter((net) => !kept.has(net))
      .flatMap((net) => [
        `route del ${net} dev ${before.interfaceName} proto ${ROUTE_PROTOCOL}`,
        // `neigh del` of one that is not there would end `ip`.
        `neigh flush to ${withoutLength(net)} dev ${before.interfaceName} nud permanent`,
      ])
      .map((line) => ({ key, line, mayFail: true }));
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

  async #list(): Promise<z.infer<typeof routesSchema>> {
    const both = await Promise.all(
      ['-4', '-6'].map((family) =>
        this.#query([family, '-j', 'route', 'show', 'proto', String(ROUTE_PROTOCOL)]),
      ),
    );
    // A host without IPv6 has no answer for that family.
    return both.flatMap((routes) => routesSchema.safeParse(routes).data ?? []);
  }

  /** Link-layer address by `address interface`, of permanent neighbours. */
  async #neighbours(): Promise<ReadonlyMap<string, string>> {
    const both = await Promise.all(
      ['-4', '-6'].map((family) => this.#query([family, '-j', 'neigh', 'show', 'nud', 'permanent'])),
    );
    const neighbours = both.flatMap((answer) => neighboursSchema.safeParse(answer).data ?? []);
    return new Map(neighbours.map(({ dst, dev, lladdr }) => [`${dst} ${dev}`, lladdr ?? '']));
  }

  /** Parsed JSON; undefined where `ip` says that there is no such thing. */
  async #query(args: readonly string[]): Promise<unknown> {
    try {
      const output = await this.#writer.ipQuery(args);
      return output.trim() === '' ? [] : JSON.parse(output);
    } catch (error) {
      if (error instanceof KernelWriteError && error.type.code === 'commandFailed') return undefined;
      throw error;
    }
  }
}

function isAsProgrammed(endpoint: CompiledWorkloadEndpoint, there: ProgrammedRoutes): boolean {
  const nets = netsOf(endpoint);
  return (
    endpoint.interfaceName === there.interfaceName &&
    endpoint.mac === there.mac &&
    nets.length === there.nets.length &&
    nets.every((net, index) => net === there.nets[index])
  );
}

function netsOf(endpoint: CompiledWorkloadEndpoint): readonly string[] {
  return [...endpoint.nets4, ...endpoint.nets6];
}

function withoutLength(net: string): string {
  return net.split('/')[0] ?? net;
}
