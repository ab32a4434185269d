// Kubernetes Pod → Calico WorkloadEndpoint (libcalico-go backend/k8s/conversion workload_endpoint_default.go): labels,
// profiles, named ports, addresses and the name of the host's end of the veth.

import { createHash } from 'node:crypto';
import type { EndpointPort, WorkloadEndpoint, WorkloadEndpointSpec } from '../model/endpoint-types.ts';
import { CALICO_API_VERSION } from '../model/kinds.ts';
import type { ContainerPort, Pod } from '../model/kubernetes-pod-types.ts';
import { NAMESPACE_LABEL, ORCHESTRATOR_LABEL, SERVICE_ACCOUNT_LABEL } from '../model/label-names.ts';
import { workloadEndpointName } from '../model/workload-endpoint-name.ts';
import { formatCidr, hostCidr, parseCidr, parseIp, withoutLength } from '../net/ip.ts';
import { namespaceProfileName, serviceAccountProfileName } from './profiles.ts';

const ORCHESTRATOR = 'k8s';
const POD_ENDPOINT = 'eth0';
/** Kubernetes' limit on label values; a longer account name is only in the spec. */
const MAX_LABEL_VALUE_LENGTH = 63;
const POD_IPS = 'cni.projectcalico.org/podIPs';
const POD_IP = 'cni.projectcalico.org/podIP';
const AWS_POD_IPS = 'vpc.amazonaws.com/pod-ips';
const CONTAINER_ID = 'cni.projectcalico.org/containerID';
const FLOATING_IPS = 'cni.projectcalico.org/floatingIPs';
const ALLOWED_SOURCE_PREFIXES = 'cni.projectcalico.org/allowedSourcePrefixes';

export type PodConversionProblem =
  | { readonly code: 'hostNetwork' }
  | { readonly code: 'notScheduled' }
  | { readonly code: 'badName'; readonly reason: string }
  | { readonly code: 'badAddress'; readonly text: string }
  | { readonly code: 'badAnnotation'; readonly annotation: string };

export type PodConversion =
  | { readonly ok: true; readonly endpoint: WorkloadEndpoint }
  | { readonly ok: false; readonly problem: PodConversionProblem };

/** What of a pod may change while it runs; each attribute as the endpoint has it. */
export type PodAttributes = Pick<WorkloadEndpointSpec, 'serviceAccountName' | 'profiles' | 'ports'> & {
  labels: Record<string, string>;
};

/** The host's interface of a pod: `cali` and 11 hexadecimal digits. */
export function podInterfaceName(namespace: string, pod: string): string {
  return `cali${createHash('sha1').update(`${namespace}.${pod}`).digest('hex').slice(0, 11)}`;
}

/** The endpoint of a pod that has a node and a network of its own. */
export function convertPod(pod: Pod): PodConversion {
  if (pod.spec?.hostNetwork) return failure({ code: 'hostNetwork' });
  if (!pod.spec?.nodeName) return failure({ code: 'notScheduled' });
  const node = pod.spec.nodeName;
  const { name, namespace = 'default' } = pod.metadata;
  const endpointName = workloadEndpointName({
    node,
    orchestrator: ORCHESTRATOR,
    pod: name,
    endpoint: POD_ENDPOINT,
  });
  if (!endpointName.ok) return failure({ code: 'badName', reason: endpointName.error.message });
  const ips = podIps(pod);
  const ipNetworks = ips.map(addressAsNetwork);
  const bad = ips.find((_ip, index) => ipNetworks[index] === undefined);
  if (bad !== undefined) return failure({ code: 'badAddress', text: bad });
  const extras = annotatedFields(pod);
  if ('code' in extras) return failure(extras);
  const { labels, ...attributes } = podAttributes(pod);
  return {
    ok: true,
    endpoint: {
      kind: 'WorkloadEndpoint',
      apiVersion: CALICO_API_VERSION,
      metadata: { name: endpointName.name, namespace, labels },
      spec: {
        orchestrator: ORCHESTRATOR,
        node,
        pod: name,
        endpoint: POD_ENDPOINT,
        interfaceName: podInterfaceName(namespace, name),
        ipNetworks: ipNetworks.filter((network) => network !== undefined),
        ...attributes,
        ...extras,
      },
    },
  };
}

