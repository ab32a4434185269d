// Hosts in two subnets with a router between them, each with a dataplane and a calculation graph of its own that are fed with nodes,
// pools, blocks and workloads as the datastore has them: what VXLAN is for.

import { CalcGraph } from '../../../../agents/felix/calc/calc-graph.ts';
import type { WireguardKeys } from '../../../../agents/felix/tunnels/tunnels.ts';
import { blockKey } from '../../../../lib/model/ipam-keys.ts';
import { keyOf } from '../../../../lib/model/keys.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';
import { workloadEndpointKey } from '../../../../lib/policy/compiled.ts';
import { Namespace } from './namespaces.ts';
import { Fabric, TestHost, type TestPod } from './test-host.ts';

export interface TunnelNode {
  readonly name: string;
  readonly subnet: 1 | 2;
  /** Last octet on the fabric, and third of the node's own block. */
  readonly octet: number;
}

/** Addresses of a node in both families, of its tunnel ends and its workload, and its blocks. */
export interface TunnelPlace {
  readonly address: string;
  readonly address6: string;
  readonly tunnel: string;
  readonly tunnel6: string;
  readonly block: string;
  readonly block6: string;
  /** Of WireGuard. */
  readonly wireguard: string;
  readonly wireguard6: string;
  readonly pod: string;
  readonly pod6: string;
}

export function placeOf({ subnet, octet }: TunnelNode): TunnelPlace {
  return {
    address: `172.30.${subnet}.${octet}`,
    address6: `fd30:${subnet}::${octet}`,
    tunnel: `10.65.${octet}.0`,
    tunnel6: `fd65::${octet}00`,
    block: `10.65.${octet}.0/26`,
    block6: `fd65::${octet}00/122`,
    wireguard: `10.65.${octet}.1`,
    wireguard6: `fd65::${octet}01`,
    pod: `10.65.${octet}.3`,
    pod6: `fd65::${octet}03`,
  };
}

interface Member {
  readonly node: TunnelNode;
  readonly host: TestHost;
  readonly pod: TestPod;
  graph: CalcGraph;
}

type Entries = ReadonlyMap<string, unknown>;

export class TunnelBed {
  readonly #fabrics: readonly Fabric[];
  readonly router: Namespace;
  readonly members: readonly Member[];
  #stored: Entries = new Map();
  #revision = 0;

  private constructor(fabrics: readonly Fabric[], router: Namespace, members: readonly Member[]) {
    this.#fabrics = fabrics;
    this.router = router;
    this.members = members;
  }

  static async create(nodes: readonly TunnelNode[]): Promise<TunnelBed> {
    const fabrics = [await Fabric.create(), await Fabric.create()];
    const router = Namespace.create('router');
    for (const path of ['net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding']) router.setSysctl(path, '1');
    for (const [index, fabric] of fabrics.entries())
      await fabric.connect(router, `172.30.${index + 1}.1`, {
        interfaceName: `eth${index}`,
        address6: `fd30:${index + 1}::1/64`,
      });
    const members: Member[] = [];
    for (const node of nodes) {
      const { address, address6, pod, pod6 } = placeOf(node);
      const fabric = fabrics[node.subnet - 1];
      if (fabric === undefined) throw new Error(`no subnet ${node.subnet}`);
      const host = await TestHost.create(fabric, node.name, address, { address6: `${address6}/64` });
      await host.namespace.ip(
        `route add default via 172.30.${node.subnet}.1`,
        `route add ::/0 via fd30:${node.subnet}::1`,
      );
      await host.dataplane.start();
      const made = await host.addPod('red', node.name, [pod, pod6]);
      members.push({ node, host, pod: made, graph: new CalcGraph({ hostname: node.name }) });
    }
    return new TunnelBed(fabrics, router, members);
  }

  member(name: string): Member {
    const found = this.members.find(({ node }) => node.name === name);
    if (found === undefined) throw new Error(`no member ${name}`);
    return found;
  }

