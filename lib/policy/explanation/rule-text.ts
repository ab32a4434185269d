// A compiled rule in one line, as it is asked: combined selectors, protocols by name, ports as ranges.

import type { CompiledEntity, CompiledRule, NamedPort, PortRange, SelectorId } from '../compiled.ts';
import { hasPorts, protocolName } from '../question/traffic.ts';

/** The canonical text of a selector. */
export type SelectorText = (selector: SelectorId) => string;

const MAX_LISTED = 8;

/** `allow tcp from role == "web" to ports 80, 8080:8090`. */
export function formatRule(rule: CompiledRule, selectorText: SelectorText): string {
  const source = entityText(rule.source, selectorText);
  const destination = entityText(rule.destination, selectorText);
  return [
    rule.verdict,
    headerText(rule),
    source === '' ? '' : `from ${source}`,
    destination === '' ? '' : `to ${destination}`,
  ]
    .filter((part) => part !== '')
    .join(' ');
}

function headerText(rule: CompiledRule): string {
  const parts = [
    rule.ipVersion === undefined ? '' : `IPv${rule.ipVersion}`,
    rule.protocol === undefined ? '' : protocolName(rule.protocol),
    rule.notProtocol === undefined ? '' : `not ${protocolName(rule.notProtocol)}`,
    rule.icmp === undefined ? '' : icmpText(rule.icmp),
    rule.notIcmp === undefined ? '' : `not ${icmpText(rule.notIcmp)}`,
  ].filter((part) => part !== '');
  return parts.length === 0 ? 'any' : parts.join(' ');
}

export function icmpText({ type, code }: NonNullable<CompiledRule['icmp']>): string {
  return code === undefined ? `type ${type}` : `type ${type} code ${code}`;
}

function entityText(entity: CompiledEntity, selectorText: SelectorText): string {
  // A selector that lives on in named ports alone is a criterion all the same.
  const folded = entity.selectors.length === 0 ? entity.namedPorts.slice(0, 1) : [];
  const selectors = [...entity.selectors, ...folded.map(({ selector }) => selector)].map(selectorText);
  return [
    ...selectors.filter((text) => folded.length === 0 || text !== 'all()'),
    ...entity.notSelectors.map((id) => `not (${selectorText(id)})`),
    entity.nets.length === 0 ? '' : list(entity.nets),
    entity.notNets.length === 0 ? '' : `not ${list(entity.notNets)}`,
    portsText('ports', entity.ports, entity.namedPorts),
    portsText('not ports', entity.notPorts, entity.notNamedPorts),
  ]
    .filter((part) => part !== '')
    .join(', ');
}

function portsText(title: string, ranges: readonly PortRange[], names: readonly NamedPort[]): string {
  return ranges.length + names.length === 0 ? '' : `${title} ${portList(ranges, names)}`;
}

export function portList(ranges: readonly PortRange[], names: readonly NamedPort[]): string {
  return list([...ranges.map(rangeText), ...names.map(({ name }) => name || 'of the service')]);
}

/** `80` or `80:90`. */
function rangeText({ min, max }: PortRange): string {
  return min === max ? String(min) : `${min}:${max}`;
}

/** The first few, and how many more. */
export function list(texts: readonly string[]): string {
  const more = texts.length - MAX_LISTED;
  return more > 0
    ? `${texts.slice(0, MAX_LISTED).join(', ')} and ${more} more`
    : texts.slice(0, MAX_LISTED).join(', ');
}

/** `tcp/80`, `icmp type 8 code 0`, `protocol 47`. */
export function packetText(packet: {
  readonly protocol: number;
  readonly destinationPort?: number;
  readonly icmp?: { readonly type: number; readonly code: number };
}): string {
  const name = protocolName(packet.protocol);
  if (packet.icmp !== undefined) return `${name} ${icmpText(packet.icmp)}`;
  return hasPorts(packet.protocol) && packet.destinationPort !== undefined
    ? `${name}/${packet.destinationPort}`
    : name;
}
