// The part of FelixConfiguration that says how the host's own network is made: tunnels, MTU, routes, NAT, and what the process tells
// of itself (libcalico-go's config parameters; docs/felix.md "Settings").

import { parseDurationNanoseconds } from '../../../lib/model/duration.ts';
import { type Family, parseCidr, parseIp } from '../../../lib/net/ip.ts';

/** Least severity that is logged, as Calico calls them. */
const SEVERITIES = {
  debug: 'debug',
  trace: 'debug',
  info: 'info',
  warning: 'warn',
  error: 'error',
  fatal: 'error',
} as const;
export type LogSeverity = (typeof SEVERITIES)[keyof typeof SEVERITIES];

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** A listener that may be turned off; undefined: nothing was said. */
export interface ListenerSettings {
  readonly enabled: boolean | undefined;
  readonly host: string | undefined;
  readonly port: number | undefined;
}

export interface NetworkSettings {
  /** IPv4 VXLAN; undefined: if there is a pool of it. */
  readonly vxlanEnabled: boolean | undefined;
  readonly vxlanVni: number;
  /** MTU of devices; 0: worked out from the host's. */
  readonly vxlanMtu: number;
  readonly vxlanMtuV6: number;
  readonly ipipEnabled: boolean | undefined;
  readonly ipipMtu: number;
  readonly wireguard: Readonly<Record<Family, WireguardSettings>>;
  /** Of the rules that lead into WireGuard's routing tables: the kernel asks lower ones first. */
  readonly wireguardRulePriority: number;
  /** Seconds after which a silent peer is sent something; 0: never. */
  readonly wireguardKeepAliveSeconds: number;
  /** Routes of IPIP pools are Felix's, not BGP's. */
  readonly programsIpip: boolean;
  readonly hasIpv6: boolean;
  readonly forwardsIp: boolean;
  /** Networks besides the nodes' that tunnel packets may come from; canonical. */
  readonly externalNodes: readonly string[];
  /** Interfaces whose least MTU is the host's. */
  readonly mtuInterfaces: RegExp;
  /** Protocol number of the routes that are ours. */
  readonly routeProtocol: number;
  /** Source of what the host itself sends to its workloads; undefined: the kernel chooses. */
  readonly routeSource4: string | undefined;
  readonly routeSource6: string | undefined;
  /** Routes of others on workload interfaces are taken away. */
  readonly removesForeignRoutes: boolean;
  /** Off: somebody else makes the routes of workloads and tunnels; what is there of them stays. */
  readonly programsRoutes: boolean;
  /** Source of NAT outgoing in IPv4; undefined: that of the interface that the packet leaves by. */
  readonly natAddress: string | undefined;
  readonly natPorts: PortRange | undefined;
  readonly logSeverity: LogSeverity | undefined;
  readonly metrics: ListenerSettings;
  readonly metricsTls: MetricsTls;
  readonly health: ListenerSettings;
  readonly reports: ReportSettings;
  /** Milliseconds that a round of the dataplane may take before the process counts as dead; 0: any. */
  readonly watchdogMs: number;
}

/** WireGuard of one family. */
export interface WireguardSettings {
  readonly enabled: boolean;
  readonly interfaceName: string;
  /** UDP port of this node, and of all others. */
  readonly port: number;
  /** 0: worked out from the host's. */
  readonly mtu: number;
}

/** What is told of this host in the datastore (networking-calico of OpenStack reads it). */
export interface ReportSettings {
  /** Of each workload, whether it is up. */
  readonly endpoints: boolean;
  /** How long changes gather, in milliseconds. */
  readonly endpointDelayMs: number;
  /** Between two signs of life, in milliseconds; 0: none. */
  readonly intervalMs: number;
  /** How long a sign of life stays, in milliseconds. */
  readonly ttlMs: number;
  /** As it stands in keys: `no-region`, or `region-NAME`. */
  readonly region: string;
}

/** Without certificate and key metrics are served in the clear. With a CA clients must show a certificate. */
export interface MetricsTls {
  readonly caFile: string | undefined;
  readonly certFile: string | undefined;
  readonly keyFile: string | undefined;
}

const NOTHING_SAID: ListenerSettings = { enabled: undefined, host: undefined, port: undefined };

