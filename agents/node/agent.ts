// The agent of a host: one datastore connection; Felix, IPAM, the CNI server and the BGP configuration are modules in it.
// Order of start: kernel writer and empty table first (deny until programmed), then the datastore, then work is taken.

import { mkdir, writeFile } from 'node:fs/promises';
import { type HostPaths, hostPaths } from '../../lib/config/paths.ts';
import { redisAddressOf } from '../../lib/config/shared-settings.ts';
import { EtcdDatastore } from '../../lib/datastore/etcd/etcd-datastore.ts';
import { etcdOptionsOf } from '../../lib/datastore/etcd/settings.ts';
import { ResourceClient } from '../../lib/datastore/resource-client.ts';
import { EventLog } from '../../lib/events/event-log.ts';
import { EventSocketServer } from '../../lib/events/event-socket.ts';
import { Ipam } from '../../lib/ipam/allocator.ts';
import { createHeldCatalog } from '../../lib/ipam/catalog.ts';
import { KubeClient } from '../../lib/kube-client/client.ts';
import { type Startable, StopStack } from '../../lib/lifecycle/startable.ts';
import type { Logger, LogLevel } from '../../lib/logging/logger.ts';
import { blockAffinityPrefix, IPAM_ROOT } from '../../lib/model/ipam-keys.ts';
import { RESOURCE_ROOT } from '../../lib/model/keys.ts';
import { CniErrorCode } from '../../lib/protocol/cni.ts';
import { ENDPOINT_SLICE_ROOT } from '../../lib/protocol/endpoint-slices.ts';
import { PLUGIN_ROOT } from '../../lib/protocol/plugin-revision.ts';
import { RULE_SOURCES_ROOT } from '../../lib/protocol/rule-sources.ts';
import { CniFailure } from '../cni/failure.ts';
import { CniHandler } from '../cni/handler.ts';
import { installRelay, PERL } from '../cni/relay-script.ts';
import { CniServer } from '../cni/server.ts';
import { ConfigBatcher } from '../felix/calc/config-batcher.ts';
import { type FelixSettings, readFelixSettings } from '../felix/calc/felix-settings.ts';
import { Dataplane } from '../felix/dataplane/dataplane.ts';
import { KernelWriterClient } from '../felix/kernel/writer-client.ts';
import { NodeBgp } from './bgp/node-bgp.ts';
import { BgpdLink } from './bgpd-link.ts';
import { addressAllocator, endpointStore, podSource, programming, workloadInterfaces } from './cni-wiring.ts';
import { AGENT_SETTINGS, type AgentSettings } from './config.ts';
import { Felix } from './felix.ts';
import { NodeFlows } from './flows.ts';
import { SyncedResources } from './held-resources.ts';
import { Listeners } from './listeners.ts';
import { NodeApi, type NodeApiSources } from './node-api.ts';
import { NodeRegistration } from './node-registration.ts';
import { nodeApiSources } from './node-status.ts';
import { PluginMirror } from './plugin-mirror.ts';
import { RecordStreams } from './record-streams.ts';
import { StatusReports } from './status-reports.ts';
import { Syncers, type SyncersOptions } from './syncers.ts';
import { TunnelAddresses } from './tunnel-addresses.ts';

export interface AgentOptions {
  readonly settings: AgentSettings;
  readonly node: string;
  readonly logger: Logger;
  readonly readFile: (path: string) => Buffer;
  readonly version: string;
  /** FelixConfiguration of the host itself: variables and file. */
  readonly felixConfig: Readonly<Record<string, string>>;
  readonly setLogLevel: (level: LogLevel) => void;
  /** Path of the kernel writer's program. */
  readonly kernelWriter: string;
  /** Path of the program of the thread that reads flow counters. */
  readonly flowReader: string;
}

const DEFAULT_MTU = 1500;

/** What hears of the datastore's changes. */
interface DatastoreConsumers {
  readonly felix: Felix;
  readonly bgp: NodeBgp;
  readonly flows: NodeFlows;
  readonly tunnels: TunnelAddresses;
  readonly registration: NodeRegistration;
}

