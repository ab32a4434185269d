// A policy test with real packets: its workloads as pods, its policies through the API and calicoctl, and its questions as TCP
// connections and echo requests between the pods. First everything is asked without the policies: what is not answered then
// proves nothing later.

import { storedClusterPolicyName } from '../../lib/conversion/cluster-network-policy.ts';
import { storedPolicyName } from '../../lib/conversion/network-policy.ts';
import { CLUSTER_POLICY_GROUP } from '../../lib/model/cluster-network-policy-types.ts';
import { keyForResource } from '../../lib/model/keys.ts';
import { CALICO_API_VERSION } from '../../lib/model/kinds.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { expandCases } from '../../lib/policy/test-file/expand.ts';
import { testResources } from '../../lib/policy/test-file/resources.ts';
import type { TestResult } from '../../lib/policy/test-file/run.ts';
import type { TestFile } from '../../lib/policy/test-file/schema.ts';
import { untilProgrammed } from '../story/node-view.ts';
import { SceneError } from '../story/scene-error.ts';
import type { Stage } from '../story/stage.ts';
import { type Plan, type PlannedPod, type PlannedProbe, planTest } from './plan.ts';

export interface LabTest {
  readonly file: TestFile;
  /** Objects of the files that it names, and its own. */
  readonly objects: readonly Resource[];
}

const LABEL = 'calico-ts.dev/policy-test';
const READY_TIMEOUT = '60s';
const PROBE_SECONDS = 2;
const DELETE_TIMEOUT = '60s';

/** Leaves nothing of itself in the cluster. Throws SceneError where it could not be asked at all. */
export async function runOnCluster(stage: Stage, { file, objects }: LabTest): Promise<TestResult[]> {
  const { cases, unreadable } = expandCases(file);
  const { resources } = testResources(file.cluster ?? {}, objects);
  const plan = planTest(resources, cases);
  const claims = (file.never ?? []).map(
    (claim, index): TestResult => ({
      name: claim.name ?? `never ${index + 1}`,
      path: `never[${index}]`,
      ok: true,
      skipped: 'claims are searched by the evaluator alone',
    }),
  );
  const world = new PodWorld(stage, plan, file, objects);
  try {
    await world.create();
    const control = await world.probe();
    await world.applyPolicies();
    const answered = await world.probe();
    return [
      ...plan.probes.map((probe) => judge(probe, control, answered)),
      ...plan.skipped.map(({ testCase: { name, path }, reason }) => ({
        name,
        path,
        ok: true,
        skipped: reason,
      })),
      ...unreadable.map((matrix) => ({ ...matrix, ok: false })),
      ...claims,
    ];
  } finally {
    await world.remove();
  }
}

function judge(
  probe: PlannedProbe,
  control: ReadonlySet<PlannedProbe>,
  answered: ReadonlySet<PlannedProbe>,
): TestResult {
  const { name, path, expect } = probe.testCase;
  if (!control.has(probe))
    return {
      name,
      path,
      ok: false,
      message: 'nobody answers even without the policies: nothing can be said',
    };
  const verdict = answered.has(probe) ? 'allow' : 'deny';
  if (verdict === expect) return { name, path, ok: true };
  const seen = verdict === 'allow' ? 'it was answered' : `nothing came back within ${PROBE_SECONDS} s`;
  return { name, path, ok: false, message: `expected ${expect}, but ${seen}` };
}

/** The pods and policies of a test in a cluster. */
class PodWorld {
  readonly #stage: Stage;
  readonly #plan: Plan;
  readonly #namespaces: ReadonlyMap<string, Readonly<Record<string, string>>>;
  readonly #calico: readonly Resource[];
  readonly #kubernetes: readonly Resource[];
  readonly #clusterPolicies: readonly Resource[];
  #addresses: ReadonlyMap<string, string> = new Map();
  #hasPolicies = false;
  #hasNamespaces = false;

