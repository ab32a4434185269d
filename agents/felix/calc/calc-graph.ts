// The calculation graph of one host (Felix's calc graph): from everything in the datastore to what this host's dataplane
// needs, change by change. Pure and synchronous; what goes out depends on the datastore's state alone, not on the way there.

import { formatCidr, formatIp } from '../../../lib/net/ip.ts';
import { DEFAULT_ALLOW_PROFILE } from '../../../lib/policy/cluster.ts';
import { compileProfile } from '../../../lib/policy/compile.ts';
import { type WorkloadEndpointId, workloadEndpointKey } from '../../../lib/policy/compiled.ts';
import { ActiveRules } from './active-rules.ts';
import { ConfigBatcher } from './config-batcher.ts';
import { EncapsulationResolver, type ProgramClusterRoutes } from './encapsulation-resolver.ts';
import { EventSequencer } from './event-sequencer.ts';
import { IdentityIndex } from './identity-index.ts';
import type { CalcInput, NodeInput } from './inputs.ts';
import { L3RouteResolver } from './l3-route-resolver.ts';
import { LabelInheritance } from './label-inheritance.ts';
import { LocalBgpPeers } from './local-bgp-peers.ts';
import type { CalcFlush, CalcMessage, InvalidValue } from './messages.ts';
import { PolicyResolver } from './policy-resolver.ts';
import { PoolRegistry } from './pool-registry.ts';
import { RuleScanner } from './rule-scanner.ts';
import { ServiceIndex } from './service-index.ts';
import { type CalcCounts, StatsCollector } from './stats-collector.ts';
import { type DatastoreUpdate, UpdateProcessor } from './update-processor.ts';
import { VxlanResolver } from './vxlan-resolver.ts';

/** `CalicoIPAM`: routes come from IPAM blocks; `WorkloadIPs`: from the endpoints of all hosts. */
export type RouteSource = 'CalicoIPAM' | 'WorkloadIPs';

export interface CalcGraphOptions {
  readonly hostname: string;
  readonly routeSource?: RouteSource;
  readonly programClusterRoutes?: ProgramClusterRoutes;
  /** Felix's settings by the host's own variables and file; they stand over the datastore's. */
  readonly localSettings?: Readonly<Record<string, string>>;
}

type ConfigInput = Extract<
  CalcInput,
  { type: 'bgpPeer' | 'peeringAddresses' | 'nodeLabels' | 'globalConfig' | 'selectedConfig' | 'hostConfig' }
>;
type NetworkInput = Extract<CalcInput, { type: 'pool' | 'block' | 'node' | 'vxlanTunnel' | 'wireguard' }>;

/** Of endpoints of services. */
const NO_LABELS = {};
/** How many unusable values one flush tells of; older ones give way. */
const INVALID_LIMIT = 1000;

export class CalcGraph {
  private readonly hostname: string;
  private readonly routeSource: RouteSource;
  private readonly processor: UpdateProcessor;
  private readonly sequencer: EventSequencer;
  private readonly inheritance: LabelInheritance;
  private readonly identities: IdentityIndex;
  private readonly activeRules: ActiveRules;
  private readonly scanner: RuleScanner;
  private readonly services: ServiceIndex;
  private readonly policyResolver: PolicyResolver;
  private readonly bgpPeers: LocalBgpPeers;
  private readonly routes: L3RouteResolver;
  private readonly vxlan: VxlanResolver;
  private readonly encapsulation: EncapsulationResolver;
  private readonly pools: PoolRegistry;
  private readonly config: ConfigBatcher;
  private readonly stats = new StatsCollector();
  private readonly localEndpoints = new Set<string>();
  private invalid: InvalidValue[] = [];
  private revision = 0;
  private isInSync = false;
  private hasSaidInSync = false;