export class Agent implements Startable {
  readonly #options: AgentOptions;
  readonly #paths: HostPaths;
  readonly #events: EventLog;
  readonly #stack = new StopStack();
  readonly #mirror = new PluginMirror();
  readonly #held: SyncedResources;
  #syncers: Syncers | undefined;
  #listeners: Listeners | undefined;
  #reports: StatusReports | undefined;
  #registration: NodeRegistration | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#paths = hostPaths(options.settings.stateDir);
    this.#events = new EventLog({ host: options.node });
    this.#held = new SyncedResources(options.node);
  }

  async start(): Promise<void> {
    const { node, logger, settings, felixConfig, kernelWriter: program } = this.#options;
    await mkdir(this.#paths.stateDir, { recursive: true, mode: 0o755 });
    await writeFile(this.#paths.nodeNameFile, node);
    this.#events.emit({ component: 'agent', kind: 'agentStarted', object: `Node/${node}` });
    const writer = new KernelWriterClient({
      program,
      logger: logger.child({ part: 'kernel' }),
      events: this.#events,
    });
    await this.#begin('kernel writer', writer);
    let flows: NodeFlows | undefined;
    let tunnels: TunnelAddresses | undefined;
    const countReader = {
      onSwitch: () => flows?.recorder.onSwitch(),
      get isBehind() {
        return flows?.recorder.isBehind ?? false;
      },
    };
    const dataplane = new Dataplane({
      writer,
      countReader,
      events: this.#events,
      logger: logger.child({ part: 'dataplane' }),
      ruleNumbersFile: this.#paths.ruleNumbersFile,
      endpointStatusFolder: this.#paths.endpointStatusFolder,
      hostname: node,
      establishedFlows: settings.establishedFlows,
      wireguard: {
        keyFolder: this.#paths.wireguardKeyFolder,
        onKeys: (keys) => tunnels?.setWireguardKeys(keys),
      },
    });
    await this.#begin('dataplane', dataplane);
    await this.#begin('event socket', new EventSocketServer(this.#paths.eventSocket, this.#events));
    flows = new NodeFlows({
      node,
      dataplane,
      program: this.#options.flowReader,
      logger: logger.child({ part: 'flows' }),
    });
    await this.#begin('flow records', flows);
    const streams = new RecordStreams({
      events: this.#events,
      flows: flows.recorder,
      redis: redisAddressOf(settings),
      logger,
    });
    await this.#begin('record streams', streams);
    const { onResource } = flows;
    const datastore = this.#openDatastore();
    tunnels = this.#tunnelAddresses(datastore);
    const felix = new Felix({
      node,
      dataplane,
      localSettings: felixConfig,
      onSettings: (felixSettings) => this.#onFelixSettings(felixSettings),
      events: this.#events,
      logger: logger.child({ part: 'felix' }),
      onResource,
    });
    this.#stack.push('felix', () => felix.stop());
    this.#reports = this.#statusReports(datastore, dataplane, felix);
    const bgpd = new BgpdLink(this.#paths.bgpdSocket, this.#events, logger.child({ part: 'bgpd' }));
    await this.#begin('bgpd link', bgpd);
    const api = this.#openApi();
    const bgp = await this.#startBgp(bgpd, datastore, api);
    const sources = nodeApiSources({
      node,
      events: this.#events,
      dataplane,
      felix,
      flows: flows.recorder,
      streams,
      bgpd,
      feeder: bgp.feeder,
      mirror: this.#mirror,
      notReady: () => this.#notReady(dataplane),
      sync: () => ({
        status: this.#syncers?.status('resources') ?? 'waitForDatastore',
        resyncs: this.#syncers?.resyncs('resources') ?? 0,
      }),
    });
    await this.#startApis(sources);
    const registration = this.#nodeRegistration(datastore);
    await this.#startSyncers(datastore, { felix, bgp, flows, tunnels, registration });
    await this.#startCni(datastore, writer, dataplane, api);
    await this.#begin('registration', registration);
  }

  async stop(): Promise<void> {
    this.#events.emit({ component: 'agent', kind: 'agentStopping' });
    await this.#stack.stop();
  }

  async #begin(name: string, part: Startable): Promise<void> {
    await part.start();
    this.#stack.push(name, () => part.stop());
  }

  #tunnelAddresses(datastore: EtcdDatastore): TunnelAddresses {
    const { node, logger } = this.#options;
    const tunnels = new TunnelAddresses({
      node,
      client: new ResourceClient({ datastore }),
      ipam: new Ipam({ datastore, logger: logger.child({ part: 'ipam' }) }),
      events: this.#events,
      logger: logger.child({ part: 'tunnels' }),
    });
    this.#stack.push('tunnel addresses', () => tunnels.stop());
    return tunnels;
  }

  #nodeRegistration(datastore: EtcdDatastore): NodeRegistration {
    const { node, settings, logger } = this.#options;
    this.#registration = new NodeRegistration({
      node,
      settings,
      client: new ResourceClient({ datastore }),
      isLocked: () => this.#held.isLocked,
      events: this.#events,
      logger,
    });
    return this.#registration;
  }

  #statusReports(datastore: EtcdDatastore, dataplane: Dataplane, felix: Felix): StatusReports {
    const { node, logger } = this.#options;
    const isUp = (key: string): boolean =>
      dataplane.network.routes.isProgrammed(key) && !dataplane.table.leftOut.has(key);
    const reports = new StatusReports({
      node,
      datastore,
      logger: logger.child({ part: 'reports' }),
      // Before the first acknowledgement nothing is known to be down.
      endpoints: () =>
        felix.acknowledgedRevision === 0
          ? undefined
          : [...dataplane.state.endpoints].map(([key, { id }]) => ({ id, isUp: isUp(key) })),
      now: () => new Date(),
      uptimeSeconds: () => process.uptime(),
    });
    this.#stack.push('status reports', () => reports.stop());
    return reports;
  }

  #openDatastore(): EtcdDatastore {
    const { settings, logger } = this.#options;
    const datastore = new EtcdDatastore({
      ...etcdOptionsOf(settings),
      onConnection: (state) => {
        const isConnected = state === 'connected';
        logger[isConnected ? 'info' : 'warn'](isConnected ? 'datastore connected' : 'datastore lost');
        this.#events.emit({ component: 'agent', kind: isConnected ? 'datastoreConnected' : 'datastoreLost' });
      },
    });
    this.#stack.push('datastore', () => datastore.close());
    return datastore;
  }

  async #startSyncers(
    datastore: EtcdDatastore,
    { felix, bgp, flows, tunnels, registration }: DatastoreConsumers,
  ): Promise<void> {
    const { node } = this.#options;
    const { feeder } = bgp;
    const parts: SyncersOptions['parts'] = {
      resources: {
        prefix: RESOURCE_ROOT,
        onRevision: (revision) => felix.onRevision(revision),
        onUpdates: (updates) => {
          this.#held.onUpdates(updates);
          felix.setLocked(this.#held.isLocked);
          feeder.setLocked(this.#held.isLocked);
          tunnels.setLocked(this.#held.isLocked);
          felix.onUpdates(updates);
          bgp.onResources(updates);
          tunnels.onUpdates(updates);
          registration.onUpdates(updates);
        },
      },
      blocks: { prefix: `${IPAM_ROOT}assignment/`, onUpdates: (updates) => felix.onOtherUpdates(updates) },
      slices: { prefix: ENDPOINT_SLICE_ROOT, onUpdates: (updates) => felix.onOtherUpdates(updates) },
      affinities: { prefix: blockAffinityPrefix(node), onUpdates: (updates) => feeder.onAffinities(updates) },
      plugins: { prefix: PLUGIN_ROOT, onUpdates: (updates) => this.#mirror.onUpdates(updates) },
      'rule sources': { prefix: RULE_SOURCES_ROOT, onUpdates: (updates) => flows.onRuleSources(updates) },
    };
    felix.followLocalPeers((peers) => feeder.setLocalPeers(peers));
    let hasSaid = false;
    const syncers = new Syncers({
      datastore,
      parts,
      logger: this.#options.logger,
      onStatus: () => {
        if (syncers.isInSync('resources', 'blocks', 'slices')) felix.onInSync();
        if (syncers.isInSync('resources', 'affinities')) feeder.onInSync();
        if (syncers.isInSync('resources')) tunnels.onInSync();
        if (hasSaid || syncers.waiting.length > 0) return;
        hasSaid = true;
        this.#events.emit({ component: 'agent', kind: 'inSync' });
      },
    });
    this.#syncers = syncers;
    await this.#begin('syncers', syncers);
  }

  async #startBgp(bgpd: BgpdLink, datastore: EtcdDatastore, api: KubeClient | undefined): Promise<NodeBgp> {
    const { node, settings, logger, version } = this.#options;
    const bgp = new NodeBgp({
      node,
      bgpd,
      client: new ResourceClient({ datastore }),
      api,
      passwordFolder: this.#paths.bgpPasswordFolder,
      peersFile: this.#paths.bgpPeersFile,
      routerId: settings.routerId,
      clusterIps: settings.advertiseClusterIps,
      handoverMs: settings.bgpHandoverSeconds * 1000,
      version,
      events: this.#events,
      logger: logger.child({ part: 'bgp' }),
    });
    await this.#begin('BGP', bgp);
    return bgp;
  }

  async #startCni(
    datastore: EtcdDatastore,
    writer: KernelWriterClient,
    dataplane: Dataplane,
    api: KubeClient | undefined,
  ): Promise<void> {
    const { settings, node, logger } = this.#options;
    const client = new ResourceClient({ datastore });
    const ipamLogger = logger.child({ part: 'ipam' });
    const ipam = {
      held: new Ipam({ datastore, logger: ipamLogger, catalog: createHeldCatalog(this.#held) }),
      reading: new Ipam({ datastore, logger: ipamLogger }),
    };
    const handler = new CniHandler({
      node,
      defaultMtu: async () =>
        settings.mtu === 0 ? ((await dataplane.network.workloadMtu()) ?? DEFAULT_MTU) : settings.mtu,
      addresses: addressAllocator(ipam, node, this.#events),
      interfaces: workloadInterfaces(writer),
      endpoints: endpointStore(client, node),
      programming: programming(dataplane, () => this.#notReady(dataplane).join('; ')),
      pods: api === undefined ? undefined : podSource(api, this.#mirror),
      requireReady: () => {
        const [reason] = this.#notReady(dataplane);
        if (reason !== undefined)
          throw new CniFailure(CniErrorCode.tryAgainLater, `the node takes no work: ${reason}`);
      },
      events: this.#events,
      logger: logger.child({ part: 'cni' }),
      now: () => new Date(),
      waitMs: settings.cniWaitSeconds * 1000,
    });
    const { cniPlugin, cniSocket } = this.#paths;
    if (!(await installRelay(cniPlugin, cniSocket)))
      logger.info(`no ${PERL}: the CNI plugin runs under Node, and takes longer to start`);
    await this.#begin('cni server', new CniServer({ socketPath: cniSocket, handler, logger }));
  }

  #openApi(): KubeClient | undefined {
    const { settings, readFile } = this.#options;
    const { apiServer, apiServerName, caFile, certFile, keyFile } = settings;
    if (apiServer === undefined) return undefined;
    if (caFile === undefined || certFile === undefined || keyFile === undefined)
      throw new Error('with apiServer the settings caFile, certFile and keyFile are required');
    const api = new KubeClient({
      server: apiServer,
      ca: readFile(caFile),
      cert: readFile(certFile),
      key: readFile(keyFile),
      ...(apiServerName === undefined ? {} : { serverName: apiServerName }),
    });
    this.#stack.push('API client', () => api.close());
    return api;
  }

  async #startApis(sources: NodeApiSources): Promise<void> {
    const { settings, logger, readFile } = this.#options;
    // As before anything of the datastore is known.
    const { settings: felixSettings } = readFelixSettings(
      new ConfigBatcher(this.#options.felixConfig).merged(),
    );
    const listeners = new Listeners(
      { sources, logger: logger.child({ part: 'listeners' }), readFile, healthPort: settings.healthPort },
      felixSettings,
    );
    await this.#begin('listeners', listeners);
    this.#listeners = listeners;
    this.#onFelixSettings(felixSettings);
    const { caFile, certFile, keyFile } = settings;
    if (caFile === undefined || certFile === undefined || keyFile === undefined) {
      logger.warn('no node API: the settings caFile, certFile and keyFile are not set');
      return;
    }
    const tls = { ca: readFile(caFile), cert: readFile(certFile), key: readFile(keyFile) };
    await this.#begin(
      'node API',
      new NodeApi({ sources, logger: logger.child({ part: 'node API' }), port: settings.apiPort, tls }),
    );
  }

  /** What of FelixConfiguration is about the process itself. A level that was given to it in another way stands. */
  #onFelixSettings(settings: FelixSettings): void {
    this.#listeners?.change(settings);
    this.#reports?.change(settings.reports);
    const { logLevel } = this.#options.settings;
    if (logLevel === AGENT_SETTINGS.logLevel.default)
      this.#options.setLogLevel(settings.logSeverity ?? logLevel);
  }

  #notReady(dataplane: Dataplane): readonly string[] {
    const reasons: string[] = [];
    const waiting = this.#syncers === undefined ? ['it'] : this.#syncers.waiting;
    if (waiting.length > 0)
      reasons.push(`not in sync with the datastore (waiting for ${waiting.join(', ')}); is etcd up?`);
    if (this.#held.isLocked)
      reasons.push(
        'the datastore is locked: ClusterInformation default has datastoreReady false, or is gone',
      );
    if (this.#registration?.isRegistered !== true)
      reasons.push('the node is not registered in the datastore yet');
    if (dataplane.lastError !== undefined)
      reasons.push(`the kernel is behind: ${String(dataplane.lastError)}`);
    reasons.push(...dataplane.hostProblems);
    return reasons;
  }
}
