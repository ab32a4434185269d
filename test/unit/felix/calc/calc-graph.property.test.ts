// The incremental graph against the batch resolver of lib/policy: whatever came in whatever order, with flushes wherever,
// both must say the same of the datastore as it is at the end.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CalcGraph } from '../../../../agents/felix/calc/calc-graph.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';
import { type PolicyCluster, resolveCluster } from '../../../../lib/policy/cluster.ts';
import { compilePolicy, type PolicyResource } from '../../../../lib/policy/compile.ts';
import {
  type EndpointTier,
  type Identity,
  type IdentityId,
  policyKey,
  type SelectorId,
} from '../../../../lib/policy/compiled.ts';
import { identityKey } from '../../../../lib/policy/labels.ts';
import { storedResource } from '../../../support/stored-resource.ts';
import { FakeDataplane } from './fake-dataplane.ts';
import { LOCAL_HOST, randomResource } from './random-cluster.ts';

const SEED = 20_261;

interface Step {
  readonly resource: Resource;
  readonly isDeletion: boolean;
  readonly isFlushed: boolean;
}
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    resource: randomResource,
    isDeletion: fc.integer({ min: 0, max: 3 }).map((number) => number === 0),
    isFlushed: fc.boolean(),
  }),
  { minLength: 1, maxLength: 40 },
);

describe('the calculation graph', () => {
  it(`agrees with the batch resolver after any history (seed ${SEED})`, () => {
    fc.assert(
      fc.property(steps, fc.nat(40), (history, inSyncAt) => {
        const { dataplane, stored } = playHistory(history, inSyncAt);
        const cluster = resolveCluster(stored);
        expect(cluster.problems).toEqual([]);
        expect(viewOfGraph(dataplane)).toEqual(viewOfCluster(cluster, stored));
      }),
      { seed: SEED, numRuns: 400 },
    );
  });

  it(`says nothing twice: a second flush is empty (seed ${SEED})`, () => {
    fc.assert(
      fc.property(steps, (history) => {
        const { graph } = playHistory(history, 0);
        expect(graph.flush().messages).toEqual([]);
      }),
      { seed: SEED, numRuns: 50 },
    );
  });

  it(`takes everything back when everything is deleted (seed ${SEED})`, () => {
    fc.assert(
      fc.property(steps, (history) => {
        const { graph, dataplane, stored } = playHistory(history, 0);
        for (const [index, resource] of stored.entries()) {
          graph.onUpdate({ key: storedResource(resource).key, value: undefined, revision: 1000 + index });
        }
        dataplane.apply(graph.flush().messages);
        const { identities, members, selectors, policies, profiles, workloadEndpoints, hostEndpoints } =
          dataplane;
        for (const left of [
          identities,
          members,
          selectors,
          policies,
          profiles,
          workloadEndpoints,
          hostEndpoints,
        ]) {
          expect([...left.keys()]).toEqual([]);
        }
      }),
      { seed: SEED, numRuns: 100 },
    );
  });
});

function playHistory(
  history: readonly Step[],
  inSyncAt: number,
): { graph: CalcGraph; dataplane: FakeDataplane; stored: Resource[] } {
  const graph = new CalcGraph({ hostname: LOCAL_HOST });
  const dataplane = new FakeDataplane();
  const stored = new Map<string, Resource>();
  for (const [index, { resource, isDeletion, isFlushed }] of history.entries()) {
    if (index === inSyncAt) graph.onInSync();
    const revision = index + 1;
    const versioned = { ...resource, metadata: { ...resource.metadata, resourceVersion: String(revision) } };
    const { key, value } = storedResource(versioned);
    if (isDeletion) stored.delete(key);
    else stored.set(key, versioned);
    graph.onUpdate({ key, value: isDeletion ? undefined : value, revision });
    if (isFlushed) applyFlush(graph, dataplane);
  }
  graph.onInSync();
  applyFlush(graph, dataplane);
  return { graph, dataplane, stored: [...stored.values()] };
}

function applyFlush(graph: CalcGraph, dataplane: FakeDataplane): void {
  const { messages, invalid } = graph.flush();
  expect(invalid).toEqual([]);
  dataplane.apply(messages);
}

/** Identity numbers differ between the two, so identities are named by what they stand for. */
interface View {
  readonly endpoints: readonly unknown[];
  readonly policies: readonly unknown[];
  readonly profiles: readonly unknown[];
  /** What each selector in use matches: network and identities. */
  readonly selectors: Readonly<Record<string, readonly string[]>>;
}

function nameOf(identity: Identity | undefined): string {
  return identity === undefined ? 'unknown' : identityKey(identity.labels, identity.ports, identity.service);
}

function viewOfGraph(dataplane: FakeDataplane): View {
  const identityName = (id: IdentityId): string => nameOf(dataplane.identities.get(id));
  const workloads = [...dataplane.workloadEndpoints.values()].map((endpoint) => ({
    ...endpoint,
    identity: identityName(endpoint.identity),
  }));
  return {
    endpoints: sorted([...workloads, ...dataplane.hostEndpoints.values()]),
    policies: sorted([...dataplane.policies.values()]),
    profiles: sorted([...dataplane.profiles.values()]),
    selectors: Object.fromEntries(
      [...dataplane.selectors].map(([id, { identities }]) => [
        id,
        matchingNets(dataplane.members, (identity) => identities.has(identity), identityName),
      ]),
    ),
  };
}

