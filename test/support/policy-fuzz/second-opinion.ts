// The evaluator's decisions beside those of the oracle (test/support/policy-oracle.ts), which reads the same resources by the v3 API's
// documented meaning: what evaluator and kernel have in common, the compiler, is looked at here.

import type { EndpointPort, HostEndpoint, WorkloadEndpoint } from '../../../lib/model/endpoint-types.ts';
import type { EndpointSlice } from '../../../lib/model/kubernetes-service-types.ts';
import { SERVICE_NAME_LABEL } from '../../../lib/model/kubernetes-service-types.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import type {
  GlobalNetworkPolicy,
  GlobalNetworkPolicySpec,
  NetworkPolicy,
  Profile,
  Tier,
} from '../../../lib/model/policy-types.ts';
import { DEFAULT_ALLOW_PROFILE, type PolicyCluster } from '../../../lib/policy/cluster.ts';
import type { Direction } from '../../../lib/policy/compiled.ts';
import { type CheckpointTrace, evaluate } from '../../../lib/policy/evaluate.ts';
import {
  type OracleCluster,
  type OraclePolicy,
  type OracleThing,
  oracleAction,
  oracleDecision,
} from '../policy-oracle.ts';
import type { FuzzPacket } from './packets.ts';
import { ENDS, endOf } from './world.ts';

type Labels = Readonly<Record<string, string>>;
type Stage = 'normal' | 'forward' | 'preDnat' | 'untracked';
interface Endpoint {
  readonly thing: OracleThing;
  readonly profiles: readonly string[];
}

const PROTOCOLS: Readonly<Record<string, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

/** Of one list of resources. */
export class SecondOpinion {
  readonly #base: Omit<OracleCluster, 'policies' | 'tiers'>;
  readonly #policies: readonly (OraclePolicy & { readonly stages: readonly Stage[] })[];
  readonly #tiers: OracleCluster['tiers'];
  readonly #profiles: ReadonlyMap<string, Profile>;
  /** By host and pod, or host and host endpoint. */
  readonly #endpoints = new Map<string, Endpoint>();

  constructor(resources: readonly Resource[]) {
    const ofKind = <Kind extends Resource>(kind: string): Kind[] =>
      resources.filter((resource): resource is Kind => resource.kind === kind && isCalico(resource));
    const profiles = [DEFAULT_ALLOW_PROFILE, ...ofKind<Profile>('Profile')];
    this.#profiles = new Map(profiles.map((profile) => [profile.metadata.name, profile]));
    for (const endpoint of ofKind<WorkloadEndpoint>('WorkloadEndpoint')) {
      const { node = '', pod = '', profiles: own = [] } = endpoint.spec ?? {};
      const place = `${node} ${endpoint.metadata.namespace}/${pod}`;
      this.#endpoints.set(place, { thing: this.#workload(endpoint), profiles: own });
    }
    for (const endpoint of ofKind<HostEndpoint>('HostEndpoint')) {
      const { node = '', profiles: own = [] } = endpoint.spec ?? {};
      this.#endpoints.set(`${node} ${endpoint.metadata.name}`, {
        thing: this.#host(endpoint),
        profiles: own,
      });
    }
    const sets = [...ofKind('NetworkSet'), ...ofKind('GlobalNetworkSet')].map((set) => this.#networkSet(set));
    this.#policies = [
      ...ofKind<NetworkPolicy>('NetworkPolicy'),
      ...ofKind<GlobalNetworkPolicy>('GlobalNetworkPolicy'),
    ].map(policyOf);
    const known = ofKind<Tier>('Tier').map(({ metadata: { name }, spec }) => ({
      name,
      order: spec?.order ?? Number.MAX_VALUE,
      defaultAction: spec?.defaultAction === 'Pass' ? ('Pass' as const) : ('Deny' as const),
    }));
    const unknown = this.#policies
      .map(({ tier }) => tier)
      .filter((tier) => !known.some(({ name }) => name === tier));
    this.#tiers = [
      ...known,
      ...[...new Set(unknown)].map((name) => ({
        name,
        order: Number.POSITIVE_INFINITY,
        defaultAction: 'Deny' as const,
      })),
    ];
    this.#base = {
      things: [...[...this.#endpoints.values()].map(({ thing }) => thing), ...sets],
      namespaceLabels: {},
      accountLabels: {},
      services: servicesOf(resources),
    };
  }

  /** What the evaluator decides otherwise, in a sentence each. */
  differences(cluster: PolicyCluster, packet: FuzzPacket): readonly string[] {
    const from = ENDS.find(({ name }) => name === packet.from);
    if (from?.kind === 'pod' && endOf(packet.source) !== from) return [];
    return evaluate(cluster, packet).checkpoints.flatMap((checkpoint) => {
      const asked = this.#ask(checkpoint, packet);
      if (asked === 'notAsked') return [];
      const said =
        checkpoint.decision.type === 'stageEnd'
          ? 'nothing'
          : checkpoint.decision.isAllowed
            ? 'Allow'
            : 'Deny';
      const { place, direction } = checkpoint;
      return asked === said ? [] : [`${said}, not ${asked}: ${direction} of ${JSON.stringify(place)}`];
    });
  }

  #ask(
    { place, direction, decision }: CheckpointTrace,
    packet: FuzzPacket,
  ): 'Allow' | 'Deny' | 'nothing' | 'notAsked' {
    const guards = ['bgpPort', 'tunnelFromWorkload', 'failsafePort', 'endpointToHost'];
    if (place.type === 'endpointToHost' || guards.includes(decision.type)) return 'notAsked';
    const name = place.type === 'workload' ? place.endpoint.workload : place.endpoint;
    const endpoint = this.#endpoints.get(`${place.host} ${name}`);
    if (endpoint === undefined) return 'notAsked';
    const stage: Stage = place.type === 'workload' ? 'normal' : place.stage;
    const byTiers = oracleDecision(this.#clusterAt(stage), endpoint.thing, direction, packet);
    if (byTiers !== undefined || stage !== 'normal') return byTiers ?? 'nothing';
    return this.#askProfiles(endpoint.profiles, direction, packet);
  }

  #clusterAt(stage: Stage): OracleCluster {
    const endsByPassing = stage === 'preDnat' || stage === 'untracked';
    return {
      ...this.#base,
      policies: this.#policies.filter(({ stages }) => stages.includes(stage)),
      tiers: endsByPassing ? this.#tiers.map((tier) => ({ ...tier, defaultAction: 'Pass' })) : this.#tiers,
    };
  }

  #askProfiles(names: readonly string[], direction: Direction, packet: FuzzPacket): 'Allow' | 'Deny' {
    for (const name of names) {
      const profile = this.#profiles.get(name);
      if (profile === undefined) return 'Deny';
      const action = oracleAction(
        this.#clusterAt('normal'),
        profile.spec?.[direction] ?? [],
        undefined,
        packet,
      );
      if (action === 'Allow' || action === 'Deny') return action;
    }
    return 'Deny';
  }

  #workload({ metadata, spec }: WorkloadEndpoint): OracleThing {
    return {
      nets: spec?.ipNetworks ?? [],
      namespace: metadata.namespace,
      account: spec?.serviceAccountName,
      ...this.#labels(
        { ...metadata.labels, 'projectcalico.org/orchestrator': spec?.orchestrator ?? '' },
        spec?.profiles,
      ),
      ports: portsOf(spec?.ports),
    };
  }

  #host({ metadata, spec }: HostEndpoint): OracleThing {
    const nets = (spec?.expectedIPs ?? []).map((address) => `${address}/${address.includes(':') ? 128 : 32}`);
    return {
      nets,
      namespace: undefined,
      account: undefined,
      ...this.#labels(metadata.labels, spec?.profiles),
      ports: portsOf(spec?.ports),
    };
  }

  #networkSet({ metadata, spec }: Resource): OracleThing {
    const { namespace, labels } = metadata;
    const profiles = namespace === undefined ? [] : [`kns.${namespace}`];
    const { nets = [] } = (spec ?? {}) as { readonly nets?: readonly string[] };
    return { nets, namespace, account: undefined, ...this.#labels(labels, profiles), ports: [] };
  }

  /** Own labels over those of the profiles, of which the first wins. */
  #labels(
    own: Labels = {},
    profiles: readonly string[] = [],
  ): { readonly labels: Labels; readonly namespaceLabels: Labels; readonly accountLabels: Labels } {
    const inherited: Labels = Object.assign(
      {},
      ...profiles.map((name) => this.#profiles.get(name)?.spec?.labelsToApply ?? {}).reverse(),
    );
    return {
      labels: { ...inherited, ...own },
      namespaceLabels: behind(inherited, 'pcns.'),
      accountLabels: behind(inherited, 'pcsa.'),
    };
  }
}