export const DEFAULT_NETWORK_SETTINGS: NetworkSettings = {
  vxlanEnabled: undefined,
  vxlanVni: 4096,
  vxlanMtu: 0,
  vxlanMtuV6: 0,
  ipipEnabled: undefined,
  ipipMtu: 0,
  wireguard: {
    4: { enabled: false, interfaceName: 'wireguard.cali', port: 51_820, mtu: 0 },
    6: { enabled: false, interfaceName: 'wg-v6.cali', port: 51_821, mtu: 0 },
  },
  wireguardRulePriority: 99,
  wireguardKeepAliveSeconds: 0,
  programsIpip: true,
  hasIpv6: true,
  forwardsIp: true,
  externalNodes: [],
  mtuInterfaces: /^((en|wl|ww|sl|ib)[Pcopsvx].*|(eth|wlan|wwan).*)/,
  routeProtocol: 80,
  routeSource4: undefined,
  routeSource6: undefined,
  removesForeignRoutes: true,
  programsRoutes: true,
  natAddress: undefined,
  natPorts: undefined,
  logSeverity: undefined,
  metrics: NOTHING_SAID,
  metricsTls: { caFile: undefined, certFile: undefined, keyFile: undefined },
  health: NOTHING_SAID,
  // Felix' own default is 30 s; calico/node, whose place the agent takes, sets it to 0.
  reports: { endpoints: false, endpointDelayMs: 1000, intervalMs: 0, ttlMs: 90_000, region: 'no-region' },
  watchdogMs: 90_000,
};

/** As WireGuard keeps it in 16 bits. */
const MOST_KEEP_ALIVE_SECONDS = 65_535;

/** What a value changes, given the settings so far; undefined: the text is no value of this parameter. */
type NetworkReader = (text: string, settings: NetworkSettings) => Partial<NetworkSettings> | undefined;

export const NETWORK_READERS: Readonly<Record<string, NetworkReader>> = {
  vxlanEnabled: flag((vxlanEnabled) => ({ vxlanEnabled })),
  vxlanVNI: whole(1, 16_777_215, (vxlanVni) => ({ vxlanVni })),
  vxlanMTU: whole(0, 65_535, (vxlanMtu) => ({ vxlanMtu })),
  vxlanMTUV6: whole(0, 65_535, (vxlanMtuV6) => ({ vxlanMtuV6 })),
  ipipEnabled: flag((ipipEnabled) => ({ ipipEnabled })),
  ipipMTU: whole(0, 65_535, (ipipMtu) => ({ ipipMtu })),
  wireguardEnabled: flag(wireguard(4, 'enabled')),
  wireguardEnabledV6: flag(wireguard(6, 'enabled')),
  wireguardInterfaceName: interfaceName(wireguard(4, 'interfaceName')),
  wireguardInterfaceNameV6: interfaceName(wireguard(6, 'interfaceName')),
  wireguardListeningPort: whole(1, 65_535, wireguard(4, 'port')),
  wireguardListeningPortV6: whole(1, 65_535, wireguard(6, 'port')),
  wireguardMTU: whole(0, 65_535, wireguard(4, 'mtu')),
  wireguardMTUV6: whole(0, 65_535, wireguard(6, 'mtu')),
  wireguardRoutingRulePriority: whole(1, 32_765, (wireguardRulePriority) => ({ wireguardRulePriority })),
  wireguardKeepAlive: milliseconds((ms) => {
    const seconds = Math.round(ms / 1000);
    return seconds <= MOST_KEEP_ALIVE_SECONDS ? { wireguardKeepAliveSeconds: seconds } : undefined;
  }),
  programClusterRoutes: (text) => {
    const word = text.toLowerCase();
    return word === 'enabledipiponly' || word === 'disabled'
      ? { programsIpip: word !== 'disabled' }
      : undefined;
  },
  ipv6Support: flag((hasIpv6) => ({ hasIpv6 })),
  ipForwarding: (text) => {
    const word = text.toLowerCase();
    return word === 'enabled' || word === 'disabled' ? { forwardsIp: word === 'enabled' } : undefined;
  },
  externalNodesList: (text) => {
    const nets = text.split(',').map((net) => parseCidr(net.trim()) && net.trim());
    return nets.includes(undefined) ? undefined : { externalNodes: nets.flatMap((net) => net ?? []) };
  },
  mtuIfacePattern: (text) => {
    try {
      return { mtuInterfaces: new RegExp(text) };
    } catch {
      return undefined;
    }
  },
  // 3, Calico's default, means "not changed" there; ours is 80, by which a restarted agent knows its own.
  deviceRouteProtocol: whole(1, 255, (protocol) => ({ routeProtocol: protocol === 3 ? 80 : protocol })),
  deviceRouteSourceAddress: address(4, (routeSource4) => ({ routeSource4 })),
  deviceRouteSourceAddressIPv6: address(6, (routeSource6) => ({ routeSource6 })),
  removeExternalRoutes: flag((removesForeignRoutes) => ({ removesForeignRoutes })),
  routeSyncDisabled: flag((isDisabled) => ({ programsRoutes: !isDisabled })),
  natOutgoingAddress: address(4, (natAddress) => ({ natAddress })),
  natPortRange: (text) => {
    const [, first = '', last = first] = /^(\d{1,5})(?::(\d{1,5}))?$/.exec(text) ?? [];
    const range = { first: Number(first), last: Number(last) };
    const isRange = first !== '' && range.first >= 1 && range.first <= range.last && range.last <= 65_535;
    return isRange ? { natPorts: range } : undefined;
  },
  logSeverityScreen: (text) => {
    const name = text.toLowerCase();
    return Object.hasOwn(SEVERITIES, name)
      ? { logSeverity: SEVERITIES[name as keyof typeof SEVERITIES] }
      : undefined;
  },
  prometheusMetricsEnabled: flag((enabled, { metrics }) => ({ metrics: { ...metrics, enabled } })),
  prometheusMetricsHost: (host, { metrics }) => ({ metrics: { ...metrics, host } }),
  prometheusMetricsPort: whole(1, 65_535, (port, { metrics }) => ({ metrics: { ...metrics, port } })),
  prometheusMetricsCAFile: (caFile, { metricsTls }) => ({ metricsTls: { ...metricsTls, caFile } }),
  prometheusMetricsCertFile: (certFile, { metricsTls }) => ({ metricsTls: { ...metricsTls, certFile } }),
  prometheusMetricsKeyFile: (keyFile, { metricsTls }) => ({ metricsTls: { ...metricsTls, keyFile } }),
  endpointReportingEnabled: flag((endpoints, { reports }) => ({ reports: { ...reports, endpoints } })),
  endpointReportingDelay: milliseconds((endpointDelayMs, { reports }) => ({
    reports: { ...reports, endpointDelayMs },
  })),
  reportingInterval: milliseconds((intervalMs, { reports }) => ({ reports: { ...reports, intervalMs } })),
  reportingTTL: milliseconds((ttlMs, { reports }) => ({ reports: { ...reports, ttlMs } })),
  openstackRegion: (name, { reports }) =>
    /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/.test(name)
      ? { reports: { ...reports, region: `region-${name}` } }
      : undefined,
  dataplaneWatchdogTimeout: milliseconds((watchdogMs) => ({ watchdogMs })),
  healthEnabled: flag((enabled, { health }) => ({ health: { ...health, enabled } })),
  healthHost: (host, { health }) => ({ health: { ...health, host } }),
  healthPort: whole(1, 65_535, (port, { health }) => ({ health: { ...health, port } })),
};

