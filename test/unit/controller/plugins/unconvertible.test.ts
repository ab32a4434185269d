// What the plugin does with objects that Calico cannot hold as they are: nothing waits for them, and less is allowed.

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { MIRRORS } from '../../../../controller/plugins/kubernetes/mirror.ts';
import { KubernetesPlugin } from '../../../../controller/plugins/kubernetes/plugin.ts';
import { ensureInitialized } from '../../../../lib/datastore/initialize.ts';
import { ResourceClient } from '../../../../lib/datastore/resource-client.ts';
import { EventLog } from '../../../../lib/events/event-log.ts';
import { EVENTS, NAMESPACES } from '../../../../lib/kube-client/client.ts';
import { EventRecorder } from '../../../../lib/kube-client/event-recorder.ts';
import { silentLogger } from '../../../../lib/logging/logger.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';
import type { NetworkPolicy, Profile } from '../../../../lib/model/policy-types.ts';
import { KUBERNETES_PLUGIN_KEY, parsePluginRevision } from '../../../../lib/protocol/plugin-revision.ts';
import { parseSelector } from '../../../../lib/selector/parser.ts';
import { startTestApi, type TestApi } from '../../../support/api-server.ts';
import { UNCONVERTIBLE } from '../../../support/unconvertible.ts';
import { until } from '../../../support/until.ts';

type KubernetesEvent = Resource & {
  readonly reason: string;
  readonly message: string;
  readonly involvedObject: { readonly name: string };
};

/** A machine that does much else at the same time. */
jest.setTimeout(60_000);

let api: TestApi;
let calico: ResourceClient;
let plugin: KubernetesPlugin;
let recorder: EventRecorder;
const events = new EventLog({ host: 'test' });

beforeAll(async () => {
  api = await startTestApi();
  const { datastore } = api;
  calico = new ResourceClient({ datastore });
  await ensureInitialized(calico, {});
  const logger = silentLogger();
  const client = api.client();
  // Where its Events go.
  await client.create(NAMESPACES, undefined, { metadata: { name: 'default' } });
  recorder = new EventRecorder({ client, component: 'test', host: 'test', logger, now: () => new Date() });
  plugin = new KubernetesPlugin({
    api: client,
    calico,
    datastore,
    identity: 'test',
    events,
    recorder,
    logger,
  });
  await plugin.start();
});

afterAll(async () => {
  await plugin?.stop();
  await recorder?.flush();
  await api?.stop();
});

/** As an API server without our limits would have accepted it. */
async function store(plural: string, object: object & { metadata: { name: string; namespace?: string } }) {
  const { name, namespace } = object.metadata;
  const key = `/registry/${plural}/${namespace === undefined ? '' : `${namespace}/`}${name}`;
  const value = JSON.stringify({ ...object, metadata: { uid: `uid-${name}`, ...object.metadata } });
  const { revision } = await api.datastore.transact({ compare: [], success: [{ type: 'put', key, value }] });
  return { key, revision };
}

async function published(): Promise<number> {
  const { kv } = await api.datastore.get(KUBERNETES_PLUGIN_KEY);
  return parsePluginRevision(kv?.value ?? '')?.revision ?? 0;
}

describe('an object that cannot be converted', () => {
  it.each(UNCONVERTIBLE.map((row) => [row.title, row] as const))('%s', async (_title, row) => {
    const before = events.read().events.at(-1)?.seq ?? 0;
    const { key, revision } = await store(row.plural, row.object);
    await until('the revision is published', async () => (await published()) >= revision, 30_000);
    const source = key.slice('/registry/'.length);
    const refused = events.read(before).events.filter(({ kind }) => kind === 'pluginRefused');
    expect(refused.map(({ object }) => object)).toEqual(
      // A name that is too long is no loss: the policy is stored under a shorter one.
      row.object.metadata.name.length === 250 ? [] : [source],
    );
    const mirror = MIRRORS.find(({ name }) => name === row.plural);
    const ref = mirror?.storedRef(source.slice(row.plural.length + 1));
    if (ref === undefined) throw new Error(`no mirror of ${row.plural}`);
    if (row.rules === undefined) {
      const { spec } = await calico.get<Profile>(ref);
      const labels = spec?.labelsToApply ?? {};
      expect(Object.keys(labels).every((label) => label.length <= 63)).toBe(true);
      expect(Object.values(labels).includes('a')).toBe(row.object.metadata.labels?.['team'] === 'a');
    } else {
      const { spec } = await calico.get<NetworkPolicy>(ref);
      expect(spec?.types).toEqual(['Ingress']);
      expect(spec?.ingress?.length ?? 0).toBe(row.rules.ingress);
      // It still reaches a pod, whatever labels its source asked for could not be said.
      const labels = { 'projectcalico.org/orchestrator': 'k8s', ...longLabels() };
      expect(parseSelector(spec?.selector ?? '').matches(labels)).toBe(true);
    }
    await api.datastore.transact({ compare: [], success: [{ type: 'delete', key }] });
    await until('the mirror is gone', async () => {
      return (await calico.list(ref.kind)).items.every(({ metadata }) => metadata.name !== ref.name);
    });
  });

  it('says so at the object, for kubectl describe', async () => {
    const row = UNCONVERTIBLE[0];
    if (row === undefined) throw new Error('no case');
    await store(row.plural, { ...row.object, metadata: { name: 'told', namespace: 'default' } });
    const client = api.client();
    await until('an Event', async () => {
      const { items } = await client.list(EVENTS, 'default');
      return (items as KubernetesEvent[]).some(
        ({ reason, involvedObject, message }) =>
          reason === 'NotConverted' &&
          involvedObject.name === 'told' &&
          message.startsWith('left out, so that less is allowed: spec.podSelector: '),
      );
    });
  });
});

function longLabels(): Record<string, string> {
  return Object.fromEntries(Array.from({ length: 15 }, (_, index) => [`label-${index}`, 'v'.repeat(60)]));
}
