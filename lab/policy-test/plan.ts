// What a policy test asks of a real cluster: the pods that it needs, and those of its questions that a packet between them can
// answer. The rest is named, with the reason.

import type { WorkloadEndpoint } from '../../lib/model/endpoint-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { parseProtocol } from '../../lib/policy/evaluation/host-settings.ts';
import { QuestionError } from '../../lib/policy/question/question-error.ts';
import { parseTraffic, type Traffic } from '../../lib/policy/question/traffic.ts';
import type { ExpandedCase } from '../../lib/policy/test-file/expand.ts';

const TCP = 6;

/** A pod that stands for a workload of the test. */
export interface PlannedPod {
  readonly namespace: string;
  readonly name: string;
  /** The test's name of its node. */
  readonly node: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly serviceAccount: string | undefined;
  readonly ports: readonly { readonly name: string; readonly protocol: string; readonly port: number }[];
  /** TCP ports on which it has to answer, as somebody asks for them. */
  readonly listens: readonly number[];
}

export interface PlannedProbe {
  readonly testCase: ExpandedCase;
  /** `namespace/name`. */
  readonly from: string;
  readonly to: string;
  /** Undefined: an echo request. */
  readonly port: number | undefined;
}

export interface Plan {
  readonly pods: readonly PlannedPod[];
  readonly probes: readonly PlannedProbe[];
  readonly skipped: readonly { readonly testCase: ExpandedCase; readonly reason: string }[];
}

export function planTest(resources: readonly Resource[], cases: readonly ExpandedCase[]): Plan {
  const endpoints = resources.filter(
    (resource): resource is WorkloadEndpoint => resource.kind === 'WorkloadEndpoint',
  );
  const endpointByName = new Map(endpoints.map((endpoint) => [podName(endpoint), endpoint]));
  const probes: PlannedProbe[] = [];
  const skipped: { testCase: ExpandedCase; reason: string }[] = [];
  for (const testCase of cases) {
    const probe = planProbe(testCase, endpointByName);
    if (typeof probe === 'string') skipped.push({ testCase, reason: probe });
    else probes.push(probe);
  }
  const pods = endpoints.map((endpoint): PlannedPod => {
    const asked = probes.filter(({ to }) => to === podName(endpoint)).flatMap(({ port }) => port ?? []);
    return toPod(endpoint, [...new Set(asked)]);
  });
  return { pods, probes, skipped };
}

function podName({ metadata, spec }: WorkloadEndpoint): string {
  return `${metadata.namespace ?? 'default'}/${spec?.pod ?? ''}`;
}

function toPod(endpoint: WorkloadEndpoint, listens: readonly number[]): PlannedPod {
  const { metadata, spec } = endpoint;
  const labels = Object.entries(metadata.labels ?? {}).filter(
    ([label]) => !label.startsWith('projectcalico.org/'),
  );
  return {
    namespace: metadata.namespace ?? 'default',
    name: spec?.pod ?? '',
    node: spec?.node ?? '',
    labels: Object.fromEntries(labels),
    serviceAccount: spec?.serviceAccountName,
    ports: (spec?.ports ?? []).flatMap(({ name, protocol, port }) =>
      name === undefined ? [] : { name, protocol: String(protocol), port },
    ),
    listens,
  };
}

/** The probe, or why there is none. */
function planProbe(
  testCase: ExpandedCase,
  endpointByName: ReadonlyMap<string, WorkloadEndpoint>,
): PlannedProbe | string {
  const from = testCase.from.replace(/^pod\//, '');
  const to = testCase.to.replace(/^pod\//, '');
  const target = endpointByName.get(to);
  if (!endpointByName.has(from) || target === undefined) return 'only workloads are asked, by workloads';
  if (testCase.sourcePort !== undefined) return 'probes choose their own source port';
  const traffic = trafficOf(testCase);
  if (typeof traffic === 'string') return traffic;
  if (traffic.type === 'ping') return { testCase, from, to, port: undefined };
  const port = portNumber(traffic, target);
  return port === undefined ? 'only TCP and ping are asked' : { testCase, from, to, port };
}

/** What a case asks about, or why that is nothing. */
function trafficOf({ port }: ExpandedCase): Traffic | string {
  try {
    return parseTraffic(port);
  } catch (error) {
    if (error instanceof QuestionError) return error.message;
    throw error;
  }
}

/** Undefined for what is no TCP port, and for a name that the workload does not have. */
function portNumber(traffic: Traffic, { spec }: WorkloadEndpoint): number | undefined {
  if (traffic.type === 'port') return traffic.protocol === TCP && traffic.port > 0 ? traffic.port : undefined;
  if (traffic.type !== 'portName' || traffic.protocol !== TCP) return undefined;
  const named = (spec?.ports ?? []).find(
    ({ name, protocol }) => name === traffic.name && parseProtocol(protocol) === TCP,
  );
  return named?.port;
}
