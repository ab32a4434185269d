// Endpoint status files (Calico's libcalico-go lib/epstatusfile and lib/names): one JSON file for each local endpoint that is
// programmed, by which Calico's own CNI plugin and BGP configuration learn of it.

export interface EndpointStatus {
  readonly ifaceName: string;
  readonly mac?: string;
  readonly ipv4Nets: readonly string[];
  readonly ipv6Nets: readonly string[];
}

/** Orchestrator, workload (`namespace/name`) and endpoint, each escaped as one segment of a URL's path, joined with spaces. */
export function endpointStatusFileName(id: {
  readonly orchestrator: string;
  readonly workload: string;
  readonly endpoint: string;
}): string {
  return [id.orchestrator, id.workload, id.endpoint].map(escapeSegment).join(' ');
}

/** Go's url.PathEscape: of the punctuation `$&+=:@-_.~` stays. */
function escapeSegment(text: string): string {
  return encodeURIComponent(text.toWellFormed())
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(/%(?:24|26|2B|3D|3A|40)/g, decodeURIComponent);
}
