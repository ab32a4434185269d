// The BGP part of an agent: passwords, services, the feeder of bgpd's configuration, and the status objects about it.

import { networkInterfaces } from 'node:os';
import type { ResourceClient } from '../../../lib/datastore/resource-client.ts';
import type { SyncerUpdate } from '../../../lib/datastore/syncer-contract.ts';
import type { EventSink } from '../../../lib/events/event.ts';
import type { KubeClient } from '../../../lib/kube-client/client.ts';
import type { Startable } from '../../../lib/lifecycle/startable.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import type { BgpdLink } from '../bgpd-link.ts';
import { BgpFeeder } from './feeder.ts';
import { NodeStatusWriter } from './node-status-writer.ts';
import { Passwords } from './secrets.ts';
import { ServiceSource } from './service-source.ts';

export interface NodeBgpOptions {
  readonly node: string;
  readonly bgpd: BgpdLink;
  readonly client: ResourceClient;
  /** Undefined: services and new passwords stay unknown. */
  readonly api: KubeClient | undefined;
  readonly passwordFolder: string;
  readonly peersFile: string;
  /** As CALICO_ROUTER_ID. */
  readonly routerId: string | undefined;
  /** As CALICO_ADVERTISE_CLUSTER_IPS; none: BGPConfiguration says. */
  readonly clusterIps: readonly string[];
  readonly handoverMs: number;
  readonly version: string;
  readonly events: EventSink;
  readonly logger: Logger;
}

export class NodeBgp implements Startable {
  readonly feeder: BgpFeeder;
  readonly #passwords: Passwords;
  readonly #services: ServiceSource | undefined;
  readonly #statuses: NodeStatusWriter;

  constructor(options: NodeBgpOptions) {
    const { node, bgpd, client, api, logger, routerId, clusterIps, handoverMs, events, version } = options;
    const onChange = (): void => this.feeder.onChange();
    this.#passwords = new Passwords({ folder: options.passwordFolder, api, logger, onChange });
    this.#services = api === undefined ? undefined : new ServiceSource({ api, logger, onChange });
    this.#statuses = new NodeStatusWriter({ node, bgpd, client, version, logger, now: () => new Date() });
    this.feeder = new BgpFeeder({
      node,
      bgpd,
      passwords: this.#passwords,
      services: this.#services,
      routerId,
      clusterIps: clusterIps.length === 0 ? undefined : clusterIps,
      interfaces: networkInterfaces,
      peersFile: options.peersFile,
      handoverMs,
      events,
      logger,
    });
  }

  async start(): Promise<void> {
    await this.#passwords.start();
    await this.feeder.start();
  }

  async stop(): Promise<void> {
    await this.#statuses.stop();
    await this.feeder.stop();
    await this.#services?.stop();
    await this.#passwords.stop();
  }

  onResources(updates: readonly SyncerUpdate[]): void {
    this.feeder.onResources(updates);
    this.#statuses.onResources(updates);
  }
}
