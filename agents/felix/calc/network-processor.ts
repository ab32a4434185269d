// Pools, IPAM blocks and nodes to the graph's inputs (libcalico-go's update processors of them; backend/model block.go).

import { type CalicoNode, type IPPool, isEncapsulating } from '../../../lib/model/endpoint-types.ts';
import {
  type Cidr,
  formatCidr,
  hostCidr,
  type IpAddress,
  parseCidr,
  parseIp,
  withoutLength,
} from '../../../lib/net/ip.ts';
import type {
  BlockInput,
  CalcInput,
  NodeFamilyAddress,
  NodeInput,
  PoolInput,
  TunnelKind,
  VxlanTunnelInput,
  WireguardInput,
} from './inputs.ts';

/** The fields of a stored block that routes are made from. */
export interface BlockValue {
  /** `host:<name>`; others, and none, make no route for the block. */
  readonly affinity?: string | null;
  /** Written by old versions instead of `affinity`. */
  readonly hostAffinity?: string | null;
  /** By ordinal, an index into `attributes`. */
  readonly allocations?: readonly (number | null)[] | null;
  readonly attributes?: readonly { readonly secondary?: Readonly<Record<string, string>> | null }[] | null;
}

export function poolInput(resource: IPPool | undefined): PoolInput | undefined {
  const { cidr: text = '', vxlanMode, ipipMode, natOutgoing } = resource?.spec ?? {};
  const cidr = parseCidr(text);
  if (cidr === undefined) return undefined;
  return {
    cidr,
    encapsulation: isEncapsulating(vxlanMode) ? 'vxlan' : isEncapsulating(ipipMode) ? 'ipip' : 'no-encap',
    isCrossSubnet: vxlanMode === 'CrossSubnet' || ipipMode === 'CrossSubnet',
    natOutgoing: natOutgoing ?? false,
  };
}

/** `cidrText` is the block's own, as its key says. */
export function blockInput(cidrText: string, block: BlockValue): BlockInput | undefined {
  const cidr = parseCidr(cidrText);
  if (cidr === undefined) return undefined;
  const affinity = block.affinity ?? (block.hostAffinity ? `host:${block.hostAffinity}` : '');
  const host = affinity.startsWith('host:') ? affinity.slice('host:'.length) : '';
  const routes = new Map<string, { dst: Cidr; node: string }>();
  for (const [ordinal, index] of (block.allocations ?? []).entries()) {
    const node = index === null ? undefined : block.attributes?.[index]?.secondary?.['node'];
    if (!node || node === host) continue;
    const dst = hostCidr({ family: cidr.family, value: cidr.base + BigInt(ordinal) });
    routes.set(formatCidr(dst), { dst, node });
  }
  // A block of one address is its host's, whoever holds the address.
  if (host !== '') routes.set(formatCidr(cidr), { dst: cidr, node: host });
  return { routes: [...routes.values()] };
}

/** A Node is itself, its labels, its end of VXLAN tunnels, and its end of WireGuard tunnels. */
export function nodeInputs(name: string, resource: CalicoNode | undefined): CalcInput[] {
  return [
    { type: 'node', name, value: resource === undefined ? undefined : nodeInput(resource) },
    { type: 'nodeLabels', name, value: resource && (resource.metadata.labels ?? {}) },
    {
      type: 'vxlanTunnel',
      host: name,
      value: resource === undefined ? undefined : vxlanTunnelInput(resource),
    },
    { type: 'wireguard', host: name, value: resource === undefined ? undefined : wireguardInput(resource) },
  ];
}

export function nodeInput(resource: CalicoNode): NodeInput {
  const { bgp, addresses = [] } = resource.spec ?? {};
  const isBgpAddress = Boolean(bgp?.ipv4Address || bgp?.ipv6Address);
  const find = (family: 4 | 6): NodeFamilyAddress | undefined =>
    isBgpAddress
      ? familyAddress(family === 4 ? bgp?.ipv4Address : bgp?.ipv6Address, family)
      : (findAddress(addresses, 'InternalIP', family) ?? findAddress(addresses, 'ExternalIP', family));
  return {
    ipv4: find(4),
    ipv6: find(6),
    isBgpAddress,
    otherAddresses: addresses.flatMap(({ address }) => parseIp(withoutLength(address)) ?? []),
    tunnels: tunnelsOf(resource),
  };
}

type TypedAddress = { readonly address: string; readonly type?: string };

function findAddress(
  addresses: readonly TypedAddress[],
  type: string,
  family: 4 | 6,
): NodeFamilyAddress | undefined {
  for (const candidate of addresses) {
    const found = candidate.type === type ? familyAddress(candidate.address, family) : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

function familyAddress(text: string | undefined, family: 4 | 6): NodeFamilyAddress | undefined {
  const address = parseIp(withoutLength(text ?? ''));
  const subnet = parseCidr(text ?? '');
  if (text === undefined || address?.family !== family || subnet === undefined) return undefined;
  return { address, subnet, text: text.includes('/') ? text : undefined };
}

function tunnelsOf(resource: CalicoNode): { kind: TunnelKind; address: IpAddress }[] {
  const { bgp, wireguard, ipv4VXLANTunnelAddr, ipv6VXLANTunnelAddr } = resource.spec ?? {};
  const candidates: readonly (readonly [TunnelKind, string | undefined])[] = [
    ['ipip', bgp?.ipv4IPIPTunnelAddr],
    ['vxlan', ipv4VXLANTunnelAddr],
    ['vxlan', ipv6VXLANTunnelAddr],
    ['wireguard', wireguard?.interfaceIPv4Address],
    ['wireguard', wireguard?.interfaceIPv6Address],
  ];
  return candidates.flatMap(([kind, text]) => {
    const address = parseIp(text ?? '');
    return address === undefined ? [] : [{ kind, address }];
  });
}

function vxlanTunnelInput(resource: CalicoNode): VxlanTunnelInput | undefined {
  const spec = resource.spec;
  return definedOrNothing({
    ipv4: spec?.ipv4VXLANTunnelAddr || undefined,
    ipv6: spec?.ipv6VXLANTunnelAddr || undefined,
    mac: spec?.vxlanTunnelMACAddr || undefined,
    macV6: spec?.vxlanTunnelMACAddrV6 || undefined,
  });
}

function wireguardInput(resource: CalicoNode): WireguardInput | undefined {
  return definedOrNothing({
    key: resource.status?.wireguardPublicKey || undefined,
    ipv4: resource.spec?.wireguard?.interfaceIPv4Address || undefined,
    keyV6: resource.status?.wireguardPublicKeyV6 || undefined,
    ipv6: resource.spec?.wireguard?.interfaceIPv6Address || undefined,
  });
}

/** Undefined if none of the fields is set. */
function definedOrNothing<Fields extends object>(fields: Fields): Fields | undefined {
  return Object.values(fields).some((value) => value !== undefined) ? fields : undefined;
}
