// The recorded states' internal form (the v1 model that Calico's syncers deliver) as inputs of the graph's nodes.

import type {
  CalcInput,
  HostEndpointInput,
  PolicyInput,
  VxlanTunnelInput,
  WorkloadEndpointInput,
} from '../../../../agents/felix/calc/inputs.ts';
import {
  type BlockValue,
  blockInput,
  nodeInput,
  poolInput,
} from '../../../../agents/felix/calc/network-processor.ts';
import { policyInput } from '../../../../agents/felix/calc/policy-processor.ts';
import { convertEndpointSlice } from '../../../../lib/conversion/endpoint-slice.ts';
import type { CalicoNode, EncapMode } from '../../../../lib/model/endpoint-types.ts';
import type { EndpointSlice } from '../../../../lib/model/kubernetes-service-types.ts';
import { parseNumberOrName, protocolNumber } from '../../../../lib/model/numbers.ts';
import type { EntityRule, Profile, Rule } from '../../../../lib/model/policy-types.ts';
import { canonicalCidr } from '../../../../lib/net/ip.ts';
import { compileProfile } from '../../../../lib/policy/compile.ts';
import type { IdentityPort, PolicyKind } from '../../../../lib/policy/compiled.ts';
import { type SliceMembers, sliceMembers } from '../../../../lib/policy/services.ts';

type Json = Record<string, unknown>;
export interface ModelEntry {
  readonly path: string;
  readonly key: Readonly<Record<string, string>> & { readonly type: string };
  readonly value: unknown;
}

const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' ? value : undefined;
const texts = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);

/** Turns entries into inputs; host settings, which come one by one, are gathered to one input of the host. */
export class ModelFeed {
  private readonly tunnelsByHost = new Map<string, Record<string, string>>();

  /** `isPresent` false: the entry's key is gone. */
  inputs({ key, value }: ModelEntry, isPresent: boolean): CalcInput[] {
    const present = <Value>(read: (fields: Json) => Value): Value | undefined =>
      isPresent ? read(value as Json) : undefined;
    const name = key['name'] ?? '';
    const host = key['host'] ?? '';
    switch (key.type) {
      case 'WorkloadEndpoint': {
        const id = {
          host,
          orchestrator: key['orchestrator'] ?? '',
          workload: key['workload'] ?? '',
          endpoint: key['endpoint'] ?? '',
        };
        return [{ type: 'workloadEndpoint', id, value: present(workloadEndpoint) }];
      }
      case 'HostEndpoint':
        return [
          {
            type: 'hostEndpoint',
            id: { host, endpoint: key['endpoint'] ?? '' },
            value: present(hostEndpoint),
          },
        ];
      case 'NetworkSet':
        return [
          {
            type: 'networkSet',
            name,
            value: present((set) => ({ ...labelled(set), nets: canonical(set['nets']) })),
          },
        ];
      case 'Policy': {
        const id = { kind: key['kind'] as PolicyKind, namespace: key['namespace'] ?? '', name };
        return [{ type: 'policy', id, value: present((policy) => policyOf(id, policy)) }];
      }
      case 'Tier':
        return [{ type: 'tier', name, value: present(tierOf) }];
      case 'ProfileRules': {
        const profile = (rules: Json): Profile => ({
          apiVersion: 'projectcalico.org/v3',
          kind: 'Profile',
          metadata: { name },
          spec: { ingress: rulesOf(rules['inbound_rules']), egress: rulesOf(rules['outbound_rules']) },
        });
        return [{ type: 'profileRules', name, value: present((rules) => compileProfile(profile(rules))) }];
      }
      case 'IPPool':
        return [{ type: 'pool', key: key['cidr'] ?? '', value: present(poolOf) }];
      case 'Block':
        return [
          {
            type: 'block',
            cidr: key['cidr'] ?? '',
            value: present((block) => blockInput(key['cidr'] ?? '', block as BlockValue)),
          },
        ];
      case 'HostConfig':
        return [this.hostConfig(host, name, isPresent ? String(value) : undefined)];
      case 'Wireguard':
        return [{ type: 'wireguard', host: key['node'] ?? '', value: present(wireguardOf) }];
      case 'Resource':
        if (key['kind'] === 'KubernetesEndpointSlice') {
          const slice = `${key['namespace']}/${name}`;
          return [{ type: 'endpointSlice', name: slice, value: present(sliceOf) }];
        }
        return resourceInputs(key['kind'] ?? '', name, isPresent ? value : undefined);
      case 'GlobalConfig':
      case 'ReadyFlag':
        return [];
      default:
        throw new Error(`recorded state has an unknown kind of key: ${key.type}`);
    }
  }

