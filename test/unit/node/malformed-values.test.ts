// Whatever stands under a resource's key, no consumer of the datastore throws on it: in a syncer's callback, or in a timer after
// it, that would be the end of the process, and again at its next start.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import { CalcGraph } from '../../../agents/felix/calc/calc-graph.ts';
import { EndpointDirectory } from '../../../agents/felix/flows/endpoint-directory.ts';
import { RuleSourceIndex } from '../../../agents/felix/flows/rule-source-index.ts';
import { StagedReplacements } from '../../../agents/felix/flows/staged-replacements.ts';
import { BgpFeeder } from '../../../agents/node/bgp/feeder.ts';
import { NodeStatusWriter } from '../../../agents/node/bgp/node-status-writer.ts';
import { Felix } from '../../../agents/node/felix.ts';
import { SyncedResources } from '../../../agents/node/held-resources.ts';
import { calicoKinds, calicoNodeKind } from '../../../controller/api/calico-kinds.ts';
import {
  matchesFields,
  matchesLabels,
  parseFieldSelector,
  parseLabelSelector,
} from '../../../controller/api/selectors.ts';
import { readObject, UnreadableObject } from '../../../controller/api/stored-object.ts';
import { absentHosts, podOf } from '../../../controller/gc/plan.ts';
import { automaticHostEndpoints } from '../../../controller/host-endpoints/automatic.ts';
import { decodeStored } from '../../../lib/datastore/stored-form.ts';
import type { SyncerUpdate } from '../../../lib/datastore/syncer-contract.ts';
import { createHeldCatalog } from '../../../lib/ipam/catalog.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import type { CalicoNode, WorkloadEndpoint } from '../../../lib/model/endpoint-types.ts';
import { keyForResource, parseResourceKey } from '../../../lib/model/keys.ts';
import { CALICO_KINDS, type KindInfo } from '../../../lib/model/kinds.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { schemaOfKind } from '../../../lib/model/validation/kind-schemas.ts';
import { METADATA_SCHEMA } from '../../../lib/model/validation/metadata.ts';
import { resolveCluster } from '../../../lib/policy/cluster.ts';
import type { PolicyKind, RuleRef } from '../../../lib/policy/compiled.ts';
import { nodeAddresses } from '../../../lib/policy/endpoints.ts';
import { hostSettings } from '../../../lib/policy/evaluation/host-settings.ts';
import { shapedValueFor, valueFor } from '../../support/schema-values.ts';

const SEED = 20_261_126;
const RUNS = 60;
const NODE = 'node-1';
const NAME = { WorkloadEndpoint: `${NODE}-k8s-web-eth0`, Node: NODE } as Readonly<Record<string, string>>;

/** Objects that are nearly right, ones that are not at all, and no JSON. */
function storedText(info: KindInfo, name: string): fc.Arbitrary<string> {
  const schema = schemaOfKind(info.kind);
  if (schema === undefined) throw new Error(`no schema of ${info.kind}`);
  const named = { name, ...(info.namespaced ? { namespace: 'ns' } : {}) };
  const metadata = fc.oneof(
    { weight: 3, arbitrary: fc.constant(named) },
    { weight: 2, arbitrary: fc.constant({ ...named, labels: null, annotations: null, uid: null }) },
    { weight: 3, arbitrary: valueFor(METADATA_SCHEMA).map((given) => spread(given, named)) },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
  );
  const nearly = fc
    .record({ metadata, body: fc.oneof(valueFor(schema), shapedValueFor(schema)) })
    .map(({ metadata: given, body }) =>
      JSON.stringify({ ...spread(body), apiVersion: info.apiVersion, kind: info.kind, metadata: given }),
    );
  return fc.oneof(
    { weight: 20, arbitrary: nearly },
    { weight: 1, arbitrary: fc.json() },
    { weight: 1, arbitrary: fc.string() },
  );
}

function spread(value: unknown, more: object = {}): object {
  return { ...(typeof value === 'object' ? value : {}), ...more };
}

function updateOf(info: KindInfo, name: string, value: string, revision: number): SyncerUpdate {
  const key = keyForResource(info.kind, info.namespaced ? 'ns' : undefined, name);
  const kv = { key, value, createRevision: revision, modRevision: revision, version: 1, lease: undefined };
  return { key, kv, previous: undefined, revision };
}

const events = { emit: () => undefined };
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'malformed-'));
  jest.useFakeTimers();
});

afterEach(() => {
  jest.useRealTimers();
  rmSync(folder, { recursive: true, force: true });
});

const ref = (kind: string): RuleRef =>
  kind === 'Profile'
    ? { type: 'profile', profile: 'default', direction: 'ingress', index: 0 }
    : {
        type: 'policy',
        policy: {
          kind: kind as PolicyKind,
          namespace: kind.includes('Global') ? '' : 'ns',
          name: 'default',
        },
        direction: 'ingress',
        index: 0,
      };