  /**
   * The wiring. Nodes call each other synchronously; `·flush` marks what is put off to the end of a flush, so that many
   * changes of one thing are worked out once.
   *
   *   onUpdate ── UpdateProcessor (parse, compile, validate) ── CalcInput, by type:
   *
   *   endpoints ─┬──────────── LabelInheritance ──┬── local ──▶ ActiveRules·flush ──▶ RuleScanner
   *   sets ──────┤ labels        ▲                │                ▲    │  policies that    │ selectors
   *   profiles ──┼───────────────┘                │                │    │  match            │ in use
   *   policies ──┼────────────────────────────────┼────────────────┘    ▼                   ▼
   *   tiers ─────┼────────────────────────────────┼──────────▶ PolicyResolver·flush    IdentityIndex·flush
   *   BGPPeers ─ LocalBgpPeers ◀── labels ────────┤         │           │                  │
   *              │ addresses, ports               └─ labels ──────────  ▲ identity  ────▶   │
   *              └───────────────────────────────────────────────────────┼──────────────────┤
   *   slices ── ServiceIndex (services in use, from RuleScanner) ────────┼──────────────────┤
   *   pools ── PoolRegistry ─┬─▶ EncapsulationResolver                   │                  │
   *   blocks ────────────────┼─▶ L3RouteResolver·flush ─┐                │                  │
   *   nodes ─────────────────┴─▶ VxlanResolver·flush ───┴──────────▶  EventSequencer  ◀─────┘
   *                                                                      │ flush
   *                                                                      ▼ CalcMessage[]
   */
  constructor(options: CalcGraphOptions) {
    this.hostname = options.hostname;
    this.routeSource = options.routeSource ?? 'CalicoIPAM';
    this.processor = new UpdateProcessor(options.hostname);
    this.config = new ConfigBatcher(options.localSettings);
    this.sequencer = new EventSequencer((selector) => this.identities.identitiesOf(selector));
    const { sequencer } = this;
    this.identities = new IdentityIndex({
      onIdentityAdded: (identity) => sequencer.onIdentityAdded(identity),
      onIdentityRemoved: (id) => sequencer.onIdentityRemoved(id),
      onMemberChanged: (net, identities) => sequencer.onMemberChanged(net, identities),
      onSelectorIdentityAdded: (selector, identity) => sequencer.onSelectorIdentityAdded(selector, identity),
      onSelectorIdentityRemoved: (selector, identity) =>
        sequencer.onSelectorIdentityRemoved(selector, identity),
      onItemIdentity: (item) => this.policyResolver.markDirty(item),
    });
    this.scanner = new RuleScanner({
      onSelectorActive: ({ id, selector, service }) => {
        sequencer.onSelectorActive({ id, canonical: selector.canonical });
        this.identities.addSelector(id, selector);
        if (service !== undefined) this.services.activate(id, service);
      },
      onSelectorInactive: (id) => {
        sequencer.onSelectorInactive(id);
        this.identities.removeSelector(id);
        this.services.deactivate(id);
      },
    });
    this.services = new ServiceIndex({
      onSlice: (name, members) => {
        const key = `slice ${name}`;
        this.identities.setAddresses(key, members);
        this.identities.setLabels(key, members && NO_LABELS);
      },
    });
    this.activeRules = this.createActiveRules();
    this.policyResolver = new PolicyResolver(
      {
        policiesOf: (endpoint) => this.activeRules.policiesOf(endpoint),
        identityOf: (endpoint) => this.identities.identityOf(endpoint),
        bgpPeerOf: (endpoint) => this.bgpPeers.peerOf(endpoint),
        peeringAddresses: () => this.bgpPeers.addresses,
      },
      sequencer,
    );
    this.bgpPeers = new LocalBgpPeers(options.hostname, (endpoint) =>
      this.policyResolver.markDirty(endpoint),
    );
    this.inheritance = new LabelInheritance((item, labels) => {
      this.identities.setLabels(item, labels);
      if (!this.localEndpoints.has(item)) return;
      this.activeRules.updateEndpointLabels(item, labels);
      if (isWorkloadItem(item)) this.bgpPeers.updateEndpoint(item, labels);
    });
    this.routes = new L3RouteResolver(options.hostname, sequencer);
    this.vxlan = new VxlanResolver(sequencer);
    this.encapsulation = new EncapsulationResolver(options.programClusterRoutes ?? 'EnabledIPIPOnly');
    this.pools = this.createPoolRegistry();
    const { name } = DEFAULT_ALLOW_PROFILE.metadata;
    this.activeRules.updateProfileRules(name, compileProfile(DEFAULT_ALLOW_PROFILE));
  }