  private hostConfig(host: string, name: string, value: string | undefined): CalcInput {
    const settings = { ...this.tunnelsByHost.get(host) };
    if (value === undefined) delete settings[name];
    else settings[name] = value;
    this.tunnelsByHost.set(host, settings);
    const tunnel: VxlanTunnelInput = {
      ipv4: settings['IPv4VXLANTunnelAddr'],
      ipv6: settings['IPv6VXLANTunnelAddr'],
      mac: settings['VXLANTunnelMACAddr'],
      macV6: settings['VXLANTunnelMACAddrV6'],
    };
    return { type: 'vxlanTunnel', host, value: tunnel };
  }
}

function resourceInputs(kind: string, name: string, value: unknown): CalcInput[] {
  switch (kind) {
    case 'Node':
      return [
        { type: 'node', name, value: value === undefined ? undefined : nodeInput(value as CalicoNode) },
      ];
    case 'Profile':
      return [{ type: 'profileLabels', name, value: (value as Profile | undefined)?.spec?.labelsToApply }];
    default:
      return [];
  }
}

function labelled(fields: Json): { labels: Record<string, string>; profiles: string[] } {
  return {
    labels: (fields['labels'] ?? {}) as Record<string, string>,
    profiles: texts(fields['profile_ids']),
  };
}

function canonical(nets: unknown): string[] {
  return [...new Set(texts(nets).map((net) => canonicalCidr(net) ?? net))];
}

function portsOf(fields: Json): IdentityPort[] {
  const ports = (fields['ports'] ?? []) as { name: string; protocol: string | number; port: number }[];
  return ports.map(({ name, protocol, port }) => ({
    name,
    protocol: protocolNumber(parseNumberOrName(protocol)) ?? 0,
    port,
  }));
}

function workloadEndpoint(fields: Json): WorkloadEndpointInput {
  return {
    ...labelled(fields),
    interfaceName: text(fields['name']) ?? '',
    mac: text(fields['mac']),
    nets4: canonical(fields['ipv4_nets']),
    nets6: canonical(fields['ipv6_nets']),
    ports: portsOf(fields),
    allowSpoofedSourcePrefixes: [],
    revision: 0,
  };
}

function hostEndpoint(fields: Json): HostEndpointInput {
  return {
    ...labelled(fields),
    interfaceName: text(fields['name']),
    expectedIps: [...canonical(fields['expected_ipv4_addrs']), ...canonical(fields['expected_ipv6_addrs'])],
    ports: portsOf(fields),
    revision: 0,
  };
}

function sliceOf(fields: Json): SliceMembers | undefined {
  const slice = convertEndpointSlice(fields as unknown as EndpointSlice);
  return slice && sliceMembers(slice);
}

function tierOf(fields: Json): { order: number | undefined; defaultAction: 'deny' | 'pass' } {
  const { order, default_action: action } = fields;
  return {
    order: typeof order === 'number' ? order : undefined,
    defaultAction: action === 'Pass' ? 'pass' : 'deny',
  };
}

