// The differential fuzzer's own parts that need no kernel (test/support/policy-fuzz).

import { describe, expect, it } from '@jest/globals';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { Rule } from '../../../lib/model/policy-types.ts';
import { validateResource } from '../../../lib/model/validation/validate.ts';
import { resolveCluster } from '../../../lib/policy/cluster.ts';
import type { FuzzPacket } from '../../support/policy-fuzz/packets.ts';
import { SecondOpinion } from '../../support/policy-fuzz/second-opinion.ts';
import { shrink } from '../../support/policy-fuzz/shrink.ts';
import { type FuzzStep, StepDraws } from '../../support/policy-fuzz/steps.ts';

const SEED = 20261126;

function steps(count: number): FuzzStep[] {
  const draws = new StepDraws(SEED, 10);
  let live: readonly FuzzPacket[] = [];
  return Array.from({ length: count }, () => {
    const step = draws.next(live);
    live = step.packets;
    return step;
  });
}

function rulesOf(resource: Resource): readonly Rule[] {
  const { ingress = [], egress = [] } = (resource['spec'] ?? {}) as { ingress?: Rule[]; egress?: Rule[] };
  return [...ingress, ...egress];
}

describe('drawn steps', () => {
  it('hold what validation lets be stored, and all of it compiles', () => {
    for (const { resources } of steps(30)) {
      const ofCalico = resources.filter(({ apiVersion }) => apiVersion === 'projectcalico.org/v3');
      expect(ofCalico.flatMap(validateResource)).toEqual([]);
      expect(resolveCluster(resources).problems).toEqual([]);
    }
  });

  it('are the same for the same seed', () => {
    expect(steps(5)).toEqual(steps(5));
  });

  it('use every match field of a rule on both sides, and every action', () => {
    const kinds = ['NetworkPolicy', 'GlobalNetworkPolicy'];
    const rules = steps(60).flatMap(({ resources }) =>
      resources.filter(({ kind }) => kinds.includes(kind)).flatMap(rulesOf),
    );
    const fields = new Set(rules.flatMap((rule) => Object.keys(rule)));
    const sides = new Set(
      rules.flatMap(({ source = {}, destination = {} }) => [
        ...Object.keys(source).map((field) => `source.${field}`),
        ...Object.keys(destination).map((field) => `destination.${field}`),
      ]),
    );
    expect([...fields].sort()).toEqual(
      ['action', 'destination', 'icmp', 'ipVersion', 'notICMP', 'notProtocol', 'protocol', 'source'].sort(),
    );
    const ofSide = [
      'namespaceSelector',
      'nets',
      'notNets',
      'notPorts',
      'notSelector',
      'ports',
      'selector',
      'serviceAccounts',
      'services',
    ];
    expect([...sides].sort()).toEqual(
      [...ofSide.map((each) => `source.${each}`), ...ofSide.map((each) => `destination.${each}`)].sort(),
    );
    expect(new Set(rules.map(({ action }) => action))).toEqual(new Set(['Allow', 'Deny', 'Pass', 'Log']));
  });
});

describe('shrink', () => {
  it('leaves what a failure needs, and nothing else', async () => {
    const eight = steps(8);
    const isCulprit = (rule: Rule): boolean =>
      rule.action === 'Allow' && (rule.destination?.ports ?? []).some((port) => typeof port === 'number');
    const culprits = (step: FuzzStep | undefined): readonly Rule[] =>
      (step?.resources ?? []).flatMap(rulesOf).filter(isCulprit);
    const drawn = eight.slice(0, eight.findLastIndex((step) => culprits(step).length > 0) + 1);
    expect(drawn.length).toBeGreaterThan(1);
    const [packet] = drawn.at(-1)?.packets ?? [];
    const smallest = await shrink(drawn, [packet?.number ?? 0], (tried) => {
      const last = tried.at(-1);
      const hasPacket = last?.packets.some(({ number }) => number === packet?.number) === true;
      return Promise.resolve(hasPacket && culprits(last).length > 0);
    });
    expect(smallest).toHaveLength(1);
    const rules = smallest[0]?.resources.flatMap(rulesOf) ?? [];
    expect(rules).toEqual([
      { action: 'Allow', protocol: expect.anything(), destination: { ports: [expect.any(Number)] } },
    ]);
    expect(smallest[0]?.packets).toEqual([packet]);
  });
});

describe('the second opinion', () => {
  it('is the evaluator’s', () => {
    const packets = steps(120).flatMap(({ resources, packets: drawn }) => {
      const cluster = resolveCluster(resources);
      const opinion = new SecondOpinion(resources);
      return drawn.map((packet) => ({ packet, differences: opinion.differences(cluster, packet) }));
    });
    expect(packets.filter(({ differences }) => differences.length > 0)).toEqual([]);
  });
});