  constructor(stage: Stage, plan: Plan, file: TestFile, objects: readonly Resource[]) {
    this.#stage = stage;
    this.#plan = plan;
    const given = objects.filter(({ apiVersion, kind }) => apiVersion === 'v1' && kind === 'Namespace');
    this.#namespaces = new Map([
      ...plan.pods.map(({ namespace }) => [namespace, {}] as const),
      ...Object.entries(file.cluster?.namespaces ?? {}).map(
        ([name, labels]) => [name, labels ?? {}] as const,
      ),
      ...given.map(({ metadata }) => [metadata.name, metadata.labels ?? {}] as const),
    ]);
    this.#calico = objects.filter(({ apiVersion }) => apiVersion === CALICO_API_VERSION);
    this.#kubernetes = objects.filter(
      ({ kind, apiVersion }) => kind === 'NetworkPolicy' && apiVersion.startsWith('networking.k8s.io/'),
    );
    this.#clusterPolicies = objects.filter(
      ({ kind, apiVersion }) =>
        kind === 'ClusterNetworkPolicy' && apiVersion.startsWith(`${CLUSTER_POLICY_GROUP}/`),
    );
  }

  async create(): Promise<void> {
    const present = await this.#stage.kubectl(['get', 'namespaces', '-o', 'name']);
    const taken = [...this.#namespaces.keys()].filter((name) =>
      present.split('\n').includes(`namespace/${name}`),
    );
    if (taken.length > 0)
      throw new SceneError({
        code: 'checkFailed',
        what: 'the namespaces of the test are free',
        found: taken.join(', '),
      });
    this.#hasNamespaces = true;
    const hosts = await this.#stage.cluster.hosts();
    const nodeNames = [...new Set(this.#plan.pods.map(({ node }) => node))];
    // The test's nodes are those of the cluster in turn, whatever they are called.
    const hostOf = (node: string): string =>
      hosts.find(({ name }) => name === node)?.name ??
      hosts[nodeNames.indexOf(node) % Math.max(1, hosts.length)]?.name ??
      node;
    const accounts = this.#plan.pods.flatMap(({ namespace, serviceAccount }) =>
      serviceAccount === undefined
        ? []
        : { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: serviceAccount, namespace } },
    );
    await this.#stage.apply([
      ...[...this.#namespaces].map(([name, labels]) => namespaceObject(name, labels)),
      ...accounts,
    ]);
    await this.#stage.apply(this.#plan.pods.map((pod) => podObject(pod, hostOf(pod.node))));
    for (const namespace of new Set(this.#plan.pods.map((pod) => pod.namespace))) {
      const args = ['--for=condition=Ready', `--timeout=${READY_TIMEOUT}`, '--all', 'pods'];
      await this.#stage.kubectl(['wait', '-n', namespace, ...args]);
    }
    this.#addresses = await this.#podAddresses();
  }

  async #podAddresses(): Promise<ReadonlyMap<string, string>> {
    const text = await this.#stage.kubectl(['get', 'pods', '-A', '-l', `${LABEL}=true`, '-o', 'json']);
    const { items } = JSON.parse(text) as { readonly items: readonly PodAnswer[] };
    return new Map(
      items.map(({ metadata, status }) => [`${metadata.namespace}/${metadata.name}`, status?.podIP ?? '']),
    );
  }

  /** Returns when every node's kernel has them. */
  async applyPolicies(): Promise<void> {
    this.#hasPolicies = true;
    if (this.#calico.length > 0) await this.#calicoctl(['create', '-f', '-'], this.#calico);
    const mirrored = [...this.#kubernetes, ...this.#clusterPolicies];
    if (mirrored.length > 0) await this.#stage.apply(mirrored);
    for (const key of mirrored.map(mirrorKey)) {
      await this.#stage.eventually(
        `${key} is in etcd`,
        () => this.#stage.etcd(key),
        (entries) => entries.length > 0,
      );
    }
    const nodes = (await this.#stage.cluster.hosts()).map(({ name }) => name);
    await untilProgrammed(this.#stage, nodes, await this.#stage.etcdRevision());
  }

  async #calicoctl(args: readonly string[], objects: readonly Resource[]): Promise<void> {
    const input = JSON.stringify(objects);
    const { code, stdout, stderr } = await this.#stage.cluster.calicoctl(args, { input });
    if (code !== 0)
      throw new SceneError({
        code: 'commandFailed',
        command: `calicoctl ${args.join(' ')}`,
        output: `${stdout}${stderr}`,
      });
  }

  /** Those probes that are answered. */
  async probe(): Promise<ReadonlySet<PlannedProbe>> {
    const bySource = Map.groupBy(this.#plan.probes, ({ from }) => from);
    const answered = await Promise.all([...bySource].map(([from, probes]) => this.#probeFrom(from, probes)));
    return new Set(answered.flat());
  }

  async #probeFrom(from: string, probes: readonly PlannedProbe[]): Promise<PlannedProbe[]> {
    const [namespace = '', name = ''] = from.split('/');
    const commands = probes.map(({ to, port }, index) => {
      const address = this.#addresses.get(to) ?? '';
      const what = port === undefined ? `ping ${address} 0` : `tcp ${address} ${port}`;
      // Side by side: a denied one costs its whole time.
      return `(probe connect ${what} ${PROBE_SECONDS} >/dev/null && echo answered ${index}) &`;
    });
    const script = `${commands.join('\n')}\nwait`;
    const output = await this.#stage.kubectl(['exec', '-n', namespace, name, '--', 'sh', '-c', script]);
    const indexes = new Set([...output.matchAll(/^answered (\d+)$/gm)].map(([, index]) => Number(index)));
    return probes.filter((_probe, index) => indexes.has(index));
  }

  /** What is left where this fails, a later run says: its namespaces are taken then. */
  async remove(): Promise<void> {
    // A tier goes after its policies.
    if (this.#hasPolicies && this.#calico.length > 0)
      await this.#calicoctl(['delete', '-s', '-f', '-'], this.#calico.toReversed());
    if (this.#hasPolicies && this.#clusterPolicies.length > 0) await this.#removeClusterPolicies();
    if (!this.#hasNamespaces) return;
    const args = ['-l', `${LABEL}=true`, '--ignore-not-found', '--wait', `--timeout=${DELETE_TIMEOUT}`];
    await this.#stage.kubectl(['delete', 'namespaces', ...args]);
  }

  /** They are in no namespace, and their mirrors go after them. */
  async #removeClusterPolicies(): Promise<void> {
    const names = this.#clusterPolicies.map(({ metadata }) => metadata.name);
    const resource = `clusternetworkpolicies.${CLUSTER_POLICY_GROUP}`;
    await this.#stage.kubectl(['delete', resource, ...names, '--ignore-not-found']);
    for (const key of this.#clusterPolicies.map(mirrorKey)) {
      await this.#stage.eventually(
        `${key} is gone from etcd`,
        () => this.#stage.etcd(key),
        (entries) => entries.length === 0,
      );
    }
  }
}

/** Where the plugin stores what it makes of one of Kubernetes' policies. */
function mirrorKey({ kind, metadata }: Resource): string {
  return kind === 'ClusterNetworkPolicy'
    ? keyForResource('GlobalNetworkPolicy', undefined, storedClusterPolicyName(metadata.name))
    : keyForResource('NetworkPolicy', metadata.namespace ?? 'default', storedPolicyName(metadata.name));
}

interface PodAnswer {
  readonly metadata: { readonly namespace: string; readonly name: string };
  readonly status?: { readonly podIP?: string };
}

function namespaceObject(name: string, labels: Readonly<Record<string, string>>): object {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: { ...labels, [LABEL]: 'true' } } };
}

function podObject(pod: PlannedPod, host: string): object {
  const { namespace, name, labels, serviceAccount, ports, listens } = pod;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { ...labels, [LABEL]: 'true' } },
    spec: {
      nodeSelector: { 'kubernetes.io/hostname': host },
      terminationGracePeriodSeconds: 1,
      ...(serviceAccount === undefined ? {} : { serviceAccountName: serviceAccount }),
      containers: [
        {
          name: 'probe',
          image: 'probe',
          // Its web server has a port that nobody asks for.
          env: [
            { name: 'PROBE_TCP_PORTS', value: listens.join(' ') },
            { name: 'PROBE_HTTP_PORT', value: String(freePort(listens)) },
          ],
          ports: ports.map(({ name: portName, protocol, port }) => ({
            name: portName,
            protocol,
            containerPort: port,
          })),
        },
      ],
    },
  };
}

function freePort(taken: readonly number[]): number {
  return [18_080, 18_081, 18_082].find((port) => !taken.includes(port)) ?? 18_083;
}
