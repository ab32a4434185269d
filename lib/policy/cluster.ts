// Batch resolver: a set of v3 resources to the compiled form of the whole cluster, all at once. The evaluator reads it;
// the incremental calculation graph is tested against it, so it is kept as plain as can be.

import { convertEndpointSlice } from '../conversion/endpoint-slice.ts';
import type { BGPPeer } from '../model/bgp-types.ts';
import type {
  CalicoNode,
  FelixConfiguration,
  HostEndpoint,
  WorkloadEndpoint,
} from '../model/endpoint-types.ts';
import type { EndpointSlice } from '../model/kubernetes-service-types.ts';
import type { Resource } from '../model/metadata.ts';
import type { GlobalNetworkSet, NetworkSet, Profile, Tier } from '../model/policy-types.ts';
import { invalidResource } from '../model/validation/invalid-resource.ts';
import type { IpAddress } from '../net/ip.ts';
import type { Labels } from '../selector/expression.ts';
import type { Selector } from '../selector/selector.ts';
import { SelectorError } from '../selector/selector-error.ts';
import {
  type CompilableResource,
  compilePolicy,
  compileProfile,
  isStagedDeletion,
  missingProfile,
  type PolicyCompilation,
  type ProfileCompilation,
  type RuleSelector,
} from './compile.ts';
import {
  type CompiledHostEndpoint,
  type CompiledPolicy,
  type CompiledProfile,
  type CompiledWorkloadEndpoint,
  type Identity,
  type IdentityId,
  POLICY_KINDS,
  policyKey,
  type SelectorId,
  workloadEndpointKey,
} from './compiled.ts';
import { hostTiers, type TierDefinition, workloadTiers } from './endpoint-tiers.ts';
import {
  canonicalNets,
  distinctNets,
  expectedNets,
  nodeAddresses,
  workloadEndpointIdOf,
} from './endpoints.ts';
import { IdentityTable } from './identity-table.ts';
import {
  effectiveLabels,
  hostEndpointLabels,
  type LabelSource,
  networkSetLabels,
  workloadEndpointLabels,
} from './labels.ts';
import { chooseLocalBgpPeer, type LocalBgpPeer, localBgpPeer } from './local-bgp-peers.ts';
import { PolicyError } from './policy-error.ts';
import { selects, sliceMembers } from './services.ts';

export interface ResolvedSelector {
  readonly canonical: string;
  readonly identities: ReadonlySet<IdentityId>;
}

/** A resource that was left out, and why. */
export interface ClusterProblem {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** `spec.selector: not a selector: a = (…)` */
  readonly reason: string;
}

/** The compiled form of a whole cluster. Keys: `policyKey`, `workloadEndpointKey`, `host/endpoint` of host endpoints. */
export interface PolicyCluster {
  readonly identities: IdentityTable;
  readonly selectors: ReadonlyMap<SelectorId, ResolvedSelector>;
  readonly policies: ReadonlyMap<string, CompiledPolicy>;
  /** The hosts of the endpoints that a policy selects, whatever its directions. */
  readonly hostsByPolicy: ReadonlyMap<string, ReadonlySet<string>>;
  /** Policies that every host programs. */
  readonly alwaysActive: ReadonlySet<string>;
  /** Those that exist, and those that some endpoint names. */
  readonly profiles: ReadonlyMap<string, CompiledProfile>;
  readonly workloadEndpoints: ReadonlyMap<string, CompiledWorkloadEndpoint>;
  readonly hostEndpoints: ReadonlyMap<string, CompiledHostEndpoint>;
  /** Addresses of the hosts themselves. */
  readonly hostAddresses: ReadonlyMap<string, readonly IpAddress[]>;
  readonly felixConfigurations: readonly FelixConfiguration[];
  /** Labels of the Nodes there are. */
  readonly labelsByNode: ReadonlyMap<string, Labels>;
  readonly problems: readonly ClusterProblem[];
}

