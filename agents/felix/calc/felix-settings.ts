// FelixConfiguration as the dataplane obeys it: what of it decides about packets and routes here, and the names of what has
// no effect (libcalico-go's config parameters; docs/felix.md "Settings"). A value that makes no sense is told, and the
// default stays.

import { formatCidr } from '../../../lib/net/ip.ts';
import {
  DEFAULT_SETTINGS as DEFAULT_HOST_SETTINGS,
  type EndpointToHostAction,
  type FailsafePort as EvaluatedFailsafePort,
} from '../../../lib/policy/evaluation/host-settings.ts';
import { type FailsafePort, parseFailsafePorts } from './failsafe-ports.ts';
import {
  DEFAULT_NETWORK_SETTINGS,
  flag,
  milliseconds,
  NETWORK_READERS,
  type NetworkSettings,
  whole,
} from './network-settings.ts';

export interface FelixSettings extends NetworkSettings {
  readonly endpointToHostAction: EndpointToHostAction;
  /** First letters of workload interfaces' names. */
  readonly interfacePrefixes: readonly string[];
  readonly vxlanPort: number;
  readonly allowsVxlanFromWorkloads: boolean;
  readonly allowsIpipFromWorkloads: boolean;
  /** What conntrack calls invalid is dropped. */
  readonly dropsInvalid: boolean;
  /** Endpoints may name sources besides their own addresses. */
  readonly allowsSpoofedPrefixes: boolean;
  /** NAT outgoing spares what goes to nodes, too. */
  readonly excludesHostsFromNat: boolean;
  /** Milliseconds between looks for missing routes; 0: none. */
  readonly routeRefreshMs: number;
  /** Ports that no policy of a host endpoint closes. */
  readonly failsafeInbound: readonly FailsafePort[];
  readonly failsafeOutbound: readonly FailsafePort[];
  /** Flow records of allowed connections too, not of denied ones alone. */
  readonly recordsAllowed: boolean;
  /** Which forward chains of others that drop by policy get our accepts: those with Docker's chain for the user, all, none. */
  readonly foreignAccepts: 'docker' | 'all' | 'none';
  /** Ahead of the rules that are there, not behind them. */
  readonly insertsForeignAccepts: boolean;
  /** What becomes of a packet that policy denies: nothing, or its sender gets an ICMP error. */
  readonly denyAction: 'drop' | 'reject';
  /** What a packet carries numbers in while it is judged: all of its mark, or its priority, so that the mark is others' alone. */
  readonly scratch: 'mark' | 'priority';
  /** What staged policies would do is worked out for every flow that is recorded. */
  readonly evaluatesStaged: boolean;
}

/** Made by our own CNI server under this prefix, whatever else is configured: they are never left unpoliced. */
export const OWN_PREFIX = 'cali';

export const DEFAULT_FELIX_SETTINGS: FelixSettings = {
  ...DEFAULT_NETWORK_SETTINGS,
  endpointToHostAction: 'drop',
  interfacePrefixes: [OWN_PREFIX],
  vxlanPort: DEFAULT_HOST_SETTINGS.vxlanPort,
  allowsVxlanFromWorkloads: DEFAULT_HOST_SETTINGS.allowsVxlanFromWorkloads,
  allowsIpipFromWorkloads: DEFAULT_HOST_SETTINGS.allowsIpipFromWorkloads,
  dropsInvalid: true,
  allowsSpoofedPrefixes: false,
  excludesHostsFromNat: false,
  routeRefreshMs: 90_000,
  failsafeInbound: DEFAULT_HOST_SETTINGS.failsafeInbound.map(asText),
  failsafeOutbound: DEFAULT_HOST_SETTINGS.failsafeOutbound.map(asText),
  foreignAccepts: 'docker',
  insertsForeignAccepts: true,
  denyAction: 'drop',
  scratch: 'mark',
  recordsAllowed: false,
  evaluatesStaged: true,
};

function asText({ net, ...port }: EvaluatedFailsafePort): FailsafePort {
  return { ...port, net: net && formatCidr(net) };
}

const ALL_BITS = 0xffff_ffff;

/** Undefined: the text is no value of this setting. */
type Reader = (text: string, settings: FelixSettings) => Partial<FelixSettings> | undefined;

