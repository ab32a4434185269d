// Keeps the kernel's tunnels as the calculation graph wants them: VXLAN devices with their forwarding entries, neighbours and
// routes, IPIP where the kernel has it, blackholes of own blocks (docs/dataplane.md "Tunnels"). What others change is put right.

import type { EventSink } from '../../../lib/events/event.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import { type Family, withoutLength } from '../../../lib/net/ip.ts';
import { type FelixSettings, isWorkloadInterface } from '../calc/felix-settings.ts';
import type { CalcMessage, Encapsulation, RouteUpdate, VtepUpdate } from '../calc/messages.ts';
import { KernelWriteError } from '../kernel/kernel-error.ts';
import type { KernelWriterClient } from '../kernel/writer-client.ts';
import {
  forwardingEntries,
  tunnelLinks,
  tunnelNeighbours,
  tunnelRoutes,
  underlayOf,
} from './kernel-overlay.ts';
import {
  type Overlay,
  type OverlayInputs,
  overlayOf,
  TUNNEL_DEVICES,
  type Underlay,
  usedTunnels,
  workloadMtu,
} from './overlay.ts';
import { type ActualOverlay, type OverlayLine, overlayLines } from './overlay-commands.ts';

export interface TunnelsOptions {
  readonly hostname: string;
  readonly writer: KernelWriterClient;
  readonly events: EventSink;
  readonly logger: Logger;
}

const NO_ENCAPSULATION: Encapsulation = { ipip: false, vxlan: false, vxlanV6: false, noEncap: false };
/** Failures that are told once each; more are not told. */
const MOST_TOLD = 1_000;
const WIREGUARD_DEVICE = 'wireguard.cali';

export class Tunnels {
  readonly #options: TunnelsOptions;
  readonly #vteps = new Map<string, VtepUpdate>();
  readonly #routes = new Map<string, RouteUpdate>();
  #encapsulation = NO_ENCAPSULATION;
  #nodeAddress: Record<Family, string | undefined> = { 4: undefined, 6: undefined };
  #felix: FelixSettings;
  #underlay: Underlay | undefined;
  /** What the kernel has, as far as we know; undefined: it must be looked at. */
  #known: Overlay | undefined;
  #isDirty = true;
  /** Devices that the kernel does not make, with its words. */
  readonly #refused = new Map<string, string>();
  readonly #told = new Set<string>();
  #knownNets: ReadonlySet<string> = new Set();
  /** What was wanted, as text, when last all of it was there: whatever differs from that since is somebody else's doing. */
  #settled: string | undefined;

  constructor(options: TunnelsOptions, felix: FelixSettings) {
    this.#options = options;
    this.#felix = felix;
  }

