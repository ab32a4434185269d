// Who may take a pod, and who is thought to be dead.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { NodeHealth } from '../../../controller/nodes/node-health.ts';
import { chooseNode } from '../../../controller/scheduler/choose-node.ts';
import type { Resource } from '../../../lib/model/metadata.ts';

function node(
  name: string,
  spec: object = {},
  ready = 'True',
  labels: Record<string, string> = {},
): Resource {
  const status = { conditions: [{ type: 'Ready', status: ready }], allocatable: { pods: '2' } };
  return { apiVersion: 'v1', kind: 'Node', metadata: { name, labels }, spec, status };
}
const pod = (spec: object = {}): Resource => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'p' },
  spec,
});
const TAINT = { key: 'k', value: 'v', effect: 'NoSchedule' };

describe('chooseNode', () => {
  it('takes the fitting node with the fewest pods, the first by name of equals', () => {
    expect(
      chooseNode(pod(), [
        { node: node('b'), pods: 1 },
        { node: node('c'), pods: 0 },
        { node: node('a'), pods: 0 },
      ]),
    ).toEqual({ ok: true, node: 'a' });
  });

  it('says for each reason how many nodes have it', () => {
    const candidates = [
      { node: node('a', {}, 'Unknown'), pods: 0 },
      { node: node('b', { unschedulable: true }), pods: 0 },
      { node: node('c', { taints: [TAINT] }), pods: 0 },
      { node: node('d'), pods: 2 },
      { node: node('e', {}, 'Unknown'), pods: 0 },
    ];
    expect(chooseNode(pod(), candidates)).toEqual({
      ok: false,
      reason:
        '0/5 nodes are available: 2 node(s) were not ready, 1 node(s) were unschedulable, 1 node(s) had untolerated taint {k: v}, 1 Too many pods.',
    });
    expect(chooseNode(pod(), [])).toEqual({ ok: false, reason: '0/0 nodes are available.' });
  });

  it('obeys node selectors and tolerations', () => {
    const labelled = [{ node: node('a', {}, 'True', { disk: 'ssd' }), pods: 0 }];
    expect(chooseNode(pod({ nodeSelector: { disk: 'ssd' } }), labelled).ok).toBe(true);
    expect(chooseNode(pod({ nodeSelector: { disk: 'hdd' } }), labelled).ok).toBe(false);
    const tainted = [{ node: node('a', { taints: [TAINT] }), pods: 0 }];
    const tolerated: [object, boolean][] = [
      [{ operator: 'Exists' }, true],
      [{ key: 'k', operator: 'Exists' }, true],
      [{ key: 'k', value: 'v' }, true],
      [{ key: 'k', value: 'other' }, false],
      [{ key: 'k', value: 'v', effect: 'NoExecute' }, false],
    ];
    for (const [toleration, expected] of tolerated)
      expect(chooseNode(pod({ tolerations: [toleration] }), tainted).ok).toBe(expected);
    const soft = [{ node: node('a', { taints: [{ ...TAINT, effect: 'PreferNoSchedule' }] }), pods: 0 }];
    expect(chooseNode(pod(), soft).ok).toBe(true);
  });
});

describe('NodeHealth', () => {
  const settings = { graceSeconds: 40, removalSeconds: 60 };
  const watched = (health: NodeHealth, fromMs: number, toMs: number, isHealthy = true): void => {
    for (let ms = fromMs; ms <= toMs; ms += 500) health.tick(ms, isHealthy);
  };

  it('goes from alive over not ready to gone, and back with a renewal', () => {
    const health = new NodeHealth(settings);
    health.observe('a', '1');
    watched(health, 0, 39_500);
    expect(health.verdict('a')).toBe('alive');
    watched(health, 40_000, 40_000);
    expect(health.verdict('a')).toBe('notReady');
    watched(health, 40_500, 60_000);
    expect(health.verdict('a')).toBe('gone');
    health.observe('a', '2');
    expect(health.verdict('a')).toBe('alive');
  });

  it('never removes a node where the setting is 0', () => {
    const health = new NodeHealth({ graceSeconds: 40, removalSeconds: 0 });
    health.observe('a', '1');
    watched(health, 0, 1_000_000);
    expect(health.verdict('a')).toBe('notReady');
  });

  it('counts no time while etcd is away, and little of a long sleep', () => {
    const health = new NodeHealth(settings);
    health.observe('a', '1');
    watched(health, 0, 500_000, false);
    expect(health.silentSeconds('a')).toBe(0);
    health.tick(10_000_000, true);
    expect(health.silentSeconds('a')).toBe(5);
  });

  it('never takes a node for dead that renewed less than the grace of watched time ago', () => {
    const step = fc.record({
      ms: fc.integer({ min: -100_000, max: 200_000 }),
      healthy: fc.boolean(),
      renews: fc.boolean(),
    });
    const property = fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
      const health = new NodeHealth(settings);
      health.observe('a', 'start');
      let nowMs = 0;
      let watchedMs = 0;
      let renewals = 0;
      health.tick(nowMs, true);
      for (const { ms, healthy, renews } of steps) {
        nowMs += ms;
        if (healthy) watchedMs += Math.min(5000, Math.max(0, ms));
        health.tick(nowMs, healthy);
        if (renews) {
          health.observe('a', String(++renewals));
          watchedMs = 0;
        }
        if (watchedMs < 40_000) expect(health.verdict('a')).toBe('alive');
      }
    });
    fc.assert(property, { seed: 20261125, numRuns: 500 });
  });
});
