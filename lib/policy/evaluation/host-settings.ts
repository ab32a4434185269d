// The parts of Felix's configuration that decide about packets to and from hosts (docs/policy.md "Hosts").

import type { FelixConfiguration } from '../../model/endpoint-types.ts';
import { parseNumberOrName, protocolNumber, ScalarError } from '../../model/numbers.ts';
import { type Cidr, parseCidr } from '../../net/ip.ts';

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

const known = new WeakMap<readonly FelixConfiguration[], Map<string, HostSettings>>();

/** What holds on the host: `node.<host>` over `default` over the defaults; values that are none are passed over. */
export function hostSettings(host: string, configurations: readonly FelixConfiguration[]): HostSettings {
  const byHost = known.get(configurations) ?? new Map<string, HostSettings>();
  known.set(configurations, byHost);
  const settings = byHost.get(host) ?? readSettings(host, configurations);
  byHost.set(host, settings);
  return settings;
}

function readSettings(host: string, configurations: readonly FelixConfiguration[]): HostSettings {
  const byName = new Map(configurations.map((configuration) => [configuration.metadata.name, configuration]));
  const layers = [byName.get('default'), byName.get(`node.${host}`)];
  return layers.reduce((settings, layer) => override(settings, layer?.spec ?? {}), DEFAULT_SETTINGS);
}

function override(settings: HostSettings, spec: Readonly<Record<string, unknown>>): HostSettings {
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
  const number = parseProtocol(protocol);
  const cidr = typeof net === 'string' ? parseCidr(net) : undefined;
  const isNetBad = net !== undefined && net !== null && net !== '' && cidr === undefined;
  if (number === undefined || typeof port !== 'number' || isNetBad) return undefined;
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
