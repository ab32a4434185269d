// Labels of Kubernetes Nodes → Calico Nodes (kube-controllers' label sync): the set copied last time is kept in an
// annotation, so that labels that users set on the Calico Node stay.

import type { ResourceClient } from '../../../lib/datastore/resource-client.ts';
import { isResourceError } from '../../../lib/datastore/resource-error.ts';
import type { CalicoNode } from '../../../lib/model/endpoint-types.ts';
import { isSameJson } from '../../../lib/model/json-equality.ts';
import type { Resource } from '../../../lib/model/metadata.ts';

const COPIED_ANNOTATION = 'projectcalico.org/kube-labels';

/** The Calico Node's labels after copying; what was copied before and is gone is removed. */
export function mergeNodeLabels(
  current: CalicoNode,
  kubernetes: Readonly<Record<string, string>>,
): CalicoNode {
  const before = copiedBefore(current);
  const own = Object.entries(current.metadata.labels ?? {}).filter(
    ([label, value]) => before[label] !== value,
  );
  const labels = { ...Object.fromEntries(own), ...kubernetes };
  const annotations = { ...current.metadata.annotations, [COPIED_ANNOTATION]: JSON.stringify(kubernetes) };
  return { ...current, metadata: { ...current.metadata, labels, annotations } };
}

function copiedBefore(node: CalicoNode): Readonly<Record<string, string>> {
  try {
    return JSON.parse(node.metadata.annotations?.[COPIED_ANNOTATION] ?? '{}') as Record<string, string>;
  } catch {
    return {};
  }
}

/** True if it was written. A node whose agent has not registered it yet has no Calico Node. */
export async function followNode(
  client: ResourceClient,
  node: Resource,
  signal: AbortSignal,
): Promise<boolean> {
  let current: CalicoNode;
  try {
    current = await client.get<CalicoNode>({ kind: 'Node', name: node.metadata.name }, signal);
  } catch (error) {
    if (isResourceError(error, 'doesNotExist')) return false;
    throw error;
  }
  const wanted = mergeNodeLabels(current, node.metadata.labels ?? {});
  if (isSameJson(wanted, current)) return false;
  await client.update(wanted, signal);
  return true;
}
