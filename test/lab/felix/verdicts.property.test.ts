// Two executors of one compiled form: the pure evaluator and the kernel must agree on every packet, after each of a long
// history of random changes, and again after everything was replaced under new names.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Resource } from '../../../lib/model/metadata.ts';
import { resolveCluster } from '../../../lib/policy/cluster.ts';
import { evaluate } from '../../../lib/policy/evaluate.ts';
import type { NetpolCase, NetpolProbe, NetpolWorld } from '../../support/netpol-case.ts';
import { storedResource } from '../../support/stored-resource.ts';
import { NetpolBed } from './support/netpol-bed.ts';
import { type RandomChange, randomChange } from './support/random-policies.ts';

const SEED = Number(process.env['TEST_SEED'] ?? 20261125);
const STEPS = Number(process.env['TEST_STEPS'] ?? 40);
const NODE = { name: 'n1', ip: '172.30.0.11' };
const OTHER = { name: 'n2', ip: '172.30.0.12' };
const PORTS = [
  { port: 80, protocol: 'TCP', name: 'http' },
  { port: 8050, protocol: 'TCP' },
  { port: 53, protocol: 'UDP', name: 'dns' },
] as const;
const CASE: NetpolCase = {
  id: 'random',
  title: 'random',
  cluster: {
    podCIDR: '10.80.0.0/24',
    nodes: [NODE, OTHER],
    externals: [{ name: 'stranger', ip: '198.18.9.9', ports: PORTS }],
    namespaces: [{ name: 'red' }, { name: 'blue' }],
    pods: [
      { namespace: 'red', name: 'a', node: 'n1', ip: '10.80.0.2', ports: PORTS },
      { namespace: 'red', name: 'b', node: 'n2', ip: '10.80.0.3', ports: PORTS },
      { namespace: 'blue', name: 'c', node: 'n1', ip: '10.80.0.4', ports: PORTS.slice(1) },
      { namespace: 'blue', name: 'd', node: 'n2', ip: '10.80.0.133', ports: PORTS },
    ],
  },
  steps: [],
};
const SECURITY_TIER: Resource = {
  apiVersion: 'projectcalico.org/v3',
  kind: 'Tier',
  metadata: { name: 'security' },
  spec: { order: 100, defaultAction: 'Deny' },
};
const ENDS = ['red/a', 'red/b', 'blue/c', 'blue/d', 'external:stranger'];
const PROTOCOLS = { TCP: 6, UDP: 17, ICMP: 1 } as const;

function allProbes(world: NetpolWorld, resources: readonly Resource[]): NetpolProbe[] {
  const cluster = resolveCluster(resources);
  return ENDS.flatMap((from) =>
    ENDS.filter((to) => to !== from).flatMap((to) =>
      [...PORTS, { port: undefined, protocol: 'ICMP' as const }].flatMap(
        ({ protocol, port }): NetpolProbe[] => {
          // What nobody serves proves nothing.
          if (to === 'blue/c' && port === 80) return [];
          const [fromAddress, toAddress] = [world.addressOf(from), world.addressOf(to)];
          const ends = { source: fromAddress, destination: toAddress, protocol: PROTOCOLS[protocol] };
          const verdict = evaluate(
            cluster,
            port === undefined
              ? { ...ends, icmp: { type: 8, code: 0 } }
              : { ...ends, sourcePort: 40_000, destinationPort: port },
          );
          return [{ from, to, fromAddress, toAddress, protocol, port, isAllowed: verdict.isAllowed }];
        },
      ),
    ),
  );
}

describe('kernel and evaluator', () => {
  let bed: NetpolBed;
  beforeAll(async () => {
    bed = await NetpolBed.create([NODE, OTHER]);
  });
  afterAll(async () => {
    await bed?.end();
    await bed?.close();
  });

  /** What the two say differently after the world has come to these resources. */
  async function disagreements(
    world: NetpolWorld,
    resources: readonly Resource[],
  ): Promise<readonly string[]> {
    await bed.settleResources(resources);
    const probes = allProbes(world, resources);
    const verdicts = await bed.probe(probes);
    for (const { isAllowed } of probes) seen[isAllowed ? 'allowed' : 'denied']++;
    return probes.flatMap((probe, index) => {
      if (verdicts[index] === (probe.isAllowed ? 'allowed' : 'denied')) return [];
      const { from, to, protocol, port, isAllowed } = probe;
      return [`${from} → ${to} ${protocol} ${port}: ${verdicts[index]}, evaluator says ${isAllowed}`];
    });
  }

  const seen = { allowed: 0, denied: 0 };

  it(`agree after each of ${STEPS} random changes (seed ${SEED})`, async () => {
    const world = await bed.begin(CASE);
    const history = new History();
    for (const [step, change] of fc.sample(randomChange, { seed: SEED, numRuns: STEPS }).entries()) {
      history.apply(change);
      const different = await disagreements(world, history.resources(world));
      const stored = different.length === 0 ? [] : history.stored;
      expect({ step, different, stored }).toEqual({ step, different: [], stored: [] });
      if (step % 20 === 19) for (const host of bed.hosts.values()) host.dataplane.table.replace('test');
    }
    // Both verdicts must have been seen often, or this proves nothing.
    expect(Math.min(seen.denied, seen.allowed)).toBeGreaterThan(STEPS * 5);
  }, 240_000);
});

/** The objects and labels that a row of random changes has led to. */
class History {
  readonly #objects = new Map<string, Resource>();
  readonly #labels = new Map<string, Readonly<Record<string, string>>>();

  apply(change: RandomChange): void {
    const [oldest] = this.#objects.keys();
    if (change.isRemoval && this.#objects.size > 3 && oldest !== undefined) this.#objects.delete(oldest);
    else this.#objects.set(storedResource(change.object).key, change.object);
    const pod = ENDS[change.pod];
    if (pod !== undefined && change.labels !== undefined) this.#labels.set(pod, change.labels);
  }

  get stored(): readonly Resource[] {
    return [...this.#objects.values()];
  }

  resources(world: NetpolWorld): readonly Resource[] {
    const own = world.resources().map((resource) => relabelled(resource, this.#labels));
    return [...own, SECURITY_TIER, ...this.stored];
  }
}

function relabelled(
  resource: Resource,
  labels: ReadonlyMap<string, Readonly<Record<string, string>>>,
): Resource {
  if (resource.kind !== 'WorkloadEndpoint') return resource;
  const { pod } = resource['spec'] as { readonly pod: string };
  const more = labels.get(`${resource.metadata.namespace}/${pod}`);
  if (more === undefined) return resource;
  return {
    ...resource,
    metadata: { ...resource.metadata, labels: { ...resource.metadata.labels, ...more } },
  };
}
