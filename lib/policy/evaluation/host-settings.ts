// The parts of Felix's configuration that decide about packets to and from hosts (docs/policy.md "Hosts").

import type { FelixConfiguration } from '../../model/endpoint-types.ts';
import { parseNumberOrName, protocolNumber, ScalarError } from '../../model/numbers.ts';
import { type Cidr, parseCidr } from '../../net/ip.ts';
import type { Labels } from '../../selector/expression.ts';
import { felixScope, isSaid, oldestMatching } from '../felix-scope.ts';

export type EndpointToHostAction = 'accept' | 'drop' | 'return';

/** A port of the host that its policy cannot close. */
export interface FailsafePort {
  readonly protocol: number;
  readonly port: number;
  /** Only from (to) there; undefined: anywhere. */
  readonly net: Cidr | undefined;
}

export interface HostSettings {
  readonly endpointToHostAction: EndpointToHostAction;
  readonly failsafeInbound: readonly FailsafePort[];
  readonly failsafeOutbound: readonly FailsafePort[];
  /** UDP port of VXLAN. */
  readonly vxlanPort: number;
  /** Whether workloads may build tunnels of their own, past policy of what is inside. */
  readonly allowsVxlanFromWorkloads: boolean;
  readonly allowsIpipFromWorkloads: boolean;
}

const TCP = 6;
const UDP = 17;
const tcpPorts = (...ports: number[]): FailsafePort[] =>
  ports.map((port) => ({ protocol: TCP, port, net: undefined }));
const udpPorts = (...ports: number[]): FailsafePort[] =>
  ports.map((port) => ({ protocol: UDP, port, net: undefined }));
/** BGP, etcd, Typha, the Kubernetes API. */
const CONTROL_PORTS = [179, 2379, 2380, 5473, 6443, 6666, 6667] as const;
export const DEFAULT_SETTINGS: HostSettings = {
  endpointToHostAction: 'drop',
  failsafeInbound: [...tcpPorts(22, ...CONTROL_PORTS), ...udpPorts(68)],
  failsafeOutbound: [...tcpPorts(...CONTROL_PORTS), ...udpPorts(53, 67)],
  vxlanPort: 4789,
  allowsVxlanFromWorkloads: false,
  allowsIpipFromWorkloads: false,
};
const ACTIONS: Readonly<Record<string, EndpointToHostAction>> = {
  accept: 'accept',
  drop: 'drop',
  return: 'return',
};

/** What of a cluster decides about its hosts' settings. */
export interface SettingsSource {
  readonly felixConfigurations: readonly FelixConfiguration[];
  /** Of the Nodes there are. */
  readonly labelsByNode: ReadonlyMap<string, Labels>;
}

const known = new WeakMap<SettingsSource, Map<string, HostSettings>>();

/**
 * What holds on the host, as its Felix puts it together: `node.<host>` over the oldest whose nodeSelector matches the host's Node
 * over `default`. A value that makes no sense is the default's, not that of the next below.
 */
export function hostSettings(host: string, source: SettingsSource): HostSettings {
  const byHost = known.get(source) ?? new Map<string, HostSettings>();
  known.set(source, byHost);
  const settings = byHost.get(host) ?? readSettings(host, source);
  byHost.set(host, settings);
  return settings;
}

function readSettings(host: string, { felixConfigurations, labelsByNode }: SettingsSource): HostSettings {
  const scoped = felixConfigurations.map((each) => ({ ...each, scope: felixScope(each) }));
  const selecting = scoped.flatMap(({ metadata: { name, creationTimestamp }, spec, scope }) =>
    scope.type === 'selected' && scope.selector !== undefined
      ? [{ name, createdAt: creationTimestamp ?? '', selector: scope.selector, spec }]
      : [],
  );
  const layers = [
    scoped.find(({ scope }) => scope.type === 'global'),
    oldestMatching(selecting, labelsByNode.get(host)),
    scoped.find(({ scope }) => scope.type === 'host' && scope.host === host),
  ];
  const said = layers.flatMap((layer) =>
    Object.entries(layer?.spec ?? {}).filter(([, value]) => isSaid(value)),
  );
  return settingsOf(Object.fromEntries(said));
}

function settingsOf(spec: Readonly<Record<string, unknown>>): HostSettings {
  const settings = DEFAULT_SETTINGS;
  return {
    endpointToHostAction:
      ACTIONS[String(spec['defaultEndpointToHostAction']).toLowerCase()] ?? settings.endpointToHostAction,
    failsafeInbound: failsafePorts(spec['failsafeInboundHostPorts']) ?? settings.failsafeInbound,
    failsafeOutbound: failsafePorts(spec['failsafeOutboundHostPorts']) ?? settings.failsafeOutbound,
    vxlanPort: portNumber(spec['vxlanPort']) ?? settings.vxlanPort,
    allowsVxlanFromWorkloads:
      flag(spec['allowVXLANPacketsFromWorkloads']) ?? settings.allowsVxlanFromWorkloads,
    allowsIpipFromWorkloads: flag(spec['allowIPIPPacketsFromWorkloads']) ?? settings.allowsIpipFromWorkloads,
  };
}

function portNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65_535
    ? value
    : undefined;
}

function flag(value: unknown): boolean | undefined {
  return typeof value === 'boolean' ? value : undefined;
}

function failsafePorts(value: unknown): FailsafePort[] | undefined {
  if (!Array.isArray(value)) return undefined;
  const ports = value.map(failsafePort);
  const complete = ports.filter((port) => port !== undefined);
  return complete.length === ports.length ? complete : undefined;
}

function failsafePort(value: unknown): FailsafePort | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { protocol, port, net } = value as Record<string, unknown>;
  const number = parseProtocol(typeof protocol === 'string' ? protocol.toUpperCase() : (protocol ?? TCP));
  const cidr = typeof net === 'string' ? parseCidr(net) : undefined;
  const isNetBad = net !== undefined && net !== null && net !== '' && cidr === undefined;
  const isPort = typeof port === 'number' && Number.isInteger(port) && port >= 0 && port <= 65_535;
  if (number === undefined || !isPort || isNetBad) return undefined;
  return { protocol: number, port, net: cidr };
}

export function parseProtocol(protocol: unknown): number | undefined {
  try {
    return protocolNumber(parseNumberOrName(protocol));
  } catch (error) {
    if (error instanceof ScalarError) return undefined;
    throw error;
  }
}
