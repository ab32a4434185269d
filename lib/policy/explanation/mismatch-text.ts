// Why a rule does not match a packet, in a few words: what the rule asks for, and what the packet has instead.

import { cidrContains, formatIp, parseCidr } from '../../net/ip.ts';
import type { Expression } from '../../selector/expression.ts';
import { parseSelector } from '../../selector/parser.ts';
import type { CompiledEntity, CompiledRule, Identity, SelectorId } from '../compiled.ts';
import type { Criterion } from '../evaluation/match.ts';
import type { PacketEnd, PacketView } from '../evaluation/packet.ts';
import { protocolName } from '../question/traffic.ts';
import { isServiceSelector, selects } from '../services.ts';
import { icmpText, list, packetText, portList, type SelectorText } from './rule-text.ts';

const MAX_LABELS = 6;

/** `destination port 443 is not 5432`. */
export function formatMismatch(
  criterion: Criterion,
  rule: CompiledRule,
  packet: PacketView,
  selectorText: SelectorText,
): string {
  switch (criterion) {
    case 'ipVersion':
      return `it is for IPv${rule.ipVersion ?? '?'} only`;
    case 'protocol':
      return `protocol ${bareName(packet.protocol)} is not ${bareName(rule.protocol ?? 0)}`;
    case 'notProtocol':
      return `it excludes ${protocolName(packet.protocol)}`;
    case 'icmp':
      return rule.icmp === undefined ? criterion : `${icmpHas(packet)} is not ${icmpText(rule.icmp)}`;
    case 'notIcmp':
      return packet.icmp === undefined
        ? `${icmpHas(packet)} is no ICMP`
        : `it excludes ${icmpText(packet.icmp)}`;
    default: {
      const [side, what] = splitCriterion(criterion);
      return `${side} ${entityMismatch(what, rule[side], packet[side], packet.protocol, selectorText)}`;
    }
  }
}

type EntityCriterion = Extract<Criterion, `source.${string}`> extends `source.${infer What}` ? What : never;

function splitCriterion(
  criterion: Extract<Criterion, `${string}.${string}`>,
): readonly ['source' | 'destination', EntityCriterion] {
  const [side, what] = criterion.split('.') as ['source' | 'destination', EntityCriterion];
  return [side, what];
}

function bareName(protocol: number): string {
  return protocolName(protocol).replace('protocol ', '');
}

function icmpHas(packet: PacketView): string {
  return packet.icmp === undefined ? protocolName(packet.protocol) : icmpText(packet.icmp);
}

function entityMismatch(
  what: EntityCriterion,
  entity: CompiledEntity,
  end: PacketEnd,
  protocol: number,
  selectorText: SelectorText,
): string {
  const address = formatIp(end.address);
  switch (what) {
    case 'nets':
      return `${address} is not in ${list(entity.nets)}`;
    case 'notNets': {
      const excluded = entity.notNets.filter((net) => contains(net, end));
      return `${address} is in ${list(excluded)}, which it excludes`;
    }
    case 'selector':
      return selectorMismatch(entity.selectors, end, selectorText);
    case 'notSelector':
      return `${labelsText(entity.notSelectors, end, selectorText)}, which it excludes by ${entity.notSelectors.map(selectorText).join(', ')}`;
    case 'ports':
      return portMismatch(entity, end, selectorText);
    case 'notPorts':
      return `port ${end.port ?? 'unknown'} is excluded`;
    case 'services':
      return servicesMismatch(entity, end, protocol, selectorText);
  }
}

/** Of a destination, rules ask for the ports of the service too. */
function servicesMismatch(
  entity: CompiledEntity,
  end: PacketEnd,
  protocol: number,
  selectorText: SelectorText,
): string {
  const services = [...entity.selectors, ...entity.namedPorts.map(({ selector }) => selector)].filter(
    isServiceSelector,
  );
  const text = services.map(selectorText).join(', ');
  const isEndpoint = services.some((id) => {
    const selector = parseSelector(selectorText(id));
    return end.identities.some((identity) => selects(id, selector, identity));
  });
  const address = formatIp(end.address);
  if (!isEndpoint) return `${address} is no endpoint of ${text}`;
  const asked = packetText({ protocol, ...(end.port === undefined ? {} : { destinationPort: end.port }) });
  return `${address} is an endpoint of ${text}, but not for ${asked}`;
}

function contains(net: string, end: PacketEnd): boolean {
  const cidr = parseCidr(net);
  return cidr !== undefined && cidrContains(cidr, end.address);
}

function selectorMismatch(
  selectors: readonly SelectorId[],
  end: PacketEnd,
  selectorText: SelectorText,
): string {
  if (labelled(end).length === 0)
    return `${formatIp(end.address)} is no endpoint and in no network set, so no selector matches it`;
  return `${labelsText(selectors, end, selectorText)} is not ${selectors.map(selectorText).join(' and ')}`;
}

/** The labels that the selectors ask for, as the end has them. */
function labelsText(selectors: readonly SelectorId[], end: PacketEnd, selectorText: SelectorText): string {
  const names = [
    ...new Set(selectors.flatMap((id) => labelNames(parseSelector(selectorText(id)).expression))),
  ];
  const each = labelled(end).map(({ labels }) => {
    const shown = names.slice(0, MAX_LABELS).map((name) => {
      const value = Object.hasOwn(labels, name) ? labels[name] : undefined;
      return value === undefined ? `no ${name}` : `${name}=${value}`;
    });
    return shown.length === 0 ? 'what it is' : shown.join(', ');
  });
  return `with ${[...new Set(each)].join(' or ')}`;
}

/** Endpoints and network sets: those of services have no labels, and nothing here is about them. */
function labelled(end: PacketEnd): readonly Identity[] {
  return end.identities.filter(({ service }) => service === undefined);
}

function labelNames(expression: Expression): readonly string[] {
  switch (expression.kind) {
    case 'all':
    case 'global':
      return [];
    case 'not':
      return labelNames(expression.operand);
    case 'and':
    case 'or':
      return expression.operands.flatMap(labelNames);
    default:
      return [expression.label];
  }
}

function portMismatch(entity: CompiledEntity, end: PacketEnd, selectorText: SelectorText): string {
  if (end.port === undefined) return 'has no port, or none was asked about';
  const asked = `port ${end.port} is not ${portList(entity.ports, entity.namedPorts)}`;
  const [named] = entity.namedPorts;
  if (named === undefined) return asked;
  const selector = selectorText(named.selector);
  return selector === 'all()' ? `${asked} of an endpoint` : `${asked} of an endpoint that is ${selector}`;
}
