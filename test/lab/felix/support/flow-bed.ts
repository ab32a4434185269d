// A host with dual-stack pods, its dataplane and its flow records, fed as by its agent: for tests of what records say.

import { join } from 'node:path';
import { Dataplane } from '../../../../agents/felix/dataplane/dataplane.ts';
import { NodeFlows } from '../../../../agents/node/flows.ts';
import { podInterfaceName } from '../../../../lib/conversion/pod.ts';
import { silentLogger } from '../../../../lib/logging/logger.ts';
import { keyOf } from '../../../../lib/model/keys.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';
import type { FlowRecord } from '../../../../lib/protocol/flow-record.ts';
import { programFile } from '../../support/programs.ts';
import { CalcFeed } from './calc-feed.ts';
import { Client, type Probe, Servers } from './probes.ts';
import { Fabric, TestHost, type TestPod, until } from './test-host.ts';

const READER = programFile('agents/felix/flows/reader-thread');
const HOST = 'n1';

export const V3 = 'projectcalico.org/v3';

/** A pod's endpoint as the CNI server writes it. */
export function workloadEndpoint(name: string, addresses: readonly string[]): Resource {
  return {
    apiVersion: V3,
    kind: 'WorkloadEndpoint',
    metadata: { namespace: 'red', name: `${HOST}-k8s-${name}-eth0`, labels: { app: name } },
    spec: {
      orchestrator: 'k8s',
      node: HOST,
      pod: name,
      endpoint: 'eth0',
      interfaceName: podInterfaceName('red', name),
      ipNetworks: addresses.map((address) => `${address}/${address.includes(':') ? 128 : 32}`),
      profiles: [],
    },
  };
}

export class FlowBed {
  readonly fabric: Fabric;
  readonly host: TestHost;
  readonly #folder: string;
  readonly servers = new Servers();
  readonly #clients: Client[] = [];
  #feed: CalcFeed | undefined;
  #flows: NodeFlows | undefined;
  #resources: readonly Resource[] = [];

  private constructor(fabric: Fabric, host: TestHost, folder: string) {
    this.fabric = fabric;
    this.host = host;
    this.#folder = folder;
  }

  /** `folder` is the host's state directory. */
  static async create(folder: string): Promise<FlowBed> {
    const fabric = await Fabric.create();
    const host = await TestHost.create(fabric, HOST, '172.30.0.11');
    const bed = new FlowBed(fabric, host, folder);
    await bed.#begin();
    return bed;
  }

  get flows(): NodeFlows {
    if (this.#flows === undefined) throw new Error('the bed has ended');
    return this.#flows;
  }

  get records(): readonly FlowRecord[] {
    return this.flows.recorder.ring.read().records;
  }

  async addPod(name: string, addresses: readonly string[]): Promise<TestPod> {
    const pod = await this.host.addPod('red', name, addresses);
    pod.namespace.setSysctl('net/ipv4/ping_group_range', '0 0');
    return pod;
  }

  /** The datastore holds exactly these; resolves when the kernel has it. */
  async store(resources: readonly Resource[]): Promise<void> {
    const now = new Map(resources.map((resource) => [keyOf(resource), resource]));
    for (const resource of this.#resources)
      if (!now.has(keyOf(resource))) this.flows.onResource(keyOf(resource), resource.kind, undefined);
    for (const [key, resource] of now) this.flows.onResource(key, resource.kind, resource);
    this.#resources = resources;
    await this.#feed?.store(resources);
    for (const key of this.host.dataplane.state.endpoints.keys())
      await this.host.dataplane.waitForEndpoint(key, 0, AbortSignal.timeout(10_000));
  }

  /** An agent's restart: all of it is new but the kernel and the state directory. */
  async restart(): Promise<void> {
    await this.#end();
    await this.host.restartAgent({});
    await this.#begin();
    await this.store(this.#resources);
  }

  /** A packet, or the beginning of a connection, without a look at what becomes of it. */
  send(probe: Omit<Probe, 'name'>): Client {
    const client = new Client({ ...probe, name: '' });
    this.#clients.push(client);
    if (probe.protocol !== 'TCP') client.ask();
    return client;
  }

  /** Waits for a record of which `isWanted`. */
  async recordOf(what: string, isWanted: (record: FlowRecord) => boolean): Promise<FlowRecord> {
    let found: FlowRecord | undefined;
    await until(what, () => {
      this.servers.serve();
      found = this.records.find(isWanted);
      return found !== undefined;
    });
    if (found === undefined) throw new Error(what);
    return found;
  }

  async close(): Promise<void> {
    for (const client of this.#clients) client.close();
    this.servers.close();
    await this.#end();
    await this.host.close();
    this.fabric.close();
  }

  async #begin(): Promise<void> {
    const recorder = () => this.#flows?.recorder;
    this.host.dataplane = new Dataplane({
      writer: this.host.writer,
      logger: silentLogger(),
      events: { emit: () => undefined },
      checkIntervalMs: 200,
      ruleNumbersFile: join(this.#folder, 'rule-numbers'),
      countReader: {
        onSwitch: () => recorder()?.onSwitch(),
        get isBehind() {
          return recorder()?.isBehind ?? false;
        },
      },
    });
    this.#flows = new NodeFlows({
      node: HOST,
      dataplane: this.host.dataplane,
      program: READER,
      logger: silentLogger(),
      networkNamespace: this.host.namespace.path,
      intervalMs: 100,
    });
    await this.host.dataplane.start();
    await this.#flows.start();
    this.#feed = new CalcFeed(this.host);
  }

  async #end(): Promise<void> {
    await this.#flows?.stop();
    await this.host.dataplane.stop();
  }
}
