// The API client against the real API server: a true copy over dropped streams, a restored etcd and idle times; events that count.

import { createServer, type Server } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  EVENTS,
  isStatus,
  type KubeClient,
  KubeError,
  NAMESPACES,
  SERVICE_ACCOUNTS,
} from '../../../lib/kube-client/client.ts';
import { EventRecorder } from '../../../lib/kube-client/event-recorder.ts';
import { Informer } from '../../../lib/kube-client/informer.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import { startTestApi, type TestApi } from '../../support/api-server.ts';
import { TcpProxy } from '../../support/tcp-proxy.ts';
import { until } from '../../support/until.ts';

let api: TestApi;
const ending: (() => Promise<void>)[] = [];

const eventually = (what: string, isTrue: () => boolean): Promise<void> => until(what, isTrue, 20_000);
const createNamespace = (name: string, labels: Record<string, string> = {}) =>
  api
    .client()
    .create(NAMESPACES, undefined, { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });

function follow(client: KubeClient, labelSelector?: string) {
  const changes: string[] = [];
  const revisions: number[] = [];
  let syncs = 0;
  const informer = new Informer({
    client,
    kind: NAMESPACES,
    ...(labelSelector === undefined ? {} : { labelSelector }),
    logger: silentLogger(),
    callbacks: {
      onObject: (key, object, previous) =>
        void changes.push(`${object === undefined ? '-' : previous === undefined ? '+' : '~'}${key}`),
      onRevision: (revision) => void revisions.push(revision),
      onSynced: () => {
        syncs += 1;
      },
    },
  });
  informer.start();
  ending.push(() => informer.stop());
  return { informer, changes, revisions, syncs: () => syncs };
}

beforeAll(async () => {
  api = await startTestApi();
}, 60_000);
afterEach(async () => {
  for (const end of ending.splice(0).toReversed()) await end();
});
afterAll(() => api.stop());

describe('Informer', () => {
  it('lists, then follows; bookmarks move its revision on while nothing of its kind changes', async () => {
    await createNamespace('before');
    const followed = follow(api.client());
    await eventually('in sync', () => followed.informer.isSynced);
    expect(followed.informer.objects.has('before')).toBe(true);
    await createNamespace('after');
    await eventually('after', () => followed.changes.includes('+after'));
    await api.client().delete(NAMESPACES, undefined, 'after');
    // A namespace first empties: it is terminating.
    await eventually('its change', () => followed.changes.includes('~after'));
    const account = { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: 'robot' } };
    const { metadata } = await api.client().create(SERVICE_ACCOUNTS, 'before', account);
    await eventually(
      'a bookmark',
      () => (followed.revisions.at(-1) ?? 0) >= Number(metadata.resourceVersion),
    );
    expect(followed.revisions).toEqual(followed.revisions.toSorted((a, b) => a - b));
  }, 30_000);

  it('says a change again whose callback threw, until it is taken', async () => {
    const taken: string[] = [];
    let throws = 2;
    const informer = new Informer({
      client: api.client(),
      kind: NAMESPACES,
      labelSelector: 'stubborn=yes',
      logger: silentLogger(),
      callbacks: {
        onObject: (key) => {
          if (throws-- > 0) throw new Error('disk full');
          taken.push(key);
        },
      },
    });
    informer.start();
    ending.push(() => informer.stop());
    await eventually('in sync', () => informer.isSynced);
    await createNamespace('stubborn', { stubborn: 'yes' });
    await eventually('taken', () => taken.includes('stubborn'));
    expect(throws).toBeLessThan(0);
    expect(taken).toEqual(['stubborn']);
  }, 30_000);

  it('takes a kind that may be missing for empty, and looks for it again', async () => {
    const kind = { group: 'policy.networking.k8s.io', version: 'v1', plural: 'nothing' };
    let absences = 0;
    const informer = new Informer({
      client: api.client(),
      kind,
      missingAfterMs: 0,
      logger: silentLogger(),
      callbacks: { onObject: () => undefined, onAbsent: () => void absences++ },
    });
    informer.start();
    ending.push(() => informer.stop());
    await eventually('absent', () => informer.isSynced);
    await eventually('looked for again', () => absences > 1);
    expect(informer.objects.size).toBe(0);
  }, 30_000);

  it('selects by label: what loses the label is gone for it', async () => {
    const followed = follow(api.client(), 'tier=gold');
    await eventually('in sync', () => followed.informer.isSynced);
    await createNamespace('chosen', { tier: 'gold' });
    await createNamespace('other');
    await eventually('chosen', () => followed.changes.includes('+chosen'));
    await api.client().patch(NAMESPACES, undefined, 'chosen', { metadata: { labels: { tier: null } } });
    await eventually('its end', () => followed.changes.includes('-chosen'));
    expect([...followed.informer.objects.keys()]).toEqual([]);
  }, 30_000);

  it('takes a dropped stream up where it was: nothing lost, nothing twice', async () => {
    const proxy = await TcpProxy.start(api.port);
    ending.push(() => proxy.stop());
    const followed = follow(api.client(Number(new URL(proxy.endpoint).port)));
    await eventually('in sync', () => followed.informer.isSynced);
    const names = Array.from({ length: 10 }, (_, index) => `dropped-${index}`);
    for (const [index, name] of names.entries()) {
      if (index === 3) proxy.close();
      await createNamespace(name);
      if (index === 6) proxy.open();
    }
    await eventually('all of them', () => names.every((name) => followed.informer.objects.has(name)));
    expect(followed.changes.filter((change) => change.startsWith('+dropped')).toSorted()).toEqual(
      names.map((name) => `+${name}`),
    );
    expect(proxy.cuts).toBeGreaterThan(0);
    expect(followed.syncs()).toBe(1);
  }, 30_000);

  it('lists again when its revision is gone (410), and says what is no longer there', async () => {
    for (let each = 0; each < 5; each++) await createNamespace(`lost-${each}`);
    const followed = follow(api.client());
    await eventually('in sync', () => followed.informer.objects.has('lost-4'));
    await api.replaceDatastore();
    await createNamespace('restored');
    await eventually('the new state', () => followed.changes.includes('+restored'));
    await eventually('the end of the old', () => followed.changes.includes('-lost-4'));
    expect([...followed.informer.objects.keys()].filter((name) => name.startsWith('lost'))).toEqual([]);
    expect(followed.syncs()).toBe(2);
  }, 30_000);

  it('stops at once in the middle of a watch, and says nothing after', async () => {
    const followed = follow(api.client());
    await eventually('in sync', () => followed.informer.isSynced);
    await followed.informer.stop();
    const before = followed.changes.length;
    await createNamespace('unseen');
    expect(followed.changes.length).toBe(before);
  });
});