/** Never stored, and always there: allows everything. */
export const DEFAULT_ALLOW_PROFILE: Profile = {
  apiVersion: 'projectcalico.org/v3',
  kind: 'Profile',
  metadata: { name: 'projectcalico-default-allow' },
  spec: { ingress: [{ action: 'Allow' }], egress: [{ action: 'Allow' }] },
};

/** What else of Calico's a verdict may depend on. */
export const VERDICT_KINDS: readonly string[] = [
  'Tier',
  'Profile',
  'WorkloadEndpoint',
  'HostEndpoint',
  'NetworkSet',
  'GlobalNetworkSet',
  'Node',
  'FelixConfiguration',
  'BGPPeer',
];

/**
 * Resolves the resources, Kubernetes' EndpointSlices among them; kinds that have no part in policy are passed over, and what the
 * hosts refuse is left out. Revisions come from `resourceVersion`.
 */
export function resolveCluster(given: readonly Resource[]): PolicyCluster {
  const problems: ClusterProblem[] = [];
  const resources = given.filter((resource) => isUsable(resource, problems));
  const policies = compileEach(resources.filter(isPolicy), problems, (resource) =>
    compilePolicy(resource, revisionOf(resource)),
  );
  const profiles = compileEach(
    [DEFAULT_ALLOW_PROFILE, ...ofKind<Profile>(resources, 'Profile')],
    problems,
    compileProfile,
  );
  const labelsByProfile = new Map(
    profiles.map(({ profile, labelsToApply }) => [profile.name, labelsToApply]),
  );
  const identities = new IdentityTable();
  const context: Context = {
    identities,
    policies,
    labelsByProfile,
    applyingByIdentity: new Map(),
    hostsByPolicy: new Map(policies.map(({ policy }) => [policyKey(policy.id), new Set<string>()])),
    tierByName: new Map(
      ofKind<Tier>(resources, 'Tier').map((tier) => [tier.metadata.name, tierDefinition(tier)]),
    ),
    bgpPeers: ofKind<BGPPeer>(resources, 'BGPPeer').flatMap(readableBgpPeer),
    labelsByNode: new Map(
      ofKind<CalicoNode>(resources, 'Node').map(({ metadata }) => [metadata.name, metadata.labels ?? {}]),
    ),
  };
  const workloadEndpoints = resolveWorkloadEndpoints(
    ofKind<WorkloadEndpoint>(resources, 'WorkloadEndpoint'),
    context,
  );
  const hostEndpoints = resolveHostEndpoints(ofKind<HostEndpoint>(resources, 'HostEndpoint'), context);
  for (const set of ofKind<NetworkSet>(resources, 'NetworkSet')) addNetworkSet(set, context);
  for (const set of ofKind<GlobalNetworkSet>(resources, 'GlobalNetworkSet')) addNetworkSet(set, context);
  for (const slice of ofKind<EndpointSlice>(resources, 'EndpointSlice')) addEndpointSlice(slice, identities);
  return {
    identities,
    selectors: resolveSelectors(
      [...policies, ...profiles].flatMap(({ selectors }) => selectors),
      identities,
    ),
    policies: new Map(policies.map(({ policy }) => [policyKey(policy.id), policy])),
    hostsByPolicy: context.hostsByPolicy,
    alwaysActive: new Set(
      policies.filter(({ alwaysActive }) => alwaysActive).map(({ policy }) => policyKey(policy.id)),
    ),
    profiles: withMissing(profiles, [...workloadEndpoints.values(), ...hostEndpoints.values()]),
    workloadEndpoints,
    hostEndpoints,
    hostAddresses: new Map(
      ofKind<CalicoNode>(resources, 'Node').map((node) => [node.metadata.name, nodeAddresses(node)]),
    ),
    felixConfigurations: ofKind<FelixConfiguration>(resources, 'FelixConfiguration'),
    labelsByNode: context.labelsByNode,
    problems,
  };
}