function isCalico({ apiVersion }: Resource): boolean {
  return apiVersion === 'projectcalico.org/v3';
}

function behind(labels: Labels, prefix: string): Labels {
  return Object.fromEntries(
    Object.entries(labels).flatMap(([label, value]) =>
      label.startsWith(prefix) ? [[label.slice(prefix.length), value]] : [],
    ),
  );
}

function portsOf(ports: readonly EndpointPort[] = []): OracleThing['ports'] {
  return ports.map(({ name = '', protocol, port }) => ({ name, protocol: PROTOCOLS[protocol] ?? 0, port }));
}

function policyOf({ kind, metadata, spec = {} }: NetworkPolicy | GlobalNetworkPolicy): OraclePolicy & {
  readonly stages: readonly Stage[];
} {
  const { ingress = [], egress = [] } = spec;
  const implied =
    egress.length === 0 ? ['Ingress'] : ingress.length === 0 ? ['Egress'] : ['Ingress', 'Egress'];
  const { doNotTrack, preDNAT, applyOnForward, namespaceSelector } = spec as GlobalNetworkPolicySpec;
  const stages: readonly Stage[] = doNotTrack
    ? ['untracked']
    : preDNAT
      ? ['preDnat']
      : applyOnForward
        ? ['normal', 'forward']
        : ['normal'];
  return {
    kind,
    name: metadata.name,
    namespace: kind === 'NetworkPolicy' ? metadata.namespace : undefined,
    tier: spec.tier ?? 'default',
    order: spec.order,
    selector: spec.selector ?? '',
    namespaceSelector,
    serviceAccountSelector: spec.serviceAccountSelector,
    types: spec.types === undefined || spec.types.length === 0 ? implied : spec.types,
    ingress,
    egress,
    stages,
  };
}

function servicesOf(resources: readonly Resource[]): NonNullable<OracleCluster['services']> {
  return resources
    .filter(({ kind }) => kind === 'EndpointSlice')
    .map((resource) => {
      const { metadata, endpoints = [], ports = [] } = resource as Resource as EndpointSlice;
      return {
        name: `${metadata.namespace}/${metadata.labels?.[SERVICE_NAME_LABEL]}`,
        addresses: endpoints.flatMap(({ addresses }) => addresses),
        ports: ports.map(({ protocol = '', port = 0 }) => ({ protocol: PROTOCOLS[protocol] ?? 0, port })),
      };
    });
}