describe('KubeClient', () => {
  it('tells answers of the server from an absent one, a late one and an abort', async () => {
    const client = api.client();
    expect(await client.find(NAMESPACES, undefined, 'nowhere')).toBeUndefined();
    const missing = await client.get(NAMESPACES, undefined, 'nowhere').catch((error: unknown) => error);
    expect([isStatus(missing, 404), missing instanceof KubeError && missing.type]).toEqual([
      true,
      {
        code: 'status',
        status: 404,
        reason: 'NotFound',
        details: { kind: 'namespaces', name: 'nowhere' },
      },
    ]);
    const aborted = client.list(NAMESPACES, undefined, { signal: AbortSignal.abort() });
    await expect(aborted).rejects.toMatchObject({ type: { code: 'aborted' } });
    await expect(api.client(1).list(NAMESPACES)).rejects.toMatchObject({ type: { code: 'unavailable' } });
  });

  it('gives up on a server that takes the connection and says nothing', async () => {
    const mute: Server = createServer((socket) => void socket.resume().on('error', () => socket.destroy()));
    await new Promise<void>((resolve) => mute.listen(0, '127.0.0.1', resolve));
    const address = mute.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    await expect(api.client(port, 50).list(NAMESPACES)).rejects.toMatchObject({ type: { code: 'timeout' } });
    await new Promise((resolve) => mute.close(resolve));
  });

  it('sends what a conflict needs to be seen', async () => {
    const stored = await createNamespace('raced');
    await api.client().patch(NAMESPACES, undefined, 'raced', { metadata: { labels: { a: '1' } } });
    const late = await api
      .client()
      .replace(NAMESPACES, stored)
      .catch((error: unknown) => error);
    expect(isStatus(late, 409)).toBe(true);
  });
});

describe('EventRecorder', () => {
  it('counts repeats in the first event, tells different ones apart, and never throws', async () => {
    const client = api.client();
    const namespace = await createNamespace('recorded');
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', namespace: 'recorded', uid: namespace.metadata.uid ?? '' },
    };
    const recorder = new EventRecorder({
      client,
      component: 'kubelet',
      host: 'node-1',
      logger: silentLogger(),
      now: () => new Date(0),
    });
    for (let each = 0; each < 3; each++) recorder.record(pod, 'Warning', 'FailedMount', 'no volume');
    recorder.record(pod, 'Normal', 'Started', 'started');
    await recorder.flush();
    const { items } = await client.list(EVENTS, 'recorded');
    const seen = items.map((event) => event as unknown as { reason: string; count: number; type: string });
    expect(
      seen
        .map(({ reason, count, type }) => ({ reason, count, type }))
        .toSorted((a, b) => (a.reason < b.reason ? -1 : 1)),
    ).toEqual([
      { reason: 'FailedMount', count: 3, type: 'Warning' },
      { reason: 'Started', count: 1, type: 'Normal' },
    ]);
    expect(recorder.dropped).toBe(0);
    const away = new EventRecorder({
      client: api.client(1),
      component: 'kubelet',
      host: 'node-1',
      logger: silentLogger(),
      now: () => new Date(0),
    });
    away.record(pod, 'Normal', 'Started', 'started');
    await away.flush();
    expect(away.dropped).toBe(1);
  }, 30_000);
});
