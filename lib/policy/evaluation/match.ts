// Whether a compiled rule matches a packet, and if not, on which criterion it fails first (docs/policy.md "Matching").

import { cidrContains, type IpAddress, parseCidr } from '../../net/ip.ts';
import type {
  CompiledEntity,
  CompiledRule,
  IdentityId,
  NamedPort,
  PortRange,
  SelectorId,
} from '../compiled.ts';
import { isServiceSelector } from '../services.ts';
import type { PacketEnd, PacketView } from './packet.ts';

type EntityCriterion = 'nets' | 'notNets' | 'selector' | 'notSelector' | 'services' | 'ports' | 'notPorts';
/** The part of a rule that a packet does not fit. */
export type Criterion =
  | 'ipVersion'
  | 'protocol'
  | 'notProtocol'
  | 'icmp'
  | 'notIcmp'
  | `${'source' | 'destination'}.${EntityCriterion}`;

/** The identities that a selector matches. */
export type SelectorLookup = (selector: SelectorId) => ReadonlySet<IdentityId>;

/** ICMP's protocol number in each family; types and codes of a rule are read in the packet's. */
const ICMP_PROTOCOL = { 4: 1, 6: 58 } as const;

/** Undefined if the rule matches. */
export function firstMismatch(
  rule: CompiledRule,
  packet: PacketView,
  identitiesOf: SelectorLookup,
): Criterion | undefined {
  const header = headerMismatch(rule, packet);
  if (header !== undefined) return header;
  const source = entityMismatch(rule.source, packet.source, packet.protocol, identitiesOf);
  if (source !== undefined) return `source.${source}`;
  const destination = entityMismatch(rule.destination, packet.destination, packet.protocol, identitiesOf);
  return destination === undefined ? undefined : `destination.${destination}`;
}

function headerMismatch(rule: CompiledRule, packet: PacketView): Criterion | undefined {
  if (rule.ipVersion !== undefined && rule.ipVersion !== packet.family) return 'ipVersion';
  if (rule.protocol !== undefined && rule.protocol !== packet.protocol) return 'protocol';
  if (rule.notProtocol !== undefined && rule.notProtocol === packet.protocol) return 'notProtocol';
  if (rule.icmp !== undefined && !matchesIcmp(rule.icmp, packet)) return 'icmp';
  // As the kernel has it, a negated type still asks for an ICMP packet.
  if (rule.notIcmp !== undefined && (!isIcmp(packet) || matchesIcmp(rule.notIcmp, packet))) return 'notIcmp';
  return undefined;
}

function isIcmp(packet: PacketView): boolean {
  return packet.protocol === ICMP_PROTOCOL[packet.family];
}

function matchesIcmp(icmp: NonNullable<CompiledRule['icmp']>, packet: PacketView): boolean {
  if (!isIcmp(packet) || packet.icmp === undefined) return false;
  return icmp.type === packet.icmp.type && (icmp.code === undefined || icmp.code === packet.icmp.code);
}

function entityMismatch(
  entity: CompiledEntity,
  end: PacketEnd,
  protocol: number,
  identitiesOf: SelectorLookup,
): EntityCriterion | undefined {
  const isSelected = (selector: SelectorId): boolean => hasIdentity(end, identitiesOf(selector));
  if (entity.nets.length > 0 && !isInNets(entity.nets, end.address)) return 'nets';
  if (isInNets(entity.notNets, end.address)) return 'notNets';
  const missed = entity.selectors.find((selector) => !isSelected(selector));
  if (missed !== undefined) return isServiceSelector(missed) ? 'services' : 'selector';
  if (entity.notSelectors.some(isSelected)) return 'notSelector';
  const matchesPorts = (ranges: readonly PortRange[], names: readonly NamedPort[]): boolean =>
    isInRanges(ranges, end.port) ||
    names.some((named) => isNamedPort(named, end, protocol, identitiesOf(named.selector)));
  const asksPorts = entity.ports.length > 0 || entity.namedPorts.length > 0;
  if (asksPorts && !matchesPorts(entity.ports, entity.namedPorts)) {
    return entity.namedPorts.some(({ selector }) => isServiceSelector(selector)) ? 'services' : 'ports';
  }
  if (matchesPorts(entity.notPorts, entity.notNamedPorts)) return 'notPorts';
  return undefined;
}

function hasIdentity(end: PacketEnd, identities: ReadonlySet<IdentityId>): boolean {
  return end.identities.some(({ id }) => identities.has(id));
}

function isInNets(nets: readonly string[], address: IpAddress): boolean {
  return nets.some((net) => {
    const cidr = parseCidr(net);
    return cidr !== undefined && cidrContains(cidr, address);
  });
}

function isInRanges(ranges: readonly PortRange[], port: number | undefined): boolean {
  return port !== undefined && ranges.some(({ min, max }) => min <= port && port <= max);
}

/** The address belongs to an endpoint of the selector that calls this very port and protocol by the name. */
function isNamedPort(
  named: NamedPort,
  end: PacketEnd,
  protocol: number,
  selected: ReadonlySet<IdentityId>,
): boolean {
  if (named.protocol !== undefined && named.protocol !== protocol) return false;
  return end.identities.some(
    ({ id, ports }) =>
      selected.has(id) &&
      ports.some((port) => port.name === named.name && port.protocol === protocol && port.port === end.port),
  );
}
