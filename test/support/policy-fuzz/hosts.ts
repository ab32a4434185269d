// Random host endpoints, and what concerns them alone: the global policies for what is forwarded, for what comes before DNAT, for what
// is not tracked, and the host's settings. An endpoint is of the one interface of its host, by name or by address, or of all.

import type { Resource } from '../../../lib/model/metadata.ts';
import { type Draw, defined } from './draw.ts';
import { drawLabels } from './rules.ts';
import { HOSTS } from './world.ts';

const API = 'projectcalico.org/v3';

/** Kinds of global policies that workloads do not know, or know in part. */
const HOST_POLICY_KINDS: readonly {
  readonly weight: number;
  readonly flags: object;
  readonly isIngressAlone: boolean;
}[] = [
  { weight: 3, flags: { applyOnForward: true }, isIngressAlone: false },
  { weight: 2, flags: { applyOnForward: true, preDNAT: true }, isIngressAlone: true },
  { weight: 2, flags: { applyOnForward: true, doNotTrack: true }, isIngressAlone: false },
];

/** The policy as one of host endpoints, which it selects more often than not. */
export function asHostPolicy(draw: Draw, policy: Resource): Resource {
  const { flags, isIngressAlone } = draw.weighted(HOST_POLICY_KINDS);
  const spec = policy['spec'] as Readonly<Record<string, unknown>>;
  const selector = draw.one(['has(host)', "host == 'n1'", 'all()', spec['selector'] ?? 'all()']);
  const { egress: _egress, types: _types, ...ingressAlone } = spec;
  return {
    ...policy,
    spec: defined({ ...(isIngressAlone ? ingressAlone : spec), ...flags, selector }),
  };
}

/** Names sort as the kernel and the evaluator prefer them: who knows the address, who names the interface, all. */
export function hostEndpoint(draw: Draw, ports: object[] | undefined): Resource {
  const { name, v4, v6 } = draw.one(HOSTS);
  const addresses = draw.few([v4, v6]);
  const [which, place] = draw.one([
    ['address', { expectedIPs: addresses }],
    ['eth0', { interfaceName: 'eth0', expectedIPs: draw.maybe(2, () => addresses) }],
    ['wildcard', { interfaceName: '*', expectedIPs: draw.maybe(2, () => addresses) }],
  ] as const);
  const profiles = draw.weighted([
    { weight: 3, profiles: undefined },
    { weight: 4, profiles: ['projectcalico-default-allow'] },
    { weight: 1, profiles: ['extra', 'projectcalico-default-allow'] },
    { weight: 1, profiles: ['missing'] },
  ]).profiles;
  return {
    apiVersion: API,
    kind: 'HostEndpoint',
    metadata: { name: `${name}-${which}`, labels: { ...drawLabels(draw), host: name } },
    spec: defined({ node: name, ...defined(place), profiles, ports }),
  };
}

const FAILSAFE_PORTS = [
  { protocol: 'TCP', port: 80 },
  { protocol: 'UDP', port: 53 },
  { protocol: 'TCP', port: 443, net: '198.18.0.0/15' },
  { protocol: 'UDP', port: 443, net: 'fd30::/64' },
] as const;

export function felixConfiguration(draw: Draw): Resource {
  const failsafePorts = (): readonly object[] => (draw.once(3) ? [] : draw.few(FAILSAFE_PORTS));
  return {
    apiVersion: API,
    kind: 'FelixConfiguration',
    metadata: { name: draw.one(['default', 'node.n1']) },
    spec: defined({
      defaultEndpointToHostAction: draw.one(['Accept', 'Drop', 'Return']),
      failsafeInboundHostPorts: draw.maybe(3, failsafePorts),
      failsafeOutboundHostPorts: draw.maybe(3, failsafePorts),
    }),
  };
}