function viewOfCluster(cluster: PolicyCluster, stored: readonly Resource[]): View {
  const identityName = (id: IdentityId): string => nameOf(cluster.identities.identities.get(id));
  const workloads = [...cluster.workloadEndpoints.values()].filter(({ id }) => id.host === LOCAL_HOST);
  const hosts = [...cluster.hostEndpoints.values()].filter(({ id }) => id.host === LOCAL_HOST);
  const local = [...workloads, ...hosts];
  const applying = new Set(
    [
      ...workloads.map(({ identity }) => cluster.identities.identities.get(identity)?.labels ?? {}),
      ...hostLabels(stored, cluster),
    ]
      .flatMap((labels) => compiledPolicies(stored).filter(({ appliesTo }) => appliesTo.matches(labels)))
      .map(({ policy }) => policyKey(policy.id)),
  );
  const active = compiledPolicies(stored).filter(
    ({ policy, alwaysActive }) => alwaysActive || applying.has(policyKey(policy.id)),
  );
  const activeProfiles = new Set(local.flatMap(({ profiles }) => profiles));
  const profiles = [...cluster.profiles.values()].filter(({ name }) => activeProfiles.has(name));
  const used = new Set<SelectorId>([
    ...active.flatMap(({ selectors }) => selectors.map(({ id }) => id)),
    ...profiles.flatMap(({ ingress, egress }) =>
      [...ingress, ...egress].flatMap(({ source, destination }) =>
        [source, destination].flatMap((entity) => [
          ...entity.selectors,
          ...entity.notSelectors,
          ...[...entity.namedPorts, ...entity.notNamedPorts].map(({ selector }) => selector),
        ]),
      ),
    ),
  ]);
  return {
    endpoints: sorted([
      ...workloads.map((endpoint) => ({ ...endpoint, identity: identityName(endpoint.identity) })),
      ...hosts,
    ]),
    policies: sorted(active.map(({ policy }) => policy)),
    profiles: sorted(profiles),
    selectors: Object.fromEntries(
      [...used].map((id) => {
        const matching = cluster.selectors.get(id)?.identities ?? new Set();
        return [
          id,
          matchingNets(cluster.identities.members, (identity) => matching.has(identity), identityName),
        ];
      }),
    ),
  };
}

function compiledPolicies(stored: readonly Resource[]): ReturnType<typeof compilePolicy>[] {
  return stored
    .filter(({ kind }) => kind.endsWith('NetworkPolicy'))
    .map((policy) => compilePolicy(policy as PolicyResource, Number(policy.metadata.resourceVersion)));
}

/** Host endpoints carry no identity in the compiled form: the identity of their address that has all their own labels. */
function hostLabels(stored: readonly Resource[], cluster: PolicyCluster): Readonly<Record<string, string>>[] {
  return stored
    .filter(({ kind, spec }) => kind === 'HostEndpoint' && (spec as { node: string }).node === LOCAL_HOST)
    .flatMap(({ metadata }) => {
      const tiers = cluster.hostEndpoints.get(`${LOCAL_HOST}/${metadata.name}`);
      return tiers === undefined ? [] : [tiers];
    })
    .map((endpoint) => labelsOfHostEndpoint(stored, endpoint.id.endpoint));
}

function labelsOfHostEndpoint(stored: readonly Resource[], name: string): Readonly<Record<string, string>> {
  const endpoint = stored.find(({ kind, metadata }) => kind === 'HostEndpoint' && metadata.name === name);
  const profiles = (endpoint?.spec as { profiles?: string[] } | undefined)?.profiles ?? [];
  const inherited = profiles.toReversed().map((profile) => {
    const found = stored.find(({ kind, metadata }) => kind === 'Profile' && metadata.name === profile);
    return (found?.spec as { labelsToApply?: Record<string, string> } | undefined)?.labelsToApply ?? {};
  });
  return Object.assign({}, ...inherited, endpoint?.metadata.labels) as Record<string, string>;
}

function matchingNets(
  members: ReadonlyMap<string, Iterable<IdentityId>>,
  matches: (id: IdentityId) => boolean,
  identityName: (id: IdentityId) => string,
): string[] {
  const found: string[] = [];
  for (const [net, identities] of members) {
    for (const id of identities) {
      if (matches(id)) found.push(`${net} ${identityName(id)}`);
    }
  }
  return found.sort();
}

/** By what each is called; tiers keep their order. */
function sorted(values: readonly (object & { readonly tiers?: readonly EndpointTier[] })[]): unknown[] {
  return values
    .map(
      (value) =>
        [JSON.stringify('id' in value ? value.id : 'name' in value ? value.name : ''), value] as const,
    )
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, value]) => value);
}
