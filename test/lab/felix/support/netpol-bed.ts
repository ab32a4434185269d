// The network policy cases' cluster with real packets: hosts on a switch, pods behind their own veths, externals beside them.
// Made once for all cases; each case's pods come and go.

import type { Resource } from '../../../../lib/model/metadata.ts';
import {
  type NetpolCase,
  type NetpolHost,
  type NetpolProbe,
  NetpolWorld,
} from '../../../support/netpol-case.ts';
import { CalcFeed, type FelixConfigurationSpec } from './calc-feed.ts';
import { Namespace } from './namespaces.ts';
import { type Probe, type ProbeVerdict, probeAll, Servers } from './probes.ts';
import { countDenials, Fabric, type TestDataplaneOptions, TestHost, type TestPod } from './test-host.ts';

interface WorkloadEndpointResource extends Resource {
  readonly spec: {
    readonly node: string;
    readonly pod: string;
    readonly ipNetworks: readonly string[];
    readonly ports?: readonly { readonly port: number; readonly protocol: string }[];
  };
}

export class NetpolBed {
  readonly fabric: Fabric;
  readonly hosts: ReadonlyMap<string, TestHost>;
  #externals = new Map<string, Namespace>();
  #pods = new Map<string, { readonly host: TestHost; readonly pod: TestPod }>();
  /** Of every host's Felix, from the next settling on. */
  settings: FelixConfigurationSpec = {};
  readonly #feeds = new Map<string, CalcFeed>();
  #hasNewPods = false;
  /** Lines for `ip` that are still to be run, of each namespace: one `ip` runs them all. */
  readonly #lines = new Map<Namespace, string[]>();
  servers = new Servers();

  /** Throws where the bed has none of that name. */
  host(name: string): TestHost {
    const host = this.hosts.get(name);
    if (host === undefined) throw new Error(`no host ${name}`);
    return host;
  }

  private constructor(fabric: Fabric, hosts: ReadonlyMap<string, TestHost>) {
    this.fabric = fabric;
    this.hosts = hosts;
  }

  static async create(nodes: readonly NetpolHost[]): Promise<NetpolBed> {
    const fabric = await Fabric.create();
    const hosts = new Map<string, TestHost>();
    for (const { name, ip } of nodes) hosts.set(name, await TestHost.create(fabric, name, ip));
    return new NetpolBed(fabric, hosts);
  }

  /** The case's own ends, and dataplanes that adopt what the case before has left. */
  async begin(netpolCase: NetpolCase, options: TestDataplaneOptions = {}): Promise<NetpolWorld> {
    const { cluster } = netpolCase;
    this.servers = new Servers();
    for (const node of cluster.nodes) this.#listen(this.hosts.get(node.name)?.namespace, node);
    for (const external of cluster.externals ?? []) await this.#addExternal(external);
    await Promise.all(
      [...this.hosts.values()].map(async (host) => {
        host.useDataplane(options);
        await host.dataplane.start();
      }),
    );
    for (const name of this.hosts.keys()) this.renewFeed(name);
    const world = new NetpolWorld(netpolCase);
    await this.#addPods(cluster.pods ?? []);
    await this.#runLines();
    return world;
  }

  /** Brings every host to the world's resources; pods that are new get their namespaces first. */
  async settle(world: NetpolWorld): Promise<void> {
    await this.settleResources(world.resources());
  }