/** Labels, account, profiles and named ports of the pod's endpoint. */
export function podAttributes(pod: Pod): PodAttributes {
  const { namespace = 'default' } = pod.metadata;
  const account = pod.spec?.serviceAccountName ?? pod.spec?.serviceAccount ?? '';
  const isLabel = account !== '' && account.length < MAX_LABEL_VALUE_LENGTH;
  const ports = podPorts(pod);
  return {
    labels: {
      ...pod.metadata.labels,
      [NAMESPACE_LABEL]: namespace,
      [ORCHESTRATOR_LABEL]: ORCHESTRATOR,
      ...(isLabel ? { [SERVICE_ACCOUNT_LABEL]: account } : {}),
    },
    profiles: [
      namespaceProfileName(namespace),
      ...(account === '' ? [] : [serviceAccountProfileName(namespace, account)]),
    ],
    ...(account === '' ? {} : { serviceAccountName: account }),
    ...(ports.length === 0 ? {} : { ports }),
  };
}

function failure(problem: PodConversionProblem): PodConversion {
  return { ok: false, problem };
}

/** Ports that have a name or are published on the host, of init containers too. */
function podPorts(pod: Pod): EndpointPort[] {
  const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  return containers
    .flatMap((container) => container.ports ?? [])
    .filter((port) => port.name || port.hostPort)
    .map(endpointPort);
}

function endpointPort(port: ContainerPort): EndpointPort {
  return {
    ...(port.name ? { name: port.name } : {}),
    protocol: port.protocol ?? 'TCP',
    port: port.containerPort,
    ...(port.hostPort ? { hostPort: port.hostPort } : {}),
    ...(port.hostIP ? { hostIP: port.hostIP } : {}),
  };
}

/** Status first, then what the CNI plugin noted; none for a pod that has finished, as its addresses may be another's. */
function podIps(pod: Pod): string[] {
  if (isFinished(pod)) return [];
  const status = pod.status?.podIPs?.map(({ ip }) => ip) ?? [];
  if (status.length > 0) return status;
  if (pod.status?.podIP) return [pod.status.podIP];
  for (const annotation of [POD_IPS, POD_IP, AWS_POD_IPS]) {
    const text = pod.metadata.annotations?.[annotation];
    if (text) return text.split(',').map((part) => part.trim());
  }
  return [];
}

function isFinished(pod: Pod): boolean {
  const phase = pod.status?.phase;
  if (phase === 'Failed' || phase === 'Succeeded') return true;
  return pod.metadata.deletionTimestamp !== undefined && pod.metadata.annotations?.[POD_IP] === '';
}

function addressAsNetwork(text: string): string | undefined {
  const ip = parseIp(withoutLength(text));
  return ip === undefined ? undefined : formatCidr(hostCidr(ip));
}

type AnnotatedFields = Pick<WorkloadEndpointSpec, 'containerID' | 'ipNATs' | 'allowSpoofedSourcePrefixes'>;

function annotatedFields(pod: Pod): AnnotatedFields | PodConversionProblem {
  const annotations = pod.metadata.annotations ?? {};
  const floating = parseTexts(annotations[FLOATING_IPS]);
  if (floating === undefined) return { code: 'badAnnotation', annotation: FLOATING_IPS };
  const prefixes = parseTexts(annotations[ALLOWED_SOURCE_PREFIXES]);
  if (prefixes === undefined || prefixes.some((prefix) => parseCidr(prefix) === undefined)) {
    return { code: 'badAnnotation', annotation: ALLOWED_SOURCE_PREFIXES };
  }
  const ipNATs = floatingAddresses(floating, podIps(pod));
  if (ipNATs === undefined) return { code: 'badAnnotation', annotation: FLOATING_IPS };
  const containerID = annotations[CONTAINER_ID];
  return {
    ...(containerID ? { containerID } : {}),
    ...(ipNATs.length === 0 ? {} : { ipNATs }),
    ...(prefixes.length === 0 ? {} : { allowSpoofedSourcePrefixes: prefixes }),
  };
}

/** A floating address leads to the pod's first address of its family; undefined if there is none. */
function floatingAddresses(
  externalIPs: readonly string[],
  ownIPs: readonly string[],
): { internalIP: string; externalIP: string }[] | undefined {
  const pairs = externalIPs.map((externalIP) => {
    const family = parseIp(externalIP)?.family;
    const own = ownIPs.map((text) => withoutLength(text)).find((text) => parseIp(text)?.family === family);
    return family === undefined || own === undefined ? undefined : { internalIP: own, externalIP };
  });
  const complete = pairs.filter((pair) => pair !== undefined);
  return complete.length === pairs.length ? complete : undefined;
}

/** A JSON list of texts; empty where there is no annotation, undefined where it is something else. */
function parseTexts(json: string | undefined): string[] | undefined {
  if (!json) return [];
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string') ? value : undefined;
}