interface Context {
  readonly identities: IdentityTable;
  readonly policies: readonly PolicyCompilation[];
  readonly labelsByProfile: ReadonlyMap<string, Labels>;
  readonly hostsByPolicy: ReadonlyMap<string, Set<string>>;
  readonly applyingByIdentity: Map<IdentityId, readonly PolicyCompilation[]>;
  readonly tierByName: ReadonlyMap<string, TierDefinition>;
  readonly bgpPeers: readonly LocalBgpPeer[];
  readonly labelsByNode: ReadonlyMap<string, Labels>;
}

/** The kind decides the type: resources come from the datastore, which holds nothing else under it. */
function ofKind<Kind extends Resource>(resources: readonly Resource[], kind: Kind['kind']): Kind[] {
  return resources.filter((resource): resource is Kind => resource.kind === kind);
}

/** Kubernetes' policies have the same kind in another group. */
function isPolicy(resource: Resource): resource is CompilableResource {
  if (!isPolicyKind(resource.kind) || !isCalicos(resource)) return false;
  return !isStagedDeletion(resource as CompilableResource);
}

function isUsable(resource: Resource, problems: ClusterProblem[]): boolean {
  const hasPart = isPolicyKind(resource.kind) || VERDICT_KINDS.includes(resource.kind);
  if (!hasPart || !isCalicos(resource)) return true;
  const reason = invalidResource(resource.kind, resource);
  if (reason !== undefined) problems.push(problemOf(resource, reason));
  return reason === undefined;
}

function isPolicyKind(kind: string): boolean {
  return POLICY_KINDS.some((each) => each === kind);
}

function isCalicos({ apiVersion }: Resource): boolean {
  return apiVersion.startsWith('projectcalico.org/');
}

function problemOf({ kind, metadata: { name, namespace = '' } }: Resource, reason: string): ClusterProblem {
  return { kind, namespace, name, reason };
}

function compileEach<Source extends Resource, Compiled>(
  resources: readonly Source[],
  problems: ClusterProblem[],
  compile: (resource: Source) => Compiled,
): Compiled[] {
  return resources.flatMap((resource) => {
    try {
      return [compile(resource)];
    } catch (error) {
      if (!(error instanceof PolicyError)) throw error;
      problems.push(problemOf(resource, error.message));
      return [];
    }
  });
}

function revisionOf(resource: Resource): number {
  return Number(resource.metadata.resourceVersion ?? 0);
}

function tierDefinition(tier: Tier): TierDefinition {
  return {
    name: tier.metadata.name,
    order: tier.spec?.order ?? undefined,
    exists: true,
    defaultAction: tier.spec?.defaultAction === 'Pass' ? 'pass' : 'deny',
  };
}

function internSource(source: LabelSource, { identities, labelsByProfile }: Context): Identity {
  const inherited = source.profiles.map((profile) => labelsByProfile.get(profile));
  return identities.intern(effectiveLabels(source.labels, inherited), source.ports);
}

/** Endpoints without interface or addresses are not complete yet: nobody polices or sees them. */
function resolveWorkloadEndpoints(
  resources: readonly WorkloadEndpoint[],
  context: Context,
): Map<string, CompiledWorkloadEndpoint> {
  const endpoints = new Map<string, CompiledWorkloadEndpoint>();
  for (const resource of resources) {
    const id = workloadEndpointIdOf(resource);
    const nets = canonicalNets(resource.spec?.ipNetworks ?? []);
    const interfaceName = resource.spec?.interfaceName;
    if (id === undefined || nets.length === 0 || !interfaceName) continue;
    const identity = internSource(workloadEndpointLabels(resource), context);
    for (const net of nets) context.identities.addMember(net, identity.id);
    const node = { name: id.host, labels: context.labelsByNode.get(id.host) };
    const localBgpPeer = chooseLocalBgpPeer(context.bgpPeers, identity.labels, node);
    endpoints.set(workloadEndpointKey(id), {
      id,
      interfaceName,
      mac: resource.spec?.mac,
      nets4: nets.filter((net) => !net.includes(':')),
      nets6: nets.filter((net) => net.includes(':')),
      allowSpoofedSourcePrefixes: resource.spec?.allowSpoofedSourcePrefixes ?? [],
      profiles: resource.spec?.profiles ?? [],
      tiers: workloadTiers(applyingTo(identity, id.host, context), context.tierByName),
      identity: identity.id,
      ...(localBgpPeer === undefined ? {} : { localBgpPeer }),
      revision: revisionOf(resource),
    });
  }
  return endpoints;
}

