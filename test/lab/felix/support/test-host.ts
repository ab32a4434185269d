// A host for kernel tests: a network namespace with the dataplane's own kernel writer in it, joined to others by a switch in a
// namespace of its own; pods are namespaces made by the same code that the CNI server uses.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { randomMac } from '../../../../agents/cni/mac.ts';
import { Dataplane, type DataplaneOptions } from '../../../../agents/felix/dataplane/dataplane.ts';
import {
  addressWorkloadInterface,
  createWorkloadInterface,
} from '../../../../agents/felix/interfaces/workload-interface.ts';
import { KernelWriterClient } from '../../../../agents/felix/kernel/writer-client.ts';
import type { WireguardKeys } from '../../../../agents/felix/tunnels/tunnels.ts';
import { podInterfaceName } from '../../../../lib/conversion/pod.ts';
import type { EventInput } from '../../../../lib/events/event.ts';
import { type Logger, silentLogger } from '../../../../lib/logging/logger.ts';
import { until as untilTrue } from '../../../support/until.ts';
import { programFile } from '../../support/programs.ts';
import { denialRecords } from './kernel-records.ts';
import { Namespace } from './namespaces.ts';
import type { DenialCount } from './probes.ts';

const FABRIC_LENGTH = 24;

/** The switch between hosts: a bridge in a namespace that is no host's. */
export class Fabric {
  readonly namespace: Namespace;
  #ports = 0;

  private constructor(namespace: Namespace) {
    this.namespace = namespace;
  }

  static async create(): Promise<Fabric> {
    const namespace = Namespace.create('fabric');
    await namespace.ip('link add br0 type bridge', 'link set br0 up', 'link set lo up');
    return new Fabric(namespace);
  }

  /** An interface in the given namespace, with this address and, besides, an IPv6 one with its length. */
  async connect(
    namespace: Namespace,
    address: string,
    {
      interfaceName = 'eth0',
      address6,
    }: { readonly interfaceName?: string; readonly address6?: string } = {},
  ): Promise<void> {
    const port = `p${++this.#ports}`;
    await this.namespace.ip(
      `link add ${port} type veth peer name ${interfaceName} netns ${namespace.path}`,
      `link set ${port} master br0 up`,
    );
    await namespace.ip(
      'link set lo up',
      `addr add ${address}/${FABRIC_LENGTH} dev ${interfaceName}`,
      ...(address6 === undefined ? [] : [`addr add ${address6} dev ${interfaceName} nodad`]),
      `link set ${interfaceName} up`,
    );
  }

  close(): void {
    this.namespace.close();
  }
}

export type TestDataplaneOptions = Pick<
  DataplaneOptions,
  'numberLimit' | 'lastGeneration' | 'establishedFlows'
>;

export interface TestPod {
  readonly namespace: Namespace;
  readonly interfaceName: string;
  readonly mac: string;
  readonly addresses: readonly string[];
}

export class TestHost {
  readonly name: string;
  readonly address: string;
  readonly namespace: Namespace;
  readonly events: EventInput[] = [];
  readonly pods: TestPod[] = [];
  /** As this host would have them in its Node. */
  wireguardKeys: WireguardKeys = { 4: undefined, 6: undefined };
  readonly #logger: Logger;
  readonly #folder = mkdtempSync(join(tmpdir(), 'calico-test-host-'));
  writer: KernelWriterClient;
  dataplane: Dataplane;

  private constructor(name: string, address: string, namespace: Namespace, logger: Logger) {
    this.name = name;
    this.address = address;
    this.namespace = namespace;
    this.#logger = logger;
    this.writer = this.#newWriter();
    this.dataplane = this.#newDataplane();
  }

  static async create(
    fabric: Fabric,
    name: string,
    address: string,
    { logger = silentLogger(), address6 }: { readonly logger?: Logger; readonly address6?: string } = {},
  ): Promise<TestHost> {
    const namespace = Namespace.create(name);
    await fabric.connect(namespace, address, address6 === undefined ? {} : { address6 });
    const host = new TestHost(name, address, namespace, logger);
    await host.writer.start();
    return host;
  }

  /** As after an agent's end: writer and dataplane are new, the kernel's state is what it was. */
  async restartAgent(options: TestDataplaneOptions = {}): Promise<void> {
    await this.dataplane.stop();
    await this.writer.stop();
    this.writer = this.#newWriter();
    await this.writer.start();
    this.dataplane = this.#newDataplane(options);
  }

  useDataplane(options: TestDataplaneOptions): void {
    this.dataplane = this.#newDataplane(options);
  }

  /** A pod's namespace and veth, host side down. */
  async addPod(namespace: string, name: string, addresses: readonly string[]): Promise<TestPod> {
    const podNamespace = Namespace.create(`${namespace}/${name}`);
    const interfaceName = podInterfaceName(namespace, name);
    const end = { netns: podNamespace.path, podName: 'eth0' };
    const mac = randomMac();
    await createWorkloadInterface(this.writer, { ...end, hostName: interfaceName, mtu: 1500, mac });
    await addressWorkloadInterface(this.writer, {
      ...end,
      addresses4: addresses.filter((address) => !address.includes(':')),
      addresses6: addresses.filter((address) => address.includes(':')),
    });
    const pod: TestPod = { namespace: podNamespace, interfaceName, mac, addresses };
    this.pods.push(pod);
    return pod;
  }

  /** What the kernel has denied, of this host, by `source destination protocol port`. */
  async readDenials(): Promise<ReadonlyMap<string, number>> {
    const denials = new Map<string, number>();
    for (const { key, packets } of (await denialRecords(this)).values())
      denials.set(key, (denials.get(key) ?? 0) + packets);
    return denials;
  }

  async close(): Promise<void> {
    await this.dataplane.stop();
    await this.writer.stop();
    for (const pod of this.pods) pod.namespace.close();
    this.namespace.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #newWriter(): KernelWriterClient {
    return new KernelWriterClient({
      program: programFile('agents/felix/kernel/main'),
      logger: this.#logger,
      events: { emit: (event) => void this.events.push(event) },
      commandPrefix: this.namespace.commandPrefix,
    });
  }

  #newDataplane(options: TestDataplaneOptions = {}): Dataplane {
    return new Dataplane({
      writer: this.writer,
      logger: this.#logger,
      events: { emit: (event) => void this.events.push(event) },
      checkIntervalMs: 200,
      hostname: this.name,
      wireguard: {
        keyFolder: join(this.#folder, 'wireguard-keys'),
        onKeys: (keys) => {
          this.wireguardKeys = keys;
        },
      },
      ...options,
    });
  }
}

/** Denials of several hosts as one count. */
export async function countDenials(hosts: readonly TestHost[]): Promise<DenialCount> {
  const perHost = await Promise.all(hosts.map((host) => host.readDenials()));
  return (source, destination, protocol, port) =>
    perHost.reduce(
      (sum, denials) => sum + (denials.get(`${source} ${destination} ${protocol} ${port}`) ?? 0),
      0,
    );
}

/** Waits for a condition, never for a time. */
export function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 5_000,
): Promise<void> {
  return untilTrue(what, condition, timeoutMs, 10);
}