  /** One key's new state. May repeat, and may go back in time. False: the value cannot be used, and counts as absent. */
  onUpdate(update: DatastoreUpdate): boolean {
    const { inputs, invalid } = this.processor.process(update);
    for (const input of inputs) this.onInput(input);
    if (invalid !== undefined) this.noteInvalid(invalid);
    this.onRevision(update.revision);
    return invalid === undefined;
  }

  /** The datastore's state up to this revision has been handed in. */
  onRevision(revision: number): void {
    this.revision = Math.max(this.revision, revision);
  }

  /** Everything that the datastore holds has been handed in once. Before that a flush is empty. */
  onInSync(): void {
    this.isInSync = true;
  }

  /** What changed since the last flush, merged and in order. */
  flush(): CalcFlush {
    if (!this.isInSync) return { messages: [], revision: this.revision, invalid: this.takeInvalid() };
    this.activeRules.flush();
    this.identities.flush();
    this.policyResolver.flush();
    this.routes.flush();
    this.vxlan.flush();
    this.sequencer.onEncapsulation(this.encapsulation.resolve());
    this.sequencer.onConfig(this.config.merged());
    const messages: CalcMessage[] = this.sequencer.flush();
    if (!this.hasSaidInSync) {
      this.hasSaidInSync = true;
      messages.push({ type: 'inSync' });
    }
    return { messages, revision: this.revision, invalid: this.takeInvalid() };
  }

  /** What the datastore holds, active here or not. */
  counts(): CalcCounts {
    return this.stats.counts();
  }

  /** The dispatcher: each kind of input to the nodes that read it. */
  onInput(input: CalcInput): void {
    switch (input.type) {
      case 'workloadEndpoint':
        this.onWorkloadEndpoint(input);
        break;
      case 'hostEndpoint':
        this.onHostEndpoint(input);
        break;
      case 'networkSet':
        this.onNetworkSet(input);
        break;
      case 'endpointSlice':
        this.services.updateSlice(input.name, input.value);
        break;
      case 'policy':
        this.stats.notePolicy(input.id, input.value !== undefined, input.value?.isApplicationLayer ?? false);
        this.activeRules.updatePolicy(input.id, input.value);
        break;
      case 'tier':
        this.stats.noteTier(input.name, input.value !== undefined);
        this.policyResolver.updateTier(input.name, input.value);
        this.activeRules.touchTier(input.name);
        break;
      case 'profileRules':
        this.stats.noteProfile(input.name, input.value !== undefined);
        this.activeRules.updateProfileRules(input.name, input.value);
        break;
      case 'profileLabels':
        this.inheritance.updateProfile(input.name, input.value);
        break;
      default:
        this.onNetworkInput(input);
        break;
    }
  }

  private onNetworkInput(input: NetworkInput | ConfigInput): void {
    switch (input.type) {
      case 'pool':
        this.pools.update(input.key, input.value);
        break;
      case 'block':
        if (this.routeSource === 'CalicoIPAM') this.routes.updateBlock(input.cidr, input.value);
        break;
      case 'node':
        this.onNode(input.name, input.value);
        break;
      case 'vxlanTunnel':
        this.vxlan.updateTunnel(input.host, input.value);
        break;
      case 'wireguard':
        this.sequencer.onWireguard(input.host, input.value && { host: input.host, ...input.value });
        break;
      default:
        this.onConfigInput(input);
        break;
    }
  }

  private onConfigInput(input: ConfigInput): void {
    switch (input.type) {
      case 'nodeLabels':
        if (input.name !== this.hostname) break;
        this.config.setNodeLabels(input.value);
        this.bgpPeers.setNodeLabels(input.value);
        break;
      case 'peeringAddresses':
        this.bgpPeers.setAddresses(input.value);
        break;
      case 'bgpPeer':
        this.bgpPeers.updatePeer(input.name, input.value);
        break;
      case 'globalConfig':
        this.config.setGlobal(input.value);
        break;
      case 'selectedConfig':
        this.config.setSelected(input.name, input.value);
        break;
      case 'hostConfig':
        this.config.setHost(input.value);
        break;
    }
  }