  /** Nothing is written until `sync`. */
  apply(message: CalcMessage): void {
    switch (message.type) {
      case 'vtepUpdate':
        this.#vteps.set(message.vtep.node, message.vtep);
        break;
      case 'vtepRemove':
        this.#vteps.delete(message.node);
        break;
      case 'routeUpdate': {
        const before = this.#routes.get(message.route.dst);
        this.#routes.set(message.route.dst, message.route);
        if (!this.#concerns(before) && !this.#concerns(message.route)) return;
        break;
      }
      case 'routeRemove': {
        const before = this.#routes.get(message.dst);
        this.#routes.delete(message.dst);
        if (!this.#concerns(before)) return;
        break;
      }
      case 'encapsulationUpdate':
        this.#encapsulation = message.encapsulation;
        break;
      case 'hostUpdate': {
        const { host, ipv4, ipv6 } = message.host;
        if (host !== this.#options.hostname) return;
        this.#nodeAddress = { 4: ipv4 && withoutLength(ipv4), 6: ipv6 && withoutLength(ipv6) };
        break;
      }
      default:
        return;
    }
    this.#isDirty = true;
  }

  /** Most routes do not: those of pools without tunnels, and of our own workloads. */
  #concerns(route: RouteUpdate | undefined): boolean {
    if (route?.pool === undefined || route.pool === 'no-encap') return false;
    return route.node !== this.#options.hostname || !route.localWorkload;
  }

  setFelix(felix: FelixSettings): void {
    if (felix === this.#felix) return;
    if (felix.routeProtocol !== this.#felix.routeProtocol) this.#known = undefined;
    this.#felix = felix;
    this.#underlay = undefined;
    this.#refused.clear();
    this.#isDirty = true;
  }

  /** An interface or address of the host itself is different. */
  onUnderlayChange(): void {
    this.#underlay = undefined;
    this.#isDirty = true;
  }

  /** Sentences: tunnels that are wanted and that this kernel does not have. */
  get refused(): readonly string[] {
    return [...this.#refused].map(([name, said]) => refusal(name, said));
  }

  /** A network that a route or blackhole of ours is for. */
  isOurs(net: string): boolean {
    return this.#knownNets.has(net);
  }

  /** MTU of new workloads by what tunnels take; reads the host's interfaces where they are not known. */
  async workloadMtu(): Promise<number> {
    return workloadMtu(await this.#inputs());
  }

  /** Writes what has changed; in words, what of it others had changed. What the kernel does not take is tried again. */
  async sync(): Promise<readonly string[]> {
    if (!this.#isDirty || this.#isUnused()) return [];
    const isLook = this.#known === undefined;
    const known = this.#known === undefined ? await this.#read() : asActual(this.#known);
    return await this.#write(known, isLook);
  }

  /** Looks at the kernel and puts right what others have changed; in words, what that was. */
  async check(): Promise<readonly string[]> {
    if (this.#isUnused()) return [];
    return await this.#write(await this.#read(), true);
  }

  /** Tries anew what the kernel has refused: a module may have been loaded. */
  forgetRefusals(): void {
    if (this.#refused.size === 0) return;
    this.#refused.clear();
    this.#isDirty = true;
  }

  /** No tunnel is wanted, and none is there. */
  #isUnused(): boolean {
    const isEmpty = this.#known?.links.length === 0 && this.#known.routes.length === 0;
    const { wireguardEnabled, wireguardEnabledV6 } = this.#felix;
    const isWanted = usedTunnels(this.#encapsulation, this.#felix).length > 0;
    return isEmpty && !isWanted && !wireguardEnabled && !wireguardEnabledV6;
  }

  /** `isLook`: what differs was changed by somebody else, unless something else is wanted than was written. */
  async #write(actual: ActualOverlay, isLook: boolean): Promise<readonly string[]> {
    await this.#probeWireguard();
    const inputs = await this.#inputs();
    // From here to the lines nothing waits: what is wanted later makes it dirty again.
    this.#isDirty = false;
    const desired = this.#withoutRefused(overlayOf(inputs));
    const text = JSON.stringify(desired);
    const isDrift = isLook && text === this.#settled;
    const lines = overlayLines(desired, actual, this.#felix.routeProtocol);
    const failed = lines.length === 0 ? [] : await this.#run(lines);
    this.#setKnown(failed.length === 0 ? desired : undefined);
    if (failed.length === 0) this.#settled = text;
    for (const { line, message } of failed) this.#noteFailure(line, message);
    // Next time without what a refused device would have carried; the rest is tried again.
    if (failed.length > 0) this.#isDirty = true;
    return isDrift ? [...new Set(lines.map(({ what }) => what))] : [];
  }

  #setKnown(known: Overlay | undefined): void {
    this.#known = known;
    if (known !== undefined) this.#knownNets = new Set(known.routes.map(({ dst }) => dst));
  }

  /** WireGuard is not programmed: whoever asks for it is told what stands in the way, and that nothing is encrypted. */
  async #probeWireguard(): Promise<void> {
    const { wireguardEnabled, wireguardEnabledV6 } = this.#felix;
    if ((!wireguardEnabled && !wireguardEnabledV6) || this.#refused.has(WIREGUARD_DEVICE)) return;
    const line = `link add ${WIREGUARD_DEVICE} type wireguard`;
    const entry: OverlayLine = {
      tool: 'ip',
      line,
      makes: WIREGUARD_DEVICE,
      mayFail: false,
      what: `device ${WIREGUARD_DEVICE}`,
    };
    const [failure] = await this.#run([entry]);
    if (failure === undefined) await this.#run([{ ...entry, line: `link del ${WIREGUARD_DEVICE}` }]);
    this.#noteFailure(entry, failure?.message ?? 'this version does not program it');
  }

  async #inputs(): Promise<OverlayInputs> {
    return {
      hostname: this.#options.hostname,
      nodeAddress: this.#nodeAddress,
      encapsulation: this.#encapsulation,
      vteps: this.#vteps,
      routes: this.#routes,
      settings: this.#felix,
      underlay: await this.#readUnderlay(),
    };
  }

  #withoutRefused({ links, neighbours, forwarding, routes }: Overlay): Overlay {
    const isThere = ({ device }: { readonly device: string | undefined }): boolean =>
      device === undefined || !this.#refused.has(device);
    return {
      links: links.filter(({ name }) => !this.#refused.has(name)),
      neighbours: neighbours.filter(isThere),
      forwarding: forwarding.filter(isThere),
      routes: routes.filter(isThere),
    };
  }

  async #readUnderlay(): Promise<Underlay> {
    const { writer } = this.#options;
    this.#underlay ??= underlayOf(await writer.ipJson(['addr', 'show', 'up']), this.#felix.mtuInterfaces);
    return this.#underlay;
  }

  async #read(): Promise<ActualOverlay> {
    const { writer } = this.#options;
    const found = await Promise.all(
      ['vxlan', 'ipip'].map(async (type) =>
        tunnelLinks(await writer.ipJson(['-d', 'addr', 'show', 'type', type])),
      ),
    );
    const links = found.flat();
    const isWorkload = (device: string): boolean =>
      isWorkloadInterface(this.#felix.interfacePrefixes, device);
    const routes = await Promise.all(
      ['-4', '-6'].map(async (family) =>
        tunnelRoutes(
          await writer.ipJson([family, 'route', 'show', 'proto', String(this.#felix.routeProtocol)]),
          isWorkload,
        ),
      ),
    );
    const onLinks = await Promise.all(
      links
        .filter(({ kind }) => kind === 'vxlan')
        .map(async ({ name, family }) => ({
          neighbours: tunnelNeighbours(
            name,
            await writer.ipJson([`-${family}`, 'neigh', 'show', 'dev', name, 'nud', 'permanent']),
          ),
          forwarding: forwardingEntries(name, await writer.bridgeJson(['fdb', 'show', 'dev', name])),
        })),
    );
    return {
      links,
      routes: routes.flat(),
      neighbours: onLinks.flatMap(({ neighbours }) => neighbours),
      forwarding: onLinks.flatMap(({ forwarding }) => forwarding),
    };
  }

  /** Those that failed and must not, with what the tool said. */
  async #run(
    lines: readonly OverlayLine[],
  ): Promise<readonly { readonly line: OverlayLine; readonly message: string }[]> {
    const failed: { line: OverlayLine; message: string }[] = [];
    for (const group of inParts(lines)) {
      const texts = group.map(({ line }) => line);
      try {
        await (group[0]?.tool === 'bridge'
          ? this.#options.writer.bridge(texts)
          : this.#options.writer.ip(texts));
      } catch (error) {
        if (!(error instanceof KernelWriteError) || error.type.code !== 'linesFailed') throw error;
        for (const { line: index, message } of error.type.failures) {
          const line = group[index];
          if (line !== undefined && !line.mayFail) failed.push({ line, message });
        }
      }
    }
    return failed;
  }

  #noteFailure(line: OverlayLine, message: string): void {
    // Asking for it has loaded its module, which has made it.
    if (line.makes === TUNNEL_DEVICES.ipip4 && message.includes('File exists')) return;
    if (line.makes !== undefined) this.#refused.set(line.makes, message);
    const isOfRefused =
      line.makes === undefined && [...this.#refused.keys()].some((name) => line.line.includes(name));
    if (isOfRefused) return;
    const cause = line.makes === undefined ? `${line.line}: ${message}` : refusal(line.makes, message);
    if (this.#told.has(cause) || this.#told.size > MOST_TOLD) return;
    this.#told.add(cause);
    this.#options.logger.warn('the kernel refuses a part of a tunnel', { cause });
    this.#options.events.emit({ component: 'agent', kind: 'kernelRefused', object: line.what, cause });
  }
}

export function isTunnelDevice(name: string): boolean {
  return Object.values<string>(TUNNEL_DEVICES).includes(name);
}

function refusal(device: string, said: string): string {
  if (device === WIREGUARD_DEVICE)
    return `WireGuard is asked for and cannot be had (${said}): traffic between nodes is not encrypted`;
  const isIpip = device === TUNNEL_DEVICES.ipip4;
  const kind = isIpip ? 'IPIP' : 'VXLAN';
  const way = isIpip ? '; a pool with vxlanMode instead of ipipMode is the way out' : '';
  return `the kernel does not make the ${kind} device ${device} (${said}): addresses of ${kind} pools on other nodes cannot be reached through it${way}`;
}

function asActual({ links, ...rest }: Overlay): ActualOverlay {
  return {
    ...rest,
    links: links.map(({ address, ...link }) => ({
      ...link,
      isUp: true,
      addresses: address === undefined ? [] : [address],
    })),
  };
}

/**
 * Neighbouring lines of one tool together, in their order. What makes or takes away a device ends its part: `ip` would go on with
 * the number that a device of the same name had before.
 */
function inParts(lines: readonly OverlayLine[]): readonly (readonly OverlayLine[])[] {
  const parts: OverlayLine[][] = [];
  for (const line of lines) {
    const last = parts.at(-1);
    const before = last?.at(-1);
    if (last === undefined || before?.tool !== line.tool || isOfLinks(before) !== isOfLinks(line))
      parts.push([line]);
    else last.push(line);
  }
  return parts;
}

function isOfLinks({ line }: OverlayLine): boolean {
  return /^link (add|del) /.test(line);
}