  /**
   * The datastore now holds these nodes with a block and a workload each, with the keys of WireGuard that they have told of, and
   * this mode of the pools.
   */
  async store(
    mode: 'Always' | 'CrossSubnet' | 'Never',
    names: readonly string[],
    more: readonly Resource[] = [],
  ): Promise<void> {
    const members = names.map((name) => this.member(name));
    const entries = new Map<string, unknown>([
      ...[pool('pool4', '10.65.0.0/16', mode), pool('pool6', 'fd65::/112', mode), ...more].map(
        (resource) => [keyOf(resource), resource] as const,
      ),
      ...members.flatMap(({ node, host, pod }) => entriesOf(node, pod, mode !== 'Never', host.wireguardKeys)),
    ]);
    this.#revision++;
    for (const member of this.members) {
      for (const key of this.#stored.keys())
        if (!entries.has(key)) member.graph.onUpdate({ key, value: undefined, revision: this.#revision });
      for (const [key, value] of entries) member.graph.onUpdate({ key, value, revision: this.#revision });
      member.graph.onInSync();
    }
    this.#stored = entries;
    await Promise.all(this.members.map((member) => this.#settle(member)));
    for (const { node, host } of members)
      await host.dataplane.waitForEndpoint(endpointKey(node), 0, AbortSignal.timeout(10_000));
  }

  /** As after an agent's end: a new graph, fed with what the datastore holds, and a new dataplane over what the kernel has. */
  async restart(name: string): Promise<void> {
    const member = this.member(name);
    await member.host.restartAgent();
    await member.host.dataplane.start();
    member.graph = new CalcGraph({ hostname: name });
    for (const [key, value] of this.#stored) member.graph.onUpdate({ key, value, revision: this.#revision });
    member.graph.onInSync();
    await this.#settle(member);
  }

  /** An acknowledgement is of the table; routes and tunnels follow it in the same round, so the next round's comes after them. */
  async #settle({ host, graph }: Member): Promise<void> {
    await host.dataplane.apply(graph.flush());
    await host.dataplane.apply({ messages: [], revision: this.#revision, invalid: [] });
  }

  async close(): Promise<void> {
    for (const { host } of this.members) await host.close();
    this.router.close();
    for (const fabric of this.#fabrics) fabric.close();
  }
}

function pool(name: string, cidr: string, vxlanMode: string): Resource {
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'IPPool',
    metadata: { name },
    spec: { cidr, vxlanMode, ipipMode: 'Never', natOutgoing: false },
  };
}

function endpointKey({ name }: TunnelNode): string {
  return workloadEndpointKey({ host: name, orchestrator: 'k8s', workload: `red/${name}`, endpoint: 'eth0' });
}

function entriesOf(
  node: TunnelNode,
  pod: TestPod,
  hasTunnels: boolean,
  keys: WireguardKeys,
): readonly (readonly [string, unknown])[] {
  const { address, address6, tunnel, tunnel6, block, block6, wireguard, wireguard6 } = placeOf(node);
  const { name } = node;
  const calicoNode: Resource = {
    apiVersion: 'projectcalico.org/v3',
    kind: 'Node',
    metadata: { name },
    spec: {
      bgp: { ipv4Address: `${address}/24`, ipv6Address: `${address6}/64` },
      ...(hasTunnels ? { ipv4VXLANTunnelAddr: tunnel, ipv6VXLANTunnelAddr: tunnel6 } : {}),
      wireguard: {
        ...(keys[4] === undefined ? {} : { interfaceIPv4Address: wireguard }),
        ...(keys[6] === undefined ? {} : { interfaceIPv6Address: wireguard6 }),
      },
    },
    status: {
      ...(keys[4] === undefined ? {} : { wireguardPublicKey: keys[4] }),
      ...(keys[6] === undefined ? {} : { wireguardPublicKeyV6: keys[6] }),
    },
  };
  const endpoint: Resource = {
    apiVersion: 'projectcalico.org/v3',
    kind: 'WorkloadEndpoint',
    metadata: {
      name: `${name.replaceAll('-', '--')}-k8s-${name.replaceAll('-', '--')}-eth0`,
      namespace: 'red',
    },
    spec: {
      node: name,
      orchestrator: 'k8s',
      pod: name,
      endpoint: 'eth0',
      interfaceName: pod.interfaceName,
      mac: pod.mac,
      ipNetworks: pod.addresses.map((text) => `${text}/${text.includes(':') ? 128 : 32}`),
      profiles: ['projectcalico-default-allow'],
    },
  };
  const blockOf = (cidr: string): object => ({
    cidr,
    affinity: `host:${name}`,
    allocations: [],
    attributes: [],
  });
  return [
    [keyOf(calicoNode), calicoNode],
    [keyOf(endpoint), endpoint],
    [blockKey(block), blockOf(block)],
    [blockKey(block6), blockOf(block6)],
  ];
}
