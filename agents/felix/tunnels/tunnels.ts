// Keeps the kernel's tunnels as the calculation graph wants them: VXLAN devices with their forwarding entries, neighbours and
// routes, IPIP and WireGuard where the kernel has them, blackholes of own blocks (docs/dataplane.md "Tunnels"). What others change is
// put right.

import { join } from 'node:path';
import type { EventSink } from '../../../lib/events/event.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import { FAMILIES, type Family, withoutLength } from '../../../lib/net/ip.ts';
import type { FelixSettings } from '../calc/felix-settings.ts';
import type {
  CalcMessage,
  Encapsulation,
  HostUpdate,
  RouteUpdate,
  VtepUpdate,
  WireguardUpdate,
} from '../calc/messages.ts';
import { KernelWriteError } from '../kernel/kernel-error.ts';
import type { KernelWriterClient } from '../kernel/writer-client.ts';
import { overlayOf } from './overlay.ts';
import { type ActualOverlay, type OverlayLine, overlayLines } from './overlay-commands.ts';
import {
  type Overlay,
  type OverlayInputs,
  TUNNEL_DEVICES,
  type Underlay,
  WIREGUARD_TABLES,
} from './overlay-model.ts';
import { readOverlay, readUnderlay } from './overlay-reader.ts';
import { usedTunnels, usedWireguard, workloadMtu } from './tunnel-mtu.ts';

export interface TunnelsOptions {
  readonly hostname: string;
  readonly writer: KernelWriterClient;
  readonly events: EventSink;
  readonly logger: Logger;
  readonly wireguard: WireguardOptions | undefined;
}

/** What WireGuard needs besides the settings. */
export interface WireguardOptions {
  /** Where private keys are kept. */
  readonly keyFolder: string;
  /** Told of the public keys that other nodes may use from now on; undefined: none, as nothing is encrypted here. */
  readonly onKeys: (keys: WireguardKeys) => void;
}

export type WireguardKeys = Readonly<Record<Family, string | undefined>>;

const NO_ENCAPSULATION: Encapsulation = { ipip: false, vxlan: false, vxlanV6: false, noEncap: false };
/** Failures that are told once each; more are not told. */
const MOST_TOLD = 1_000;
const NO_KEYS: WireguardKeys = { 4: undefined, 6: undefined };

