// What the end-to-end tests ask of kubectl, and the pods that they make.
import type { Cluster } from '../../../scripts/cluster.ts';

interface NodeList {
  readonly items: readonly {
    readonly metadata: { readonly name: string; readonly uid: string };
    readonly status: {
      readonly addresses?: readonly { readonly type: string; readonly address: string }[];
      readonly conditions?: readonly { readonly type: string; readonly status: string }[];
    };
  }[];
}

async function nodes(cluster: Cluster): Promise<NodeList['items']> {
  return (JSON.parse(await cluster.kubectl('get', 'nodes', '-o', 'json')) as NodeList).items;
}

export async function readyNodes(cluster: Cluster): Promise<readonly string[]> {
  const ready = (await nodes(cluster)).filter(({ status }) =>
    status.conditions?.some((each) => each.type === 'Ready' && each.status === 'True'),
  );
  return ready.map(({ metadata }) => metadata.name).toSorted();
}

/** A Node made anew under the same name has another. */
export async function uidsOfNodes(cluster: Cluster): Promise<Readonly<Record<string, string>>> {
  return Object.fromEntries((await nodes(cluster)).map(({ metadata: { name, uid } }) => [name, uid]));
}

export async function addressesByNode(
  cluster: Cluster,
): Promise<Readonly<Record<string, string | undefined>>> {
  const pairs = (await nodes(cluster)).map(({ metadata, status }) => [
    metadata.name,
    status.addresses?.find(({ type }) => type === 'InternalIP')?.address,
  ]);
  return Object.fromEntries(pairs) as Record<string, string | undefined>;
}

/** Empty while it has none. */
export async function podAddress(cluster: Cluster, name: string): Promise<string> {
  return await cluster.kubectl('get', 'pod', name, '-o', 'jsonpath={.status.podIP}');
}

/** A pod bound to a node, labelled with its own name; serves TCP 8080 unless told otherwise. */
export function podOn(name: string, node: string, image = 'probe', command?: readonly string[]): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default', labels: { name } },
    spec: {
      nodeName: node,
      terminationGracePeriodSeconds: 0,
      containers: [{ name: 'main', image, ...(command === undefined ? {} : { command }) }],
    },
  };
}
