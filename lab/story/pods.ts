// Makes the story's namespaces and pods, and asks from within a pod who answers at an address.

import type { PodRef, Stage } from './stage.ts';

/** Marks everything that the story makes. */
const STORY_LABEL = { 'calico-ts.dev/story': 'true' } as const;
const READY_TIMEOUT = '60s';

export interface PodSpec {
  readonly namespace: string;
  readonly name: string;
  /** Asked of the scheduler with a node selector. */
  readonly node: string;
  /** Beside `app`, which is the pod's name if not given here. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** `probe` (answers HTTP on port 80 with its name) when not given. */
  readonly image?: string;
  readonly command?: readonly string[];
}

export function namespaceObject(name: string): object {
  return { apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels: STORY_LABEL } };
}

/** The pod as it is given to the API; `runPods` waits for it as well. */
export function podObject(spec: PodSpec): object {
  const { namespace, name, node, labels, annotations, image = 'probe', command } = spec;
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace,
      labels: { ...STORY_LABEL, app: name, ...labels },
      ...(annotations === undefined ? {} : { annotations }),
    },
    spec: {
      nodeSelector: { 'kubernetes.io/hostname': node },
      terminationGracePeriodSeconds: 1,
      containers: [{ name, image, ...(command === undefined ? {} : { command }) }],
    },
  };
}

interface PodList {
  readonly items: readonly {
    readonly metadata: { readonly namespace: string; readonly name: string };
    readonly spec: { readonly nodeName?: string };
    readonly status?: { readonly podIP?: string };
  }[];
}

/** Creates the pods and waits until all are ready. They are found by name on the stage afterwards. */
export async function runPods(stage: Stage, specs: readonly PodSpec[]): Promise<readonly PodRef[]> {
  await stage.apply(specs.map(podObject));
  const namespaces = new Set(specs.map(({ namespace }) => namespace));
  for (const namespace of namespaces) {
    const names = specs.filter((spec) => spec.namespace === namespace).map(({ name }) => `pod/${name}`);
    await stage.kubectl([
      'wait',
      ...['-n', namespace, '--for=condition=Ready', `--timeout=${READY_TIMEOUT}`],
      ...names,
    ]);
  }
  const list = JSON.parse(
    await stage.kubectl(['get', 'pods', '-A', '-l', 'calico-ts.dev/story=true', '-o', 'json']),
  ) as PodList;
  for (const { metadata, spec, status } of list.items) {
    const pod = { ...metadata, node: spec.nodeName ?? '', ip: status?.podIP ?? '' };
    stage.pods.set(`${metadata.namespace}/${metadata.name}`, {
      namespace: pod.namespace,
      name: pod.name,
      node: pod.node,
      ip: pod.ip,
    });
  }
  return specs.map((spec) => {
    const pod = stage.pod(spec.namespace, spec.name);
    const where = `${pod.namespace}/${pod.name} runs on ${spec.node}, with an address`;
    stage.check(pod.node === spec.node && pod.ip !== '', where, JSON.stringify(pod));
    return pod;
  });
}

/** Everything that an earlier telling left. */
export async function clearPods(stage: Stage): Promise<void> {
  await stage.kubectl([
    ...['delete', 'namespaces', '-l', 'calico-ts.dev/story=true'],
    ...['--ignore-not-found', '--wait', '--timeout=60s'],
  ]);
  stage.pods.clear();
}

/**
 * Asks each target over HTTP from within `from`: by target's `namespace/name`, the name that answered, or undefined where
 * nobody did within a second.
 */
export async function askFrom(
  stage: Stage,
  from: PodRef,
  targets: readonly PodRef[],
): Promise<ReadonlyMap<string, string | undefined>> {
  const script = targets.map(
    // Side by side: a denied one costs its whole second.
    ({ ip }) => `(echo "${ip} $(timeout 1 wget -q -O - http://${ip}/ 2>/dev/null)") &`,
  );
  const command = `${script.join('\n')}\nwait`;
  const output = await stage.kubectl(['exec', '-n', from.namespace, from.name, '--', 'sh', '-c', command]);
  const nameByIp = new Map(
    output.split('\n').map((line): [string, string | undefined] => {
      const [ip = '', name] = line.trim().split(' ');
      return [ip, name === '' ? undefined : name];
    }),
  );
  return new Map(targets.map(({ namespace, name, ip }) => [`${namespace}/${name}`, nameByIp.get(ip)]));
}

/** True if the target itself answered. */
export async function reaches(stage: Stage, from: PodRef, target: PodRef): Promise<boolean> {
  const answers = await askFrom(stage, from, [target]);
  return answers.get(`${target.namespace}/${target.name}`) === target.name;
}