type Change<Value> = (value: Value, settings: NetworkSettings) => Partial<NetworkSettings>;

function wireguard<Name extends keyof WireguardSettings>(
  family: Family,
  name: Name,
): Change<WireguardSettings[Name]> {
  return (value, { wireguard: all }) => ({
    wireguard: { ...all, [family]: { ...all[family], [name]: value } },
  });
}

/** No word of a command line: it stands in lines for `ip`. */
function interfaceName(change: Change<string>): NetworkReader {
  return (text, settings) =>
    /^[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,14}$/.test(text) ? change(text, settings) : undefined;
}

const YES = ['true', 't', 'yes', 'y', '1'];
const NO = ['false', 'f', 'no', 'n', '0'];

/** Calico's words for yes and no, in any case. */
export function flag<Changed>(
  change: (value: boolean, settings: NetworkSettings) => Changed,
): (text: string, settings: NetworkSettings) => Changed | undefined {
  return (text, settings) => {
    const word = text.toLowerCase();
    const isYes = YES.includes(word);
    return isYes || NO.includes(word) ? change(isYes, settings) : undefined;
  };
}

export function whole<Changed>(
  least: number,
  most: number,
  change: (value: number, settings: NetworkSettings) => Changed,
): (text: string, settings: NetworkSettings) => Changed | undefined {
  return (text, settings) => {
    const value = /^\d{1,10}$/.test(text) ? Number(text) : -1;
    return value >= least && value <= most ? change(value, settings) : undefined;
  };
}

/** A duration as Calico writes it, not less than none. */
export function milliseconds<Changed>(
  change: (value: number, settings: NetworkSettings) => Changed,
): (text: string, settings: NetworkSettings) => Changed | undefined {
  return (text, settings) => {
    const nanoseconds = parseDurationNanoseconds(text);
    return nanoseconds === undefined || nanoseconds < 0n
      ? undefined
      : change(Number(nanoseconds / 1_000_000n), settings);
  };
}

function address(family: 4 | 6, change: Change<string>): NetworkReader {
  return (text, settings) => (parseIp(text)?.family === family ? change(text, settings) : undefined);
}
