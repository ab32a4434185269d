// What a pod or its namespace asks of IPAM and the interface by annotation (Calico's "Per-pod control").

import type { Resource } from '../../lib/model/metadata.ts';
import { CniErrorCode } from '../../lib/protocol/cni.ts';
import { CniFailure } from './failure.ts';

export interface PodRequests {
  readonly pools4: readonly string[] | undefined;
  readonly pools6: readonly string[] | undefined;
  /** `IPv4`, `IPv6` or both; undefined: as the network's configuration says. */
  readonly families: readonly string[] | undefined;
  readonly addresses: readonly string[];
  readonly mac: string | undefined;
}

const PREFIX = 'cni.projectcalico.org/';
const MAC = /^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$/;

/** The pod's annotations win over its namespace's. */
export function podRequests(pod: Resource | undefined, namespace: Resource | undefined): PodRequests {
  const annotations = { ...namespace?.metadata.annotations, ...pod?.metadata.annotations };
  const mac = annotations[`${PREFIX}hwAddr`];
  if (mac !== undefined && !MAC.test(mac))
    throw new CniFailure(
      CniErrorCode.invalidConfiguration,
      `annotation ${PREFIX}hwAddr is no MAC address: ${mac}`,
    );
  for (const unsupported of ['ipAddrsNoIpam', 'floatingIPs', 'allowedSourcePrefixes'])
    if (annotations[PREFIX + unsupported] !== undefined)
      throw new CniFailure(
        CniErrorCode.unsupportedField,
        `annotation ${PREFIX}${unsupported} is not supported`,
      );
  const families = list(annotations, 'ipFamilies');
  if (families?.length === 0 || families?.some((family) => family !== 'IPv4' && family !== 'IPv6') === true)
    throw new CniFailure(
      CniErrorCode.invalidConfiguration,
      `annotation ${PREFIX}ipFamilies names other families than IPv4 and IPv6`,
    );
  return {
    families,
    pools4: list(annotations, 'ipv4pools'),
    pools6: list(annotations, 'ipv6pools'),
    // An address is the pod's own wish; a namespace cannot ask for one.
    addresses: list(pod?.metadata.annotations ?? {}, 'ipAddrs') ?? [],
    mac,
  };
}

function list(annotations: Readonly<Record<string, string>>, name: string): readonly string[] | undefined {
  const text = annotations[PREFIX + name];
  if (text === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (Array.isArray(value) && value.every((entry) => typeof entry === 'string')) return value;
  throw new CniFailure(
    CniErrorCode.invalidConfiguration,
    `annotation ${PREFIX}${name} is not a JSON list of texts: ${text}`,
  );
}
