// A container's environment and mounts from the pod's specification (pure). What cannot be given is said, not left out.

import type { Container, Pod } from '../../../lib/model/kubernetes-pod-types.ts';
import type { Mount } from '../runtime/container-runtime.ts';

export interface EnvironmentContext {
  readonly nodeName: string;
  readonly hostIp: string;
  readonly podIps: readonly string[];
}

export type Specified<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string };

/** Variables in the order of the specification; `$(NAME)` stands for one said before. */
export function containerEnvironment(
  pod: Pod,
  container: Container,
  context: EnvironmentContext,
): Specified<readonly (readonly [string, string])[]> {
  const values = new Map<string, string>([['HOSTNAME', podHostname(pod)]]);
  for (const { name, value, valueFrom } of container.env ?? []) {
    if (valueFrom === undefined) {
      values.set(name, expand(value ?? '', values));
      continue;
    }
    const path = valueFrom.fieldRef?.fieldPath;
    const found = path === undefined ? undefined : podField(pod, path, context);
    if (found === undefined) {
      const what = path === undefined ? 'a source other than fieldRef' : `field ${path}`;
      return { ok: false, problem: `environment variable ${name}: ${what} is not supported` };
    }
    values.set(name, found);
  }
  return { ok: true, value: [...values] };
}

export function podHostname(pod: Pod): string {
  return (pod.spec?.hostname ?? pod.metadata.name).slice(0, 63);
}

/** `$(NAME)` is replaced where NAME is known, `$$` is one `$`. */
export function expand(text: string, values: ReadonlyMap<string, string>): string {
  return text.replaceAll(/\$\$|\$\(([A-Za-z_][\w.-]*)\)/g, (all, name: string | undefined) =>
    name === undefined ? '$' : (values.get(name) ?? all),
  );
}

function podField(pod: Pod, path: string, context: EnvironmentContext): string | undefined {
  const { metadata, spec } = pod;
  const map = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path);
  if (map !== null) return metadata[map[1] as 'labels' | 'annotations']?.[map[2] ?? ''] ?? '';
  switch (path) {
    case 'metadata.name':
      return metadata.name;
    case 'metadata.namespace':
      return metadata.namespace ?? '';
    case 'metadata.uid':
      return metadata.uid ?? '';
    case 'spec.nodeName':
      return context.nodeName;
    case 'spec.serviceAccountName':
      return spec?.serviceAccountName ?? 'default';
    case 'status.hostIP':
      return context.hostIp;
    case 'status.podIP':
      return context.podIps[0] ?? '';
    case 'status.podIPs':
      return context.podIps.join(',');
    default:
      return undefined;
  }
}

const VOLUME_NAME = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** Only `emptyDir` volumes are known; `folderOf` names the folder of one. */
export function containerMounts(
  pod: Pod,
  container: Container,
  folderOf: (volume: string) => string,
): Specified<readonly Mount[]> {
  const volumes = new Map((pod.spec?.volumes ?? []).map((volume) => [String(volume['name']), volume]));
  const mounts: Mount[] = [];
  // The name becomes a folder's.
  const badName = [...volumes.keys()].find((name) => !VOLUME_NAME.test(name));
  if (badName !== undefined)
    return { ok: false, problem: `volume ${JSON.stringify(badName)}: not a DNS label` };
  for (const { name, mountPath, readOnly, subPath } of container.volumeMounts ?? []) {
    const volume = volumes.get(name);
    if (volume?.['emptyDir'] === undefined)
      return { ok: false, problem: `volume ${name}: only emptyDir volumes are supported` };
    if (subPath !== undefined && subPath !== '')
      return { ok: false, problem: `volume ${name}: subPath is not supported` };
    if (!mountPath.startsWith('/') || /[\t\n]|(^|\/)\.\.(\/|$)/.test(mountPath))
      return { ok: false, problem: `volume ${name}: mountPath ${JSON.stringify(mountPath)} is invalid` };
    mounts.push({ volume: name, source: folderOf(name), target: mountPath, readOnly: readOnly === true });
  }
  return { ok: true, value: mounts };
}
