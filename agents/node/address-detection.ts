// The node's own addresses (Calico's node startup, "first-found"): pure choice over what the system reports.

import { canonicalCidr, familyBits, formatIp, parseCidr, parseIp, withoutLength } from '../../lib/net/ip.ts';

/** As os.networkInterfaces() gives them. */
export interface HostInterfaces {
  readonly [name: string]:
    | readonly {
        readonly address: string;
        readonly family: string;
        readonly cidr: string | null;
        readonly internal: boolean;
      }[]
    | undefined;
}

const SKIPPED =
  /^(docker|cbr|dummy|podman|virbr|lxcbr|veth|lo$|br-|cali|tunl|flannel|kube-ipvs|cni|vxlan\.calico|vxlan-v6\.calico|wireguard\.cali|wg-v6\.cali|nodelocaldns)/;

/** `172.30.0.11/24`, the first global address of the first interface that is not skipped; undefined if there is none. */
export function firstFoundAddress(interfaces: HostInterfaces, family: 4 | 6): string | undefined {
  for (const [name, addresses] of Object.entries(interfaces)) {
    if (SKIPPED.test(name)) continue;
    const found = addresses?.find(
      (entry) => entry.family === `IPv${family}` && !entry.internal && !isLinkLocal(entry.address),
    );
    if (found?.cidr != null) return found.cidr;
  }
  return undefined;
}

function isLinkLocal(address: string): boolean {
  return /^(fe[89ab][0-9a-f]:|169\.254\.)/i.test(address);
}

export type AddressChoice =
  | { readonly ok: true; readonly address: string | undefined }
  | { readonly ok: false; readonly reason: string };

/** By a setting: `autodetect`, `none`, or an address that takes the length of the interface that has it. */
export function chooseAddress(setting: string, interfaces: HostInterfaces, family: 4 | 6): AddressChoice {
  if (setting === 'none') return { ok: true, address: undefined };
  if (setting === 'autodetect') {
    const address = firstFoundAddress(interfaces, family);
    return address === undefined
      ? { ok: false, reason: `no IPv${family} address was found on any interface` }
      : { ok: true, address };
  }
  const ip = parseIp(withoutLength(setting));
  if (ip?.family !== family || parseCidr(setting) === undefined)
    return { ok: false, reason: `${JSON.stringify(setting)} is no IPv${family} address` };
  if (setting.includes('/')) return { ok: true, address: setting };
  const text = formatIp(ip);
  const owner = Object.values(interfaces)
    .flatMap((entries) => entries ?? [])
    .find((entry) => entry.address === text);
  return { ok: true, address: owner?.cidr ?? `${text}/${familyBits(family)}` };
}

/** The network of each address, by interface; link-local ones are on every link, and tell nothing. */
export function hostNetworks(
  interfaces: HostInterfaces,
): readonly { readonly interface: string; readonly cidr: string }[] {
  return Object.entries(interfaces).flatMap(([name, addresses = []]) =>
    addresses.flatMap(({ address, cidr, internal }) => {
      const network = cidr === null ? undefined : canonicalCidr(cidr);
      if (network === undefined || internal || isLinkLocal(address)) return [];
      return { interface: name, cidr: network };
    }),
  );
}