function poolOf(fields: Json): ReturnType<typeof poolInput> {
  const mode = (value: unknown): EncapMode =>
    value === 'always' ? 'Always' : value === 'cross-subnet' ? 'CrossSubnet' : 'Never';
  return poolInput({
    apiVersion: 'projectcalico.org/v3',
    kind: 'IPPool',
    metadata: { name: 'pool' },
    spec: {
      cidr: String(fields['cidr']),
      vxlanMode: mode(fields['vxlan_mode']),
      ipipMode: mode(fields['ipip_mode']),
      natOutgoing: fields['masquerade'] === true,
    },
  });
}

function wireguardOf(fields: Json): {
  key: string | undefined;
  ipv4: string | undefined;
  keyV6: string | undefined;
  ipv6: string | undefined;
} {
  return {
    key: text(fields['publicKey']),
    ipv4: text(fields['interfaceIPv4Addr']),
    keyV6: text(fields['publicKeyV6']),
    ipv6: text(fields['interfaceIPv6Addr']),
  };
}

/** Selectors of the internal form are combined already, so they are compiled as a global policy's, under the true name. */
function policyOf(id: PolicyInput['policy']['id'], fields: Json): PolicyInput | undefined {
  const input = policyInput(
    { ...id, namespace: '' },
    {
      apiVersion: 'projectcalico.org/v3',
      kind: 'GlobalNetworkPolicy',
      metadata: { name: id.name },
      spec: {
        tier: text(fields['tier']) ?? 'default',
        ...(typeof fields['order'] === 'number' ? { order: fields['order'] } : {}),
        selector: text(fields['selector']) ?? '',
        types: texts(fields['types']).map((type) => (type === 'ingress' ? 'Ingress' : 'Egress')),
        ingress: rulesOf(fields['inbound_rules']),
        egress: rulesOf(fields['outbound_rules']),
        doNotTrack: fields['untracked'] === true,
        preDNAT: fields['pre_dnat'] === true,
        applyOnForward: fields['apply_on_forward'] === true,
        performanceHints: texts(fields['performance_hints']),
      },
    },
    0,
  );
  return input && { ...input, policy: { ...input.policy, id, staged: id.kind.startsWith('Staged') } };
}

function rulesOf(rules: unknown): Rule[] {
  return ((rules ?? []) as Json[]).map((rule) => ({
    action: (text(rule['action']) ?? 'Allow') as Rule['action'],
    ...(rule['ip_version'] === undefined ? {} : { ipVersion: rule['ip_version'] as 4 | 6 }),
    ...(rule['protocol'] === undefined ? {} : { protocol: rule['protocol'] as string | number }),
    ...(rule['!protocol'] === undefined ? {} : { notProtocol: rule['!protocol'] as string | number }),
    ...(rule['icmp_type'] === undefined ? {} : { icmp: { type: rule['icmp_type'] as number } }),
    ...(rule['http_match'] === undefined ? {} : { http: {} }),
    source: entityOf(rule, 'src'),
    destination: entityOf(rule, 'dst'),
  }));
}

function entityOf(rule: Json, side: 'src' | 'dst'): EntityRule {
  const nets = [
    ...texts(rule[`${side}_nets`]),
    ...(text(rule[`${side}_net`]) === undefined ? [] : [String(rule[`${side}_net`])]),
  ];
  const service = text(rule[`${side}_service`]);
  const entity: EntityRule = { nets, notNets: texts(rule[`!${side}_nets`]) };
  const selector = text(rule[`${side}_selector`]);
  const notSelector = text(rule[`!${side}_selector`]);
  if (selector !== undefined) entity.selector = selector;
  if (notSelector !== undefined) entity.notSelector = notSelector;
  entity.ports = (rule[`${side}_ports`] ?? []) as (number | string)[];
  entity.notPorts = (rule[`!${side}_ports`] ?? []) as (number | string)[];
  const accounts = ['names', 'selector'].map((field) => rule[`original_${side}_service_account_${field}`]);
  if (accounts.some((given) => given !== undefined)) entity.serviceAccounts = { names: [] };
  if (service !== undefined)
    entity.services = { name: service, namespace: text(rule[`${side}_service_ns`]) ?? '' };
  return entity;
}
