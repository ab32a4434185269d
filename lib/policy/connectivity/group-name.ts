// What workloads are called together: by namespace and by the label that says what they are, else by the owner's name that
// their own begin with.

/** Labels that say what a workload is, the most telling first. */
const TELLING = ['app.kubernetes.io/name', 'app', 'k8s-app', 'name', 'role', 'component', 'tier'] as const;
/** What a ReplicaSet, Job or StatefulSet puts behind its owner's name. */
const SUFFIX = /(-[a-f0-9]{8,10})?(-[a-z0-9]{5}|-\d+)$/;

/** `shop/app=web`, or `shop/web-*` where no label tells. `workload` is `namespace/name`. */
export function groupName(workload: string, labels: Readonly<Record<string, string>>): string {
  const slash = workload.indexOf('/');
  const namespace = workload.slice(0, slash);
  const name = workload.slice(slash + 1);
  const telling = TELLING.find((label) => Object.hasOwn(labels, label));
  if (telling !== undefined) return `${namespace}/${telling}=${labels[telling] ?? ''}`;
  const owner = name.replace(SUFFIX, '');
  return owner === name || owner === '' ? workload : `${namespace}/${owner}-*`;
}
