// The bed of the differential fuzzer: the world's hosts with real dataplanes, its workloads and outsiders, in namespaces made once.
// Loads a cluster through each host's calculation graph, and sends packets between raw sockets.

import { isDeepStrictEqual } from 'node:util';
import type { Resource } from '../../../../lib/model/metadata.ts';
import { replacedByStaged } from '../../../../lib/policy/staged.ts';
import { HOSTS, OUTSIDE, PODS } from '../../../support/policy-fuzz/world.ts';
import { CalcFeed, type FelixConfigurationSpec } from './calc-feed.ts';
import { Namespace } from './namespaces.ts';
import { PacketEnd } from './packet-end.ts';
import { Fabric, type TestDataplaneOptions, TestHost } from './test-host.ts';

const EVERY_ADDRESS = [...OUTSIDE.v4, ...OUTSIDE.v6];

/** Three to thirty seconds else: less than a slow machine may take between a packet and a look at its flow. */
const FIRST_PACKET_TIMEOUTS = [
  'sctp_timeout_closed',
  'sctp_timeout_cookie_wait',
  'udp_timeout',
  'icmp_timeout',
  'icmpv6_timeout',
] as const;

export class FuzzBed {
  readonly hosts = new Map<string, TestHost>();
  /** By the names of the world. */
  readonly ends = new Map<string, PacketEnd>();
  readonly namespaces = new Map<string, Namespace>();
  /** Of every host's Felix, from the next load on. */
  settings: FelixConfigurationSpec = {};
  readonly #feeds = new Map<string, CalcFeed>();
  readonly #fabric: Fabric;
  readonly #outside: Namespace;
  #areLinksUp = false;

  private constructor(fabric: Fabric, outside: Namespace) {
    this.#fabric = fabric;
    this.#outside = outside;
  }

  static async create(): Promise<FuzzBed> {
    const bed = new FuzzBed(await Fabric.create(), Namespace.create('outside'));
    try {
      await bed.#build();
    } catch (error) {
      await bed.close();
      throw error;
    }
    return bed;
  }

  /** Every host's kernel holds exactly this. `replace`: made anew as a whole, under other names. */
  async load(resources: readonly Resource[], replace: boolean): Promise<void> {
    if (replace) for (const { dataplane } of this.hosts.values()) dataplane.table.replace('fuzz');
    await Promise.all([...this.#feeds.keys()].map((name) => this.loadOn(name, resources)));
    if (this.#areLinksUp) return;
    // A link that has been raised loses packets for a moment.
    for (const { dataplane } of this.hosts.values()) {
      for (const key of dataplane.state.endpoints.keys())
        await dataplane.waitForEndpoint(key, 0, AbortSignal.timeout(10_000));
    }
    this.#areLinksUp = true;
  }

  /** One host's kernel holds exactly this. */
  async loadOn(name: string, resources: readonly Resource[]): Promise<void> {
    const replaced = new Set(resources.flatMap((resource) => replacedByStaged(resource) ?? []));
    const { dataplane } = this.host(name);
    if (!isDeepStrictEqual(replaced, dataplane.state.replacedByStaged))
      dataplane.setReplacedByStaged(replaced);
    await this.#feeds.get(name)?.store(resources, this.settings);
  }

  /** A new agent takes over what the one before has left in the kernel. */
  async restart(
    name: string,
    resources: readonly Resource[],
    limits: TestDataplaneOptions = {},
  ): Promise<void> {
    const host = this.host(name);
    await host.restartAgent(limits);
    await host.dataplane.start();
    this.#feeds.set(name, new CalcFeed(host));
    await this.loadOn(name, resources);
  }

  /** Throws if there is none of the name. */
  host(name: string): TestHost {
    const host = this.hosts.get(name);
    if (host === undefined) throw new Error(`no host ${name}`);
    return host;
  }

  async close(): Promise<void> {
    for (const end of this.ends.values()) end.close();
    for (const host of this.hosts.values()) await host.close();
    this.#outside.close();
    this.#fabric.close();
  }

  async #build(): Promise<void> {
    for (const { name, v4 } of HOSTS) this.hosts.set(name, await TestHost.create(this.#fabric, name, v4));
    await this.#fabric.connect(this.#outside, OUTSIDE.v4[0]);
    const machines = [
      ...HOSTS.map(({ name, v4, v6 }) => ({
        name: `host:${name}`,
        namespace: this.host(name).namespace,
        addresses: [v4, v6],
      })),
      { name: 'outside', namespace: this.#outside, addresses: EVERY_ADDRESS },
    ];
    for (const { namespace, addresses } of machines) await addAddresses(namespace, addresses);
    const macs = await Promise.all(machines.map(({ namespace }) => macOf(namespace)));
    for (const machine of machines) {
      const lines = machines.flatMap((other, index) =>
        other === machine
          ? []
          : other.addresses.flatMap((address) => [
              `neigh replace ${address} lladdr ${macs[index]} nud permanent dev eth0`,
              `route replace ${hostNet(address)} dev eth0`,
            ]),
      );
      const podRoutes = PODS.filter(({ host }) => machine.name !== `host:${host}`).flatMap(
        ({ host, v4, v6 }) => {
          const via = HOSTS.find(({ name }) => name === host);
          return [`route replace ${v4}/32 via ${via?.v4}`, `route replace ${v6}/128 via ${via?.v6}`];
        },
      );
      await machine.namespace.ip(...lines, ...podRoutes);
      await this.#addEnd(machine.name, machine.namespace);
    }
    for (const { namespace, name, host, v4, v6 } of PODS) {
      const pod = await this.host(host).addPod(namespace, name, [v4, v6]);
      await this.#addEnd(`${namespace}/${name}`, pod.namespace);
    }
    for (const [name, host] of this.hosts) {
      await host.dataplane.start();
      for (const name of FIRST_PACKET_TIMEOUTS)
        host.namespace.setSysctl(`net/netfilter/nf_conntrack_${name}`, '120');
      this.#feeds.set(name, new CalcFeed(host));
    }
  }

  async #addEnd(name: string, namespace: Namespace): Promise<void> {
    this.namespaces.set(name, namespace);
    this.ends.set(name, await PacketEnd.create(namespace));
  }
}

function hostNet(address: string): string {
  return `${address}/${address.includes(':') ? 128 : 32}`;
}

/** Without duplicate address detection, which takes a second. */
async function addAddresses(namespace: Namespace, addresses: readonly string[]): Promise<void> {
  for (const which of ['all', 'default']) namespace.setSysctl(`net/ipv6/conf/${which}/disable_ipv6`, '0');
  await namespace.ip(
    ...addresses.map((address) =>
      address.includes(':')
        ? `addr replace ${address}/64 dev eth0 nodad`
        : `addr replace ${address}/24 dev eth0`,
    ),
  );
}

async function macOf(namespace: Namespace): Promise<string> {
  const [link] = JSON.parse(await namespace.exec('ip', '-j', 'link', 'show', 'eth0')) as {
    address: string;
  }[];
  if (link === undefined) throw new Error('no eth0');
  return link.address;
}