function resolveHostEndpoints(
  resources: readonly HostEndpoint[],
  context: Context,
): Map<string, CompiledHostEndpoint> {
  const endpoints = new Map<string, CompiledHostEndpoint>();
  for (const resource of resources) {
    if (!resource.spec?.node) continue;
    const identity = internSource(hostEndpointLabels(resource), context);
    const expectedIps = expectedNets(resource);
    for (const net of expectedIps) context.identities.addMember(net, identity.id);
    const id = { host: resource.spec.node, endpoint: resource.metadata.name };
    endpoints.set(`${id.host}/${id.endpoint}`, {
      id,
      interfaceName: resource.spec.interfaceName || undefined,
      expectedIps,
      profiles: resource.spec.profiles ?? [],
      ...hostTiers(applyingTo(identity, id.host, context), context.tierByName),
      revision: revisionOf(resource),
    });
  }
  return endpoints;
}

/** The policies that select an endpoint of the host, which it notes. Endpoints of one identity share the answer. */
function applyingTo(identity: Identity, host: string, context: Context): readonly PolicyCompilation[] {
  const known = context.applyingByIdentity.get(identity.id);
  const applying = known ?? context.policies.filter(({ appliesTo }) => appliesTo.matches(identity.labels));
  if (known === undefined) context.applyingByIdentity.set(identity.id, applying);
  for (const { policy } of applying) context.hostsByPolicy.get(policyKey(policy.id))?.add(host);
  return applying;
}

function addNetworkSet(set: NetworkSet | GlobalNetworkSet, context: Context): void {
  const nets = distinctNets(set.spec?.nets ?? []);
  if (nets.length === 0) return;
  const identity = internSource(networkSetLabels(set), context);
  for (const net of nets) context.identities.addMember(net, identity.id);
}

function addEndpointSlice(resource: EndpointSlice, identities: IdentityTable): void {
  const slice = convertEndpointSlice(resource);
  if (slice === undefined) return;
  const { nets, ports, service } = sliceMembers(slice);
  const identity = identities.intern({}, ports, service);
  for (const net of nets) identities.addMember(net, identity.id);
}

function resolveSelectors(
  used: readonly RuleSelector[],
  identities: IdentityTable,
): Map<SelectorId, ResolvedSelector> {
  const selectorById = new Map<SelectorId, Selector>(used.map(({ id, selector }) => [id, selector]));
  const all = [...identities.identities.values()];
  const resolved = new Map<SelectorId, ResolvedSelector>();
  for (const [id, selector] of selectorById) {
    const matching = all.filter((identity) => selects(id, selector, identity));
    resolved.set(id, {
      canonical: selector.canonical,
      identities: new Set(matching.map((identity) => identity.id)),
    });
  }
  return resolved;
}

function withMissing(
  profiles: readonly ProfileCompilation[],
  endpoints: readonly { readonly profiles: readonly string[] }[],
): Map<string, CompiledProfile> {
  const byName = new Map(profiles.map(({ profile }) => [profile.name, profile]));
  for (const name of endpoints.flatMap((endpoint) => endpoint.profiles)) {
    if (!byName.has(name)) byName.set(name, missingProfile(name));
  }
  return byName;
}

/** An unreadable selector opens nothing. */
function readableBgpPeer(peer: BGPPeer): LocalBgpPeer[] {
  try {
    return [localBgpPeer(peer)].filter((found) => found !== undefined);
  } catch (error) {
    if (error instanceof SelectorError) return [];
    throw error;
  }
}