  async settleResources(resources: readonly Resource[]): Promise<void> {
    for (const resource of resources) {
      if (resource.kind !== 'WorkloadEndpoint') continue;
      const { metadata, spec } = resource as WorkloadEndpointResource;
      const address = spec.ipNetworks[0]?.split('/')[0];
      if (address === undefined || this.#pods.has(`${metadata.namespace}/${spec.pod}`)) continue;
      await this.#addPod(metadata.namespace ?? '', spec.pod, spec.node, address, spec.ports ?? []);
    }
    await this.#runLines();
    await Promise.all([...this.#feeds.values()].map((feed) => feed.store(resources, this.settings)));
    if (this.#hasNewPods) await this.#linksUp();
    this.#hasNewPods = false;
  }

  /** A link that has been raised loses packets for a moment. */
  async #linksUp(): Promise<void> {
    for (const { dataplane } of this.hosts.values()) {
      for (const key of dataplane.state.endpoints.keys())
        await dataplane.waitForEndpoint(key, 0, AbortSignal.timeout(10_000));
    }
  }

  /** A calculation graph that starts anew, as with a new agent. */
  renewFeed(name: string): void {
    const host = this.hosts.get(name);
    if (host !== undefined) this.#feeds.set(name, new CalcFeed(host));
  }

  /** Whether one probe is answered, without a look at what was denied. */
  async probeAllowed(probe: Probe, deadlineMs?: number): Promise<boolean> {
    const nothing = (): number => 0;
    return (await probeAll([probe], this.servers, async () => nothing, deadlineMs))[0] === 'allowed';
  }

  async probe(probes: readonly NetpolProbe[]): Promise<readonly ProbeVerdict[]> {
    const real = probes.map((probe): Probe => {
      const { protocol, port, fromAddress, toAddress } = probe;
      return {
        name: `${probe.from} → ${probe.to} ${protocol} ${port ?? ''}`,
        from: this.namespaceOf(probe.from),
        fromAddress,
        to: toAddress,
        protocol,
        ...(port === undefined ? {} : { port }),
      };
    });
    return await probeAll(real, this.servers, () => countDenials([...this.hosts.values()]));
  }

  async end(): Promise<void> {
    this.servers.close();
    await Promise.all([...this.hosts.values()].map(({ dataplane }) => dataplane.stop()));
    for (const host of this.hosts.values()) for (const pod of host.pods.splice(0)) pod.namespace.close();
    this.#pods = new Map();
    for (const external of this.#externals.values()) external.close();
    this.#externals = new Map();
  }

  async close(): Promise<void> {
    for (const host of this.hosts.values()) await host.close();
    this.fabric.close();
  }

  /** Those of one host one after another, so that its pods are in their order. */
  async #addPods(pods: NonNullable<NetpolCase['cluster']['pods']>): Promise<void> {
    const byNode = Object.values(Object.groupBy(pods, ({ node }) => node));
    await Promise.all(
      byNode.map(async (mine = []) => {
        for (const { namespace, name, node, ip, ports = [] } of mine)
          await this.#addPod(namespace, name, node, ip, ports);
      }),
    );
  }

  async #addPod(
    namespace: string,
    name: string,
    node: string,
    ip: string,
    ports: readonly { readonly port: number; readonly protocol: string }[],
  ): Promise<void> {
    const host = this.host(node);
    const pod = await host.addPod(namespace, name, [ip]);
    this.#hasNewPods = true;
    this.#pods.set(`${namespace}/${name}`, { host, pod });
    this.#listen(pod.namespace, { ip, ports });
    const others = [...this.hosts.values()].filter((other) => other !== host);
    for (const elsewhere of [...others.map((other) => other.namespace), ...this.#externals.values()])
      this.#add(elsewhere, `route replace ${ip}/32 via ${host.address}`);
  }

  async #addExternal(external: NetpolHost): Promise<void> {
    const namespace = Namespace.create(external.name);
    await this.fabric.connect(namespace, external.ip);
    this.#add(namespace, 'route replace 172.30.0.0/24 dev eth0');
    namespace.setSysctl('net/ipv4/ping_group_range', '0 0');
    for (const host of this.hosts.values())
      this.#add(host.namespace, `route replace ${external.ip}/32 dev eth0`);
    this.#externals.set(external.name, namespace);
    this.#listen(namespace, external);
  }

  #add(namespace: Namespace, line: string): void {
    this.#lines.set(namespace, [...(this.#lines.get(namespace) ?? []), line]);
  }

  async #runLines(): Promise<void> {
    const all = [...this.#lines];
    this.#lines.clear();
    await Promise.all(all.map(([namespace, lines]) => namespace.ip(...lines)));
  }

  #listen(
    namespace: Namespace | undefined,
    end: {
      readonly ip: string;
      readonly ports?: readonly { readonly port: number; readonly protocol: string }[];
    },
  ): void {
    for (const { port, protocol } of end.ports ?? []) {
      if (namespace !== undefined && (protocol === 'TCP' || protocol === 'UDP')) {
        this.servers.add(namespace, end.ip, protocol, port);
      }
    }
  }

  namespaceOf(end: string): Namespace {
    const [kind, name = ''] = end.split(':');
    const namespace =
      kind === 'node'
        ? this.hosts.get(name)?.namespace
        : kind === 'external'
          ? this.#externals.get(name)
          : this.#pods.get(end)?.pod.namespace;
    if (namespace === undefined) throw new Error(`no namespace for ${end}`);
    return namespace;
  }
}
