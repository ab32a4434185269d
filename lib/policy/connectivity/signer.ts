// What the policies of a cluster can know of a subject, as plain values: equal for two subjects that no rule tells apart.

import { formatIp, withoutLength } from '../../net/ip.ts';
import type { PolicyCluster } from '../cluster.ts';
import { type Identity, type IdentityId, workloadEndpointKey } from '../compiled.ts';
import { hostSettings } from '../evaluation/host-settings.ts';
import { hostEndpointsOf } from '../evaluation/locate.ts';
import { ruleNets } from '../question/ends.ts';
import { NetIndex } from './net-index.ts';
import type { Subject } from './subjects.ts';

export class Signer {
  readonly #cluster: PolicyCluster;
  readonly #nets: NetIndex;
  /** Which selectors match an identity, by their place in the cluster's list. */
  readonly #selectorsOf = new Map<IdentityId, number[]>();
  readonly #hosts = new Map<string, string>();
  readonly #tiers = new Map<IdentityId, number>();
  readonly #numbers = new Map<string, number>();

  constructor(cluster: PolicyCluster) {
    this.#cluster = cluster;
    this.#nets = new NetIndex(ruleNets(cluster));
    for (const [place, { identities }] of [...cluster.selectors.values()].entries()) {
      for (const id of identities) {
        const places = this.#selectorsOf.get(id) ?? [];
        this.#selectorsOf.set(id, places);
        places.push(place);
      }
    }
  }

  signature({ end, addresses, host }: Subject): readonly unknown[] {
    const of = addresses.map((address) => {
      const kinds = this.#cluster.identities.identitiesOf(address).map((identity) => this.#kindOf(identity));
      return [address.family, [...new Set(kinds)].sort((a, b) => a - b), this.#nets.signature(address)];
    });
    const hosted = host === undefined ? '' : this.#host(host);
    if (end.type !== 'workload') return [end.type, of, hosted];
    // The one of this cluster: labels and profiles may differ from those of another.
    const endpoint = this.#cluster.workloadEndpoints.get(workloadEndpointKey(end.endpoint.id));
    if (endpoint === undefined) return [end.type, of, hosted];
    // Which policies apply follows from the identity.
    const tiers = this.#tiers.get(endpoint.identity) ?? this.#number(JSON.stringify(endpoint.tiers));
    this.#tiers.set(endpoint.identity, tiers);
    return [end.type, of, hosted, tiers, endpoint.profiles, endpoint.localBgpPeer !== undefined];
  }

  /** Shared by identities that no selector and no named port tells apart. */
  #kindOf({ id, ports }: Identity): number {
    return this.#number(JSON.stringify([this.#selectorsOf.get(id) ?? [], ports]));
  }

  /** A short name for a long text. */
  #number(text: string): number {
    const number = this.#numbers.get(text) ?? this.#numbers.size;
    this.#numbers.set(text, number);
    return number;
  }

  /** Its settings and host endpoints; without any, one host is like another. */
  #host(host: string): string {
    const known = this.#hosts.get(host);
    if (known !== undefined) return known;
    const own = new Set((this.#cluster.hostAddresses.get(host) ?? []).map((address) => formatIp(address)));
    const endpoints = hostEndpointsOf(this.#cluster, host).map(
      ({ id: _id, expectedIps, revision: _revision, ...judged }) => ({
        ...judged,
        expectsHost: expectedIps.some((net) => own.has(withoutLength(net))),
      }),
    );
    const settings = hostSettings(host, this.#cluster);
    const asText = (_key: string, value: unknown): unknown =>
      typeof value === 'bigint' ? value.toString() : value;
    const signed = String(this.#number(JSON.stringify([settings, endpoints], asText)));
    this.#hosts.set(host, signed);
    return signed;
  }
}
