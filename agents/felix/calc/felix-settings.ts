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
  /** What staged policies would do is worked out for every flow that is recorded. */
  readonly evaluatesStaged: boolean;
}

/** Made by our own CNI server under this prefix, whatever else is configured: they are never left unpoliced. */
export const OWN_PREFIX = 'cali';

export const DEFAULT_FELIX_SETTINGS: FelixSettings = {
  ...DEFAULT_NETWORK_SETTINGS,
  endpointToHostAction: 'drop',
  interfacePrefixes: [OWN_PREFIX],
  vxlanPort: 4789,
  allowsVxlanFromWorkloads: false,
  allowsIpipFromWorkloads: false,
  dropsInvalid: true,
  allowsSpoofedPrefixes: false,
  excludesHostsFromNat: false,
  routeRefreshMs: 90_000,
  failsafeInbound: DEFAULT_HOST_SETTINGS.failsafeInbound.map(asText),
  failsafeOutbound: DEFAULT_HOST_SETTINGS.failsafeOutbound.map(asText),
  recordsAllowed: false,
  evaluatesStaged: true,
};

function asText({ net, ...port }: EvaluatedFailsafePort): FailsafePort {
  return { ...port, net: net && formatCidr(net) };
}

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
  flowLogsLocalReporter: choice('recordsAllowed', { enabled: true, disabled: false }),
  flowLogsPolicyEvaluationMode: choice('evaluatesStaged', { continuous: true, none: false }),
  routeRefreshInterval: milliseconds((routeRefreshMs) => ({ routeRefreshMs })),
};

/** What may be said without any effect, as it is so already; in lower case. Calico's own start-up writes some of it. */
const AS_IT_IS: Readonly<Record<string, readonly string[]>> = {
  bpfEnabled: ['false'],
  chainInsertMode: ['insert'],
  floatingIPs: ['disabled'],
  interfaceExclude: ['kube-ipvs0'],
  nftablesFilterDenyAction: ['drop'],
  nftablesMode: ['auto', 'enabled'],
  reportingInterval: ['0s'],
  routeSource: ['calicoipam'],
  routeSyncDisabled: ['false'],
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
  return { settings, ignored: ignored.sort(), invalid };
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
