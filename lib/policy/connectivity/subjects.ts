// Who can talk to whom: workloads, hosts, and addresses outside; and their classes, whose members no rule tells apart
// (docs/policy.md "Connectivity"). Of several clusters at once, so that they can be compared.

import {
  type Cidr,
  cidrFirst,
  cidrLast,
  FAMILIES,
  familyBits,
  formatCidr,
  formatIp,
  type IpAddress,
  parseCidr,
  parseIp,
  withoutLength,
} from '../../net/ip.ts';
import type { PolicyCluster } from '../cluster.ts';
import { type CompiledWorkloadEndpoint, workloadEndpointKey } from '../compiled.ts';
import { locate } from '../evaluation/locate.ts';
import { addressOf, type End, ruleNets } from '../question/ends.ts';
import { groupName } from './group-name.ts';
import { NetIndex } from './net-index.ts';

export interface Subject {
  /** Unique. */
  readonly key: string;
  /** Whom several subjects are, by other addresses of theirs: nothing is asked between them. */
  readonly owner: string;
  readonly end: End;
  /** At most one of a family. */
  readonly addresses: readonly IpAddress[];
  /** Undefined for addresses outside. */
  readonly host: string | undefined;
  /** Labels that selectors see, in the first of the clusters. */
  readonly labels: Readonly<Record<string, string>>;
  /** What it is called together with others like it. */
  readonly group: string;
}

/** Addresses that are tried to find one in a network that belongs to nobody. */
const TRIES_PER_NET = 8;

/**
 * Workloads and hosts that are in all of the clusters, by each of their addresses, and one address for each part of the outside that rules, sets or
 * `alsoNets` know.
 */
export function subjectsOf(clusters: readonly PolicyCluster[], alsoNets: readonly Cidr[] = []): Subject[] {
  const [first] = clusters;
  if (first === undefined) return [];
  const workloads = [...first.workloadEndpoints.values()].filter((endpoint) =>
    clusters.every(({ workloadEndpoints }) => workloadEndpoints.has(workloadEndpointKey(endpoint.id))),
  );
  const hosts = [...first.hostAddresses.keys()].filter((host) =>
    clusters.every(({ hostAddresses }) => hostAddresses.has(host)),
  );
  return [
    ...workloads.flatMap((endpoint) => workloadSubjects(first, endpoint)),
    ...hosts.flatMap((host) => hostSubjects(first, host)),
    ...outsideSubjects(clusters, alsoNets),
  ];
}

function workloadSubjects(cluster: PolicyCluster, endpoint: CompiledWorkloadEndpoint): Subject[] {
  const { id, nets4, nets6, identity } = endpoint;
  const labels = cluster.identities.identities.get(identity)?.labels ?? {};
  const addresses = [...nets4, ...nets6].flatMap((net) => parseIp(withoutLength(net)) ?? []);
  return ownSubjects(addresses, {
    owner: `workload ${workloadEndpointKey(id)}`,
    end: { type: 'workload', endpoint },
    host: id.host,
    labels,
    group: groupName(id.workload, labels),
  });
}

function hostSubjects(cluster: PolicyCluster, host: string): Subject[] {
  return ownSubjects(cluster.hostAddresses.get(host) ?? [], {
    owner: `node ${host}`,
    end: { type: 'host', host },
    host,
    labels: {},
    group: 'nodes',
  });
}

/** Networks of rules may know one address, and not another: the first of both families together, then the second. */
function ownSubjects(addresses: readonly IpAddress[], own: Omit<Subject, 'key' | 'addresses'>): Subject[] {
  const unique = [...new Map(addresses.map((address) => [formatIp(address), address])).values()];
  const byFamily = FAMILIES.map((family) => unique.filter((address) => address.family === family));
  const count = Math.max(...byFamily.map(({ length }) => length));
  return Array.from({ length: count }, (_, place) => ({
    ...own,
    key: place === 0 ? own.owner : `${own.owner} ${place}`,
    addresses: byFamily.flatMap((of) => of[place] ?? []),
  }));
}

function addressesOf(cluster: PolicyCluster, end: End): IpAddress[] {
  return FAMILIES.flatMap((family) => addressOf(cluster, end, family) ?? []);
}

/** Of each network an address in it, and just beyond its ends; of all these, one of each signature. */
function outsideSubjects(clusters: readonly PolicyCluster[], alsoNets: readonly Cidr[]): Subject[] {
  const nets = [...outsideNets(clusters), ...alsoNets];
  const index = new NetIndex(nets);
  const bySignature = new Map<string, Subject>();
  const outside = clusters.flatMap((cluster) => addressesOf(cluster, { type: 'external' }));
  for (const address of [...outside, ...nets.flatMap(candidates)]) {
    if (clusters.some((cluster) => locate(cluster, address).type !== 'external')) continue;
    const signature = `${address.family} ${index.signature(address)}`;
    if (bySignature.has(signature)) continue;
    const [smallest] = index.around(address).filter(({ length }) => length > 0);
    const group = smallest === undefined ? 'external' : formatCidr(smallest);
    bySignature.set(signature, {
      key: `outside ${signature}`,
      owner: `outside ${signature}`,
      end: { type: 'address', address },
      addresses: [address],
      host: undefined,
      labels: {},
      group,
    });
  }
  return [...bySignature.values()];
}

/** Networks of rules, and of network sets; those of endpoints are theirs alone. */
function outsideNets(clusters: readonly PolicyCluster[]): Cidr[] {
  const texts = new Set(
    clusters.flatMap((cluster) => [
      ...ruleNets(cluster).map(formatCidr),
      ...[...cluster.identities.members.keys()].filter((net) => !isEndpoint(cluster, net)),
    ]),
  );
  return [...texts].map(parseCidr).filter((net) => net !== undefined);
}

function isEndpoint(cluster: PolicyCluster, net: string): boolean {
  const address = parseIp(withoutLength(net));
  const isOne = net.endsWith(address?.family === 4 ? '/32' : '/128');
  return isOne && address !== undefined && locate(cluster, address).type !== 'external';
}

function candidates(net: Cidr): IpAddress[] {
  const { family } = net;
  const first = cidrFirst(net).value;
  const last = cidrLast(net).value;
  const max = (1n << BigInt(familyBits(family))) - 1n;
  const step = (last - first) / BigInt(TRIES_PER_NET);
  const inside = Array.from({ length: TRIES_PER_NET }, (_, index) => first + BigInt(index) * step);
  const values = [first + 1n, first, ...inside, last - 1n, last, first - 1n, last + 1n];
  return values.filter((value) => value >= 0n && value <= max).map((value) => ({ family, value }));
}