const HONOURED: Readonly<Record<string, Reader>> = {
  ...NETWORK_READERS,
  defaultEndpointToHostAction: choice('endpointToHostAction', {
    accept: 'accept',
    drop: 'drop',
    return: 'return',
  }),
  interfacePrefix: readPrefixes,
  vxlanPort: whole(1, 65_535, (vxlanPort) => ({ vxlanPort })),
  allowVXLANPacketsFromWorkloads: flag((allowsVxlanFromWorkloads) => ({ allowsVxlanFromWorkloads })),
  allowIPIPPacketsFromWorkloads: flag((allowsIpipFromWorkloads) => ({ allowsIpipFromWorkloads })),
  disableConntrackInvalidCheck: flag((isDisabled) => ({ dropsInvalid: !isDisabled })),
  workloadSourceSpoofing: choice('allowsSpoofedPrefixes', { any: true, disabled: false }),
  natOutgoingExclusions: choice('excludesHostsFromNat', { ippoolsandhostips: true, ippoolsonly: false }),
  failsafeInboundHostPorts: (text) => {
    const failsafeInbound = parseFailsafePorts(text);
    return failsafeInbound && { failsafeInbound };
  },
  failsafeOutboundHostPorts: (text) => {
    const failsafeOutbound = parseFailsafePorts(text);
    return failsafeOutbound && { failsafeOutbound };
  },
  nftablesFilterAllowAction: choice('foreignAccepts', { accept: 'all', return: 'none' }),
  nftablesFilterDenyAction: choice('denyAction', { drop: 'drop', reject: 'reject' }),
  chainInsertMode: choice('insertsForeignAccepts', { insert: true, append: false }),
  nftablesMarkMask: readMarkMask,
  flowLogsLocalReporter: choice('recordsAllowed', { enabled: true, disabled: false }),
  flowLogsPolicyEvaluationMode: choice('evaluatesStaged', { continuous: true, none: false }),
  routeRefreshInterval: milliseconds((routeRefreshMs) => ({ routeRefreshMs })),
};

const UDP = 17;

/** What may be said without any effect, as it is so already; in lower case. Calico's own start-up writes some of it. */
const AS_IT_IS: Readonly<Record<string, readonly string[]>> = {
  bpfEnabled: ['false'],
  floatingIPs: ['disabled'],
  interfaceExclude: ['kube-ipvs0'],
  nftablesMode: ['auto', 'enabled'],
  routeSource: ['calicoipam'],
  wireguardHostEncryptionEnabled: ['false'],
  wireguardThreadingEnabled: ['false'],
};

export interface FelixReading {
  readonly settings: FelixSettings;
  /** Names of what is set and has no effect. */
  readonly ignored: readonly string[];
  /** Values that make no sense, as `name=value`. */
  readonly invalid: readonly string[];
}

/** From names and values as text, as they are in the resource. */
export function readFelixSettings(config: Readonly<Record<string, string>>): FelixReading {
  let settings = DEFAULT_FELIX_SETTINGS;
  const ignored: string[] = [];
  const invalid: string[] = [];
  for (const [name, text] of Object.entries(config)) {
    const read = Object.hasOwn(HONOURED, name) ? HONOURED[name] : undefined;
    if (read === undefined) {
      if (!isAsItIs(name, text)) ignored.push(name);
      continue;
    }
    const change = read(text, settings);
    if (change === undefined) invalid.push(`${name}=${text}`);
    else settings = { ...settings, ...change };
  }
  return { settings: withWireguardPorts(settings), ignored: ignored.sort(), invalid };
}

/** As in Calico, a port of WireGuard is a failsafe port: no policy of a host endpoint shall cut all nodes off. */
function withWireguardPorts(settings: FelixSettings): FelixSettings {
  const { failsafeInbound, failsafeOutbound, wireguard } = settings;
  const ports = [wireguard[4], wireguard[6]]
    .filter(({ enabled }) => enabled)
    .map(({ port }): FailsafePort => ({ protocol: UDP, port, net: undefined }));
  return ports.length === 0
    ? settings
    : {
        ...settings,
        failsafeInbound: [...failsafeInbound, ...ports],
        failsafeOutbound: [...failsafeOutbound, ...ports],
      };
}

function isAsItIs(name: string, text: string): boolean {
  return Object.hasOwn(AS_IT_IS, name) && AS_IT_IS[name]?.includes(text.toLowerCase()) === true;
}

/** Calico takes these words in any case. */
function choice<Name extends keyof FelixSettings>(
  name: Name,
  values: Readonly<Record<string, FelixSettings[Name]>>,
): Reader {
  return (text) => {
    const key = text.toLowerCase();
    const value = Object.hasOwn(values, key) ? values[key] : undefined;
    return value === undefined ? undefined : ({ [name]: value } as Partial<FelixSettings>);
  };
}

/** By its name alone: prefixes are `interfacePrefixes`. */
export function isWorkloadInterface(prefixes: readonly string[], name: string): boolean {
  return prefixes.some((prefix) => name.startsWith(prefix));
}

/** Bits of the packet mark that are ours. Where some are not, none is used. */
function readMarkMask(text: string): Partial<FelixSettings> | undefined {
  const mask = /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
  if (mask > ALL_BITS) return undefined;
  return { scratch: mask === ALL_BITS ? 'mark' : 'priority' };
}

/** Names of interfaces begin with letters, and are no code in a rule. One that begins with another's is within it. */
function readPrefixes(text: string): Partial<FelixSettings> | undefined {
  const wanted = text.split(',').map((prefix) => prefix.trim());
  if (wanted.some((prefix) => !/^[a-zA-Z0-9_.-]{1,15}$/.test(prefix))) return undefined;
  const all = [...new Set([OWN_PREFIX, ...wanted])];
  const outermost = all.filter(
    (prefix) => !all.some((other) => other !== prefix && prefix.startsWith(other)),
  );
  return { interfacePrefixes: outermost.sort() };
}