  private onWorkloadEndpoint({ id, value }: Extract<CalcInput, { type: 'workloadEndpoint' }>): void {
    const key = workloadItem(id);
    const nets = value === undefined ? undefined : [...value.nets4, ...value.nets6];
    this.stats.noteWorkloadEndpoint(key, value !== undefined);
    if (id.host === this.hostname) {
      this.policyResolver.updateEndpoint(key, { type: 'workload', id, input: value });
      this.updateLocalEndpoint(key, value?.profiles);
    }
    if (id.host === this.hostname || this.routeSource === 'WorkloadIPs') {
      this.routes.updateWorkload(key, id.host, nets);
    }
    this.identities.setAddresses(key, value && { nets: nets ?? [], ports: value.ports });
    this.inheritance.updateItem(key, value);
    if (value === undefined) this.localEndpoints.delete(key);
  }

  private onHostEndpoint({ id, value }: Extract<CalcInput, { type: 'hostEndpoint' }>): void {
    const key = `hep ${id.host}/${id.endpoint}`;
    this.stats.noteHostEndpoint(key, value !== undefined);
    if (id.host === this.hostname) {
      this.policyResolver.updateEndpoint(key, { type: 'host', id, input: value });
      this.updateLocalEndpoint(key, value?.profiles);
    }
    this.identities.setAddresses(key, value && { nets: value.expectedIps, ports: value.ports });
    this.inheritance.updateItem(key, value);
    if (value === undefined) this.localEndpoints.delete(key);
  }

  private onNetworkSet({ name, value }: Extract<CalcInput, { type: 'networkSet' }>): void {
    const key = `set ${name}`;
    this.identities.setAddresses(key, value && { nets: value.nets, ports: [] });
    this.inheritance.updateItem(key, value);
  }

  private updateLocalEndpoint(key: string, profiles: readonly string[] | undefined): void {
    this.activeRules.updateEndpointProfiles(key, profiles);
    if (profiles !== undefined) this.localEndpoints.add(key);
  }

  private onNode(name: string, node: NodeInput | undefined): void {
    this.routes.updateNode(name, node);
    this.vxlan.updateNode(name, node);
    this.sequencer.onHost(
      name,
      node && {
        host: name,
        ipv4: node.isBgpAddress ? node.ipv4?.text : undefined,
        ipv6: node.isBgpAddress ? node.ipv6?.text : undefined,
        addresses: allAddresses(node),
      },
    );
  }

  private createActiveRules(): ActiveRules {
    const { sequencer } = this;
    return new ActiveRules({
      onPolicyActive: (policy, selectors) => {
        this.scanner.update(`policy ${policy.id.kind}/${policy.id.namespace}/${policy.id.name}`, selectors);
        sequencer.onPolicyActive(policy);
      },
      onPolicyInactive: (id) => {
        this.scanner.update(`policy ${id.kind}/${id.namespace}/${id.name}`, []);
        sequencer.onPolicyInactive(id);
      },
      onProfileActive: (profile, selectors) => {
        this.scanner.update(`profile ${profile.name}`, selectors);
        sequencer.onProfileActive(profile);
      },
      onProfileInactive: (name) => {
        this.scanner.update(`profile ${name}`, []);
        sequencer.onProfileInactive(name);
      },
      onEndpointPoliciesChanged: (endpoint) => this.policyResolver.markDirty(endpoint),
    });
  }

  private createPoolRegistry(): PoolRegistry {
    return new PoolRegistry((cidr, pool) => {
      const text = formatCidr(cidr);
      this.routes.updatePool(cidr, pool);
      this.encapsulation.updatePool(cidr, pool);
      this.sequencer.onPool(text, pool && { cidr: text, natOutgoing: pool.natOutgoing });
    });
  }

  private noteInvalid(invalid: InvalidValue): void {
    if (this.invalid.length === INVALID_LIMIT) this.invalid.shift();
    this.invalid.push(invalid);
  }

  private takeInvalid(): InvalidValue[] {
    const { invalid } = this;
    this.invalid = [];
    return invalid;
  }
}

function allAddresses({ ipv4, ipv6, otherAddresses, tunnels }: NodeInput): readonly string[] {
  const own = [ipv4, ipv6].flatMap((each) => each?.address ?? []);
  const all = [...own, ...otherAddresses, ...tunnels.map(({ address }) => address)];
  return [...new Set(all.map(formatIp))].sort();
}

const WORKLOAD = 'wep ';

function workloadItem(id: WorkloadEndpointId): string {
  return `${WORKLOAD}${workloadEndpointKey(id)}`;
}

function isWorkloadItem(item: string): boolean {
  return item.startsWith(WORKLOAD);
}
