// The sets and maps that are not of rules: endpoints, groups, addresses, counts (docs/dataplane.md "Packet path").

import { FAMILIES, type Family } from '../../../../lib/net/ip.ts';
import type { Direction } from '../../../../lib/policy/compiled.ts';
import { DISPATCH_COPIES } from './dispatch.ts';
import type { Numbering } from './numbering.ts';
import type { Scratch } from './scratch.ts';
import { commentClause, type DispatchCopy, type NftSet, type NftTable, type SetDefinition } from './table.ts';

const address = (family: Family): string => (family === 4 ? 'ipv4_addr' : 'ipv6_addr');

/** A plain set, but for what `more` says. */
function definition(
  numbering: Numbering,
  name: string,
  declaration: string,
  more: Partial<SetDefinition> = {},
): SetDefinition {
  return {
    name: numbering.name(name),
    kind: 'set',
    declaration,
    role: 'plain',
    isInterval: false,
    isKeyed: false,
    onlyAllows: true,
    ...more,
  };
}

/** Where scratch is not the mark: from each id that allows to itself, as a mark. */
export const IDS_MAP = 'ids';
const IDS_DECLARATION = 'type classid : mark; comment "what allows, as the mark of its flows";';

/** Sets that are there from the first load on. */
export function fixedSets(numbering: Numbering): readonly SetDefinition[] {
  const set = (name: string, declaration: string, more?: Partial<SetDefinition>): SetDefinition =>
    definition(numbering, name, declaration, more);
  const map = { kind: 'map' } as const;
  const { type, form } = numbering.scratch;
  const group = { ...map, role: 'group' } as const;
  const endpoints = DISPATCH_COPIES.flatMap((copy) =>
    (['egress', 'ingress'] as const).map((direction) => {
      const groups = numbering.name(direction === 'egress' ? 'grp_e' : 'grp_i');
      return set(
        endpointMapName(direction, copy),
        `type ifname : ${type}; comment "interface to ${direction} group, copy ${copy}";`,
        { ...map, role: 'endpoint', dispatch: { copy, groups } },
      );
    }),
  );
  return [
    ...endpoints,
    set('bgp', 'type ifname; comment "workloads that peer with this host";'),
    ...(form === 'mark' ? [] : [set(IDS_MAP, IDS_DECLARATION, { ...map, role: 'ids' })]),
    set('grp_e', `type ${type} : verdict; comment "egress group to its chain";`, group),
    set('grp_i', `type ${type} : verdict; comment "ingress group to its chain";`, group),
    ...FAMILIES.flatMap((family) => [
      set(`src${family}`, `type ifname . ${address(family)}; comment "workloads' own addresses";`),
      set(`own${family}`, `type ${address(family)}; comment "this host's workloads";`, { role: 'own' }),
      set(`nodes${family}`, `type ${address(family)}; comment "BGP addresses of nodes";`),
      set(`hosts${family}`, `type ${address(family)}; comment "all addresses of nodes";`),
      ...countingSets('dlog', family, type).map(({ name, fields }) =>
        set(name, `type ${fields}; ${COUNTING} comment "what was denied";`),
      ),
    ]),
  ];
}

/** Without its epoch, as `fixedSet` takes it. */
export function endpointMapName(direction: Direction, copy: DispatchCopy): string {
  return `ep_${direction === 'egress' ? 'e' : 'i'}_${copy}`;
}

/** One of those, as it is in the table. Throws where it is missing: a bug. */
export function fixedSet(table: NftTable, numbering: Numbering, base: string): NftSet {
  const set = table.sets.get(numbering.name(base));
  if (set === undefined) throw new Error(`the fixed set ${base} is missing`);
  return set;
}

export type OptionalSetName = 'spoof' | 'pools' | 'masq' | 'vteps' | 'ext';

/** Sets that are made when something asks for them. */
export function optionalSet(numbering: Numbering, name: OptionalSetName, family: Family): SetDefinition {
  const type = name === 'spoof' ? `ifname . ${address(family)}` : address(family);
  const comment = {
    spoof: 'sources allowed besides',
    pools: 'IP pools',
    masq: 'pools with NAT outgoing',
    vteps: 'other ends of VXLAN',
    ext: 'networks that tunnels are taken from besides',
  }[name];
  // Nodes' addresses are neighbours of one another, and come and go one by one: no task for intervals.
  const isInterval = name !== 'vteps';
  const declaration = `type ${type};${isInterval ? ' flags interval;' : ''} ${commentClause(comment)}`;
  return definition(numbering, `${name}${family}`, declaration, { isInterval });
}

/** Sets that count starts of allowed flows; there only while somebody asks for them. */
export function allowedSets(numbering: Numbering): readonly SetDefinition[] {
  return FAMILIES.flatMap((family) =>
    countingSets('alog', family, numbering.scratch.type).map(({ name, fields }) =>
      definition(numbering, name, `type ${fields}; ${COUNTING} comment "flows that began";`),
    ),
  );
}

/** An element stays long enough for an agent that starts anew to see it. */
const COUNTING = 'size 65536; flags dynamic,timeout; timeout 60s;';

/**
 * With both ports, the protocol being in scratch's upper bits, as nft keeps five fields of a key at most; and, for protocols
 * without ports, with the first two octets behind the IP header: type and code of ICMP (its `dport` would be a checksum, an
 * element per packet).
 */
function countingSets(
  base: 'dlog' | 'alog',
  family: Family,
  type: Scratch['type'],
): readonly { readonly name: string; readonly fields: string }[] {
  const pair = `${type} . ${address(family)} . ${address(family)}`;
  return [
    { name: `${base}${family}`, fields: `${pair} . inet_service . inet_service` },
    { name: `${base}p${family}`, fields: `${pair} . inet_proto . inet_service` },
  ];
}
