// The guard of "deny, then run": an ADD waits until the kubernetes plugin has mirrored what is at least as old as the pod.
import { describe, expect, it } from '@jest/globals';
import { MirrorTimeoutError, PluginMirror } from '../../../agents/node/plugin-mirror.ts';
import type { SyncerUpdate } from '../../../lib/datastore/syncer-contract.ts';
import { KUBERNETES_PLUGIN_KEY } from '../../../lib/protocol/plugin-revision.ts';

const update = (value: string | undefined, key = KUBERNETES_PLUGIN_KEY): SyncerUpdate => ({
  key,
  kv:
    value === undefined
      ? undefined
      : ({ key, value, createRevision: 1, modRevision: 1, version: 1, lease: '0' } as never),
  previous: undefined,
  revision: 1,
});
const at = (revision: number) => update(JSON.stringify({ revision, identity: 'controller-1' }));
const failureOf = (waiting: Promise<void>): Promise<unknown> =>
  waiting.then(
    () => 'resolved',
    (error: unknown) => error,
  );

describe('PluginMirror', () => {
  it('lets pass at once what is mirrored, and wakes who waits when it comes', async () => {
    const mirror = new PluginMirror();
    mirror.onUpdates([at(5)]);
    await mirror.waitFor(5, AbortSignal.timeout(5000));
    let hasPassed = false;
    const waiting = mirror.waitFor(7, AbortSignal.timeout(5000)).then(() => {
      hasPassed = true;
    });
    mirror.onUpdates([at(6), update('{}', '/calico-ts/plugins/docker')]);
    await Promise.resolve();
    expect(hasPassed).toBe(false);
    mirror.onUpdates([at(8)]);
    await waiting;
  });

  it('says what it waits for when the time is up', async () => {
    const mirror = new PluginMirror();
    const never = await failureOf(mirror.waitFor(1, AbortSignal.abort()));
    expect(never).toBeInstanceOf(MirrorTimeoutError);
    expect(String(never)).toContain('has not published anything yet');
    mirror.onUpdates([at(3)]);
    const caller = new AbortController();
    const late = failureOf(mirror.waitFor(4, caller.signal));
    caller.abort();
    expect(await late).toMatchObject({
      type: { code: 'timeout' },
      message: expect.stringContaining('revision 3'),
    });
  });

  it('trusts nothing once the key is gone or unreadable', () => {
    const mirror = new PluginMirror();
    for (const lost of [update(undefined), update('no json'), update('{"revision":-1}')]) {
      mirror.onUpdates([at(9)]);
      expect(mirror.mirrored).toBe(9);
      mirror.onUpdates([lost]);
      expect(mirror.mirrored).toBeUndefined();
    }
  });
});