/** All that hears of resources in an agent; each call ends with what they do later. */
function agent(): (update: SyncerUpdate) => void {
  const directory = new EndpointDirectory(() => 0);
  const sources = new RuleSourceIndex();
  const replacements = new StagedReplacements();
  const flushing = new CalcGraph({ hostname: NODE });
  flushing.onInSync();
  const felix = new Felix({
    node: NODE,
    dataplane: { apply: async () => ({ revision: 0 }) as never },
    events,
    logger: silentLogger(),
    onResource: (key, kind, resource) => {
      directory.onResource(key, kind, resource);
      directory.find('10.0.0.1');
      sources.onResource(key, kind, resource);
      sources.sourceOf(ref(kind));
      replacements.onResource(key, resource);
    },
  });
  const feeder = new BgpFeeder({
    node: NODE,
    bgpd: {
      configure: () => undefined,
      status: async () => ({ peers: [] }),
      wholeRib: async () => ({ destinations: [], total: 0 }),
    },
    passwords: { fileOf: () => undefined, want: () => undefined, sweep: async () => undefined },
    services: undefined,
    routerId: undefined,
    clusterIps: undefined,
    interfaces: () => ({}),
    peersFile: join(folder, 'peers'),
    handoverMs: 0,
    events,
    logger: silentLogger(),
  });
  feeder.setLocalPeers([]);
  feeder.onInSync();
  const statuses = new NodeStatusWriter({
    node: NODE,
    bgpd: { status: async () => Promise.reject(new Error('away')), rib: async () => ({ destinations: [] }) },
    client: {} as never,
    version: '1',
    logger: silentLogger(),
    now: () => new Date(0),
  });
  const held = new SyncedResources(NODE);
  const catalog = createHeldCatalog(held);
  return (update) => {
    held.onUpdates([update]);
    held.nodeLabels(NODE);
    felix.onUpdates([update]);
    flushing.onUpdate({ key: update.key, value: decodedOf(update), revision: update.revision });
    flushing.flush();
    feeder.onResources([update]);
    statuses.onResources([update]);
    void catalog.pools();
    void catalog.reservations();
    jest.advanceTimersByTime(10);
  };
}

function decodedOf({ key, kv }: SyncerUpdate): Resource | undefined {
  const kind = parseResourceKey(key)?.kind;
  return kv === undefined || kind === undefined ? undefined : decodeStored(kind, kv.value, kv.modRevision);
}

/** The batch readers: what a command or the controller makes of what it lists. */
function readBatch(resources: readonly Resource[]): void {
  const cluster = resolveCluster(resources);
  hostSettings(NODE, cluster);
  const nodes = resources.filter((each): each is CalicoNode => each.kind === 'Node');
  const endpoints = resources.filter((each): each is WorkloadEndpoint => each.kind === 'WorkloadEndpoint');
  absentHosts({ calicoNodes: nodes, endpoints, kubernetesNodes: new Set(), unreadableNodes: new Set() });
  endpoints.forEach(podOf);
  for (const node of nodes) {
    nodeAddresses(node);
    automaticHostEndpoints(node, {
      apiVersion: 'projectcalico.org/v3',
      kind: 'KubeControllersConfiguration',
      metadata: { name: 'default' },
      spec: { controllers: { node: { hostEndpoint: { autoCreate: 'Enabled' } } } },
    });
  }
}

describe(`values past every check (seed ${SEED})`, () => {
  it.each(CALICO_KINDS.map((info) => [info.kind, info] as const))('%s', (kind, info) => {
    const hear = agent();
    const apiKind = [...calicoKinds(), calicoNodeKind()].find((each) =>
      kind === 'Node' ? each.kind === 'CalicoNode' : each.kind === kind,
    );
    const name = info.onlyName ?? NAME[kind] ?? 'default';
    let revision = 1;
    let usable = 0;
    fc.assert(
      fc.property(storedText(info, name), (text) => {
        revision += 1;
        const update = updateOf(info, name, text, revision);
        hear(update);
        const decoded = decodedOf(update);
        if (decoded !== undefined) usable += 1;
        readBatch(decoded === undefined ? [] : [decoded]);
        const served = apiKind && update.kv && readObject(apiKind, update.kv);
        if (served !== undefined && !(served instanceof UnreadableObject)) {
          matchesLabels(parseLabelSelector('a=b,!c'), served.metadata.labels);
          matchesFields(parseFieldSelector('spec.tier=x', ['spec.tier']), served);
        }
      }),
      { seed: SEED, numRuns: RUNS },
    );
    // Else nothing of what is behind the reading was tried.
    expect(usable).toBeGreaterThan(0);
  });
});