export class Tunnels {
  readonly #options: TunnelsOptions;
  readonly #vteps = new Map<string, VtepUpdate>();
  readonly #routes = new Map<string, RouteUpdate>();
  #encapsulation = NO_ENCAPSULATION;
  readonly #hosts = new Map<string, HostUpdate>();
  readonly #wireguards = new Map<string, WireguardUpdate>();
  /** Our own of WireGuard, where it can be had. */
  #keys = NO_KEYS;
  #toldKeys: WireguardKeys | undefined;
  /** There may be some that is not asked for, of an earlier agent. */
  #mayHaveWireguard = true;
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
      case 'hostUpdate':
        this.#hosts.set(message.host.host, message.host);
        break;
      case 'hostRemove':
        this.#hosts.delete(message.host);
        break;
      case 'wireguardUpdate':
        this.#wireguards.set(message.wireguard.host, message.wireguard);
        break;
      case 'wireguardRemove':
        this.#wireguards.delete(message.host);
        break;
      default:
        return;
    }
    this.#isDirty = true;
  }

  /** Most routes do not: those of pools without tunnels, and of our own workloads. WireGuard asks for no pool. */
  #concerns(route: RouteUpdate | undefined): boolean {
    const isOfTunnel = route?.pool !== undefined && route.pool !== 'no-encap';
    if (route === undefined || (!isOfTunnel && usedWireguard(this.#felix).length === 0)) return false;
    return route.node !== this.#options.hostname || !route.localWorkload || route.borrowed;
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
    return [...this.#refused].map(([name, said]) => this.#refusal(name, said));
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

  isDevice(name: string): boolean {
    return Object.values<string>(TUNNEL_DEVICES).includes(name) || this.#isWireguard(name);
  }

  /** A routing table that is ours alone. */
  isTable(table: string): boolean {
    return usedWireguard(this.#felix).some((family) => String(WIREGUARD_TABLES[family]) === table);
  }

  #isWireguard(name: string): boolean {
    return FAMILIES.some((family) => this.#felix.wireguard[family].interfaceName === name);
  }

  /** No tunnel is wanted, and none is there. */
  #isUnused(): boolean {
    const { links = [undefined], routes = [], rules = [] } = this.#known ?? {};
    const isEmpty = links.length === 0 && routes.length === 0 && rules.length === 0;
    const isWanted = usedTunnels(this.#encapsulation, this.#felix).length > 0;
    return isEmpty && !isWanted && usedWireguard(this.#felix).length === 0;
  }

  /** `isLook`: what differs was changed by somebody else, unless something else is wanted than was written. */
  async #write(actual: ActualOverlay, isLook: boolean): Promise<readonly string[]> {
    await this.#findKeys(actual);
    const inputs = await this.#inputs();
    // From here to the lines nothing waits: what is wanted later makes it dirty again.
    this.#isDirty = false;
    const { routes, rules } = actual;
    const wanted = this.#withoutRefused(overlayOf(inputs));
    const desired = this.#felix.programsRoutes ? wanted : { ...wanted, routes, rules };
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
    if (known === undefined) return;
    this.#mayHaveWireguard = usedWireguard(this.#felix).length > 0;
    const main = known.routes.filter(({ table }) => table === undefined);
    this.#knownNets = new Set(main.map(({ dst }) => dst));
    this.#tellKeys(known);
  }

  /** Only those of devices that are there: whoever knows a key sends encrypted packets to it. */
  #tellKeys({ links }: Overlay): void {
    const keyOf = (of: Family): string | undefined =>
      links.find(({ kind, family }) => kind === 'wireguard' && family === of)?.wireguard?.publicKey;
    const keys: WireguardKeys = { 4: keyOf(4), 6: keyOf(6) };
    const told = this.#toldKeys;
    if (told !== undefined && told[4] === keys[4] && told[6] === keys[6]) return;
    this.#toldKeys = keys;
    this.#options.wireguard?.onKeys(keys);
  }

  /** Our keys of the families that are asked for, made where there are none yet; not where the kernel has refused the device. */
  async #findKeys(actual: ActualOverlay): Promise<void> {
    const find = async (family: Family): Promise<string | undefined> => {
      if (!usedWireguard(this.#felix).includes(family)) return undefined;
      const { interfaceName } = this.#felix.wireguard[family];
      // One that is there can be had, whoever made it.
      if (actual.links.some(({ name, kind }) => name === interfaceName && kind === 'wireguard'))
        this.#refused.delete(interfaceName);
      return this.#refused.has(interfaceName) ? undefined : (this.#keys[family] ?? (await this.#key(family)));
    };
    this.#keys = { 4: await find(4), 6: await find(6) };
  }

  async #key(family: Family): Promise<string | undefined> {
    const { writer, wireguard } = this.#options;
    const { interfaceName: name } = this.#felix.wireguard[family];
    const what = `device ${name}`;
    const refuse = (message: string): undefined => {
      this.#noteFailure({ tool: 'wg', line: 'pubkey', makes: name, mayFail: false, what }, message);
    };
    if (wireguard === undefined) return refuse('there is no place for its key');
    try {
      return await writer.wireguardKey(keyFile(wireguard.keyFolder, family));
    } catch (error) {
      if (!(error instanceof KernelWriteError) || error.type.code !== 'commandFailed') throw error;
      return refuse(error.type.message);
    }
  }

  async #inputs(): Promise<OverlayInputs> {
    const { hostname, writer } = this.#options;
    this.#underlay ??= await readUnderlay(writer, this.#felix);
    const { ipv4, ipv6 } = this.#hosts.get(hostname) ?? {};
    return {
      hostname,
      nodeAddress: { 4: ipv4 && withoutLength(ipv4), 6: ipv6 && withoutLength(ipv6) },
      encapsulation: this.#encapsulation,
      vteps: this.#vteps,
      routes: this.#routes,
      hosts: this.#hosts,
      wireguards: this.#wireguards,
      publicKeys: this.#keys,
      settings: this.#felix,
      underlay: this.#underlay,
    };
  }

  /** Without a key there is nothing of WireGuard in it already. */
  #withoutRefused({ links, neighbours, forwarding, routes, rules }: Overlay): Overlay {
    const isThere = ({ device }: { readonly device: string | undefined }): boolean =>
      device === undefined || !this.#refused.has(device);
    return {
      links: links.filter(({ name }) => !this.#refused.has(name)),
      neighbours: neighbours.filter(isThere),
      forwarding: forwarding.filter(isThere),
      routes: routes.filter(isThere),
      rules,
    };
  }

  async #read(): Promise<ActualOverlay> {
    const withWireguard = this.#mayHaveWireguard || usedWireguard(this.#felix).length > 0;
    return await readOverlay(this.#options.writer, this.#felix, withWireguard);
  }

  /** Those that failed and must not, with what the tool said. What needs a device that was not made is not tried. */
  async #run(lines: readonly OverlayLine[]): Promise<readonly FailedLine[]> {
    const failed: FailedLine[] = [];
    const isMade = ({ device }: OverlayLine): boolean =>
      !failed.some(({ line }) => line.makes !== undefined && line.makes === device);
    for (const part of inParts(lines)) {
      const group = part.filter(isMade);
      const failures = group.length === 0 ? [] : await this.#runGroup(group);
      for (const { line: index, message } of failures) {
        const line = group[index];
        if (line !== undefined && !line.mayFail && !isThereAlready(line, message))
          failed.push({ line, message });
      }
    }
    return failed;
  }

  /** All of one tool. */
  async #runGroup(
    group: readonly OverlayLine[],
  ): Promise<readonly { readonly line: number; readonly message: string }[]> {
    const { writer } = this.#options;
    const texts = group.map(({ line }) => line);
    try {
      switch (group[0]?.tool) {
        case 'wg':
          for (const { device = '', input = '' } of group)
            await writer.configureWireguard(device, this.#keyFileOf(device), input);
          break;
        case 'bridge':
          await writer.bridge(texts);
          break;
        case 'ip -6':
          await writer.ip6(texts);
          break;
        default:
          await writer.ip(texts);
      }
      return [];
    } catch (error) {
      if (!(error instanceof KernelWriteError)) throw error;
      if (error.type.code === 'linesFailed') return error.type.failures;
      if (group[0]?.tool !== 'wg' || error.type.code !== 'commandFailed') throw error;
      return [{ line: 0, message: error.type.message }];
    }
  }

  #keyFileOf(device: string): string {
    const family = this.#felix.wireguard[6].interfaceName === device ? 6 : 4;
    return keyFile(this.#options.wireguard?.keyFolder ?? '', family);
  }

  #noteFailure(line: OverlayLine, message: string): void {
    if (line.makes !== undefined) this.#refused.set(line.makes, message);
    const cause = line.makes === undefined ? `${line.line}: ${message}` : this.#refusal(line.makes, message);
    if (this.#told.has(cause) || this.#told.size > MOST_TOLD) return;
    this.#told.add(cause);
    this.#options.logger.warn('the kernel refuses a part of a tunnel', { cause });
    this.#options.events.emit({ component: 'agent', kind: 'kernelRefused', object: line.what, cause });
  }

  #refusal(device: string, said: string): string {
    if (this.#isWireguard(device))
      return `WireGuard is asked for and cannot be had (${said}): traffic between nodes is not encrypted`;
    const isIpip = device === TUNNEL_DEVICES.ipip4;
    const kind = isIpip ? 'IPIP' : 'VXLAN';
    const way = isIpip ? '; a pool with vxlanMode instead of ipipMode is the way out' : '';
    return `the kernel does not make the ${kind} device ${device} (${said}): addresses of ${kind} pools on other nodes cannot be reached through it${way}`;
  }
}

interface FailedLine {
  readonly line: OverlayLine;
  readonly message: string;
}

/** Asking for tunl0 has loaded its module, which has made it; and a rule cannot be set without being added. */
function isThereAlready({ makes, line }: OverlayLine, message: string): boolean {
  return (makes === TUNNEL_DEVICES.ipip4 || line.startsWith('rule add ')) && message.includes('File exists');
}

function keyFile(folder: string, family: Family): string {
  return join(folder, family === 4 ? 'ipv4' : 'ipv6');
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
