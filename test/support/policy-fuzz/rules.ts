// Random rules in which every match field and its negation comes up, from values that meet: few labels, few ports, nested networks.

import type { EntityRule, Protocol, Rule } from '../../../lib/model/policy-types.ts';
import { validateResource } from '../../../lib/model/validation/validate.ts';
import { type Draw, defined } from './draw.ts';
import { NETS, SERVICES } from './world.ts';

export const LABELS = { role: ['web', 'db', 'cache'], app: ['shop', 'bank'] } as const;
export const ACCOUNTS = ['robot', 'human'] as const;
/** Neighbours of ranges and of named ports among them. */
export const PORTS: readonly number[] = [53, 79, 80, 81, 443, 8000, 8050, 8100, 8101, 9999];
export const SOURCE_PORTS: readonly number[] = [53, 80, 179, 1024, 8080];
const RULE_PORTS: readonly (number | string)[] = [
  53,
  80,
  443,
  '79:81',
  '8000:8100',
  '1:65535',
  'http',
  'dns',
];
const RULE_SOURCE_PORTS: readonly (number | string)[] = [80, 1024, '1024:1030', '1:8080', 'http'];

export function drawLabels(draw: Draw): Record<string, string> {
  return Object.fromEntries(
    Object.entries(LABELS).flatMap(([key, values]) => (draw.once(4) ? [] : [[key, draw.one(values)]])),
  );
}

function drawTerm(draw: Draw): string {
  const key = draw.one(Object.keys(LABELS) as (keyof typeof LABELS)[]);
  const value = draw.one<string>(LABELS[key]);
  return draw.one([
    () => `${key} == '${value}'`,
    () => `${key} != '${value}'`,
    () => `${key} in {'${value}', '${draw.one<string>(LABELS[key])}'}`,
    () => `${key} not in {'${value}'}`,
    () => `has(${key})`,
    () => `!has(${key})`,
    () => `${key} starts with '${value.slice(0, 1)}'`,
    () => `${key} contains 'b'`,
    () => draw.one(['all()', 'has(host)', "host == 'n1'"]),
  ])();
}

export function drawSelector(draw: Draw): string {
  if (!draw.once(4)) return drawTerm(draw);
  return `(${drawTerm(draw)}) ${draw.one(['&&', '||'])} (${drawTerm(draw)})`;
}

function drawNamespaceSelector(draw: Draw): string {
  return draw.one([
    "projectcalico.org/name == 'red'",
    "team == 'x'",
    'has(team)',
    '!has(team)',
    'all()',
    'global()',
  ]);
}

export function drawAccountSelector(draw: Draw): string {
  return draw.one(["grade == 'high'", 'has(grade)', '!has(grade)', "projectcalico.org/name == 'robot'"]);
}

/** Of one family: a rule has no others. */
export function drawNets(draw: Draw): string[] {
  return draw.once(2) ? draw.few(NETS.v4) : draw.few(NETS.v6);
}

type EntityFields = { readonly [Field in keyof EntityRule]?: () => EntityRule[Field] };

/** Up to two criteria, seldom three: with many, nothing would ever match. */
function drawEntity(draw: Draw, ports: readonly (number | string)[] | undefined): EntityRule | undefined {
  const fields: EntityFields = {
    selector: () => drawSelector(draw),
    nets: () => drawNets(draw),
    notSelector: () => drawTerm(draw),
    notNets: () => drawNets(draw),
    namespaceSelector: () => drawNamespaceSelector(draw),
    serviceAccounts: () =>
      draw.one([
        () => ({ names: draw.few(ACCOUNTS, 1) }),
        () => ({ selector: drawAccountSelector(draw) }),
        () => ({ names: draw.few(ACCOUNTS, 2), selector: drawAccountSelector(draw) }),
      ])(),
    ...(ports === undefined ? {} : { ports: () => draw.few(ports), notPorts: () => draw.few(ports, 2) }),
  };
  const names = Object.keys(fields) as (keyof EntityRule)[];
  const count = draw.one([0, 0, 1, 1, 1, 1, 2, 2, 3]);
  if (count === 0) return undefined;
  return Object.fromEntries(draw.few(names, count).map((name) => [name, fields[name]?.()])) as EntityRule;
}

const ACTIONS: readonly { readonly weight: number; readonly action: Rule['action'] }[] = [
  { weight: 5, action: 'Allow' },
  { weight: 3, action: 'Deny' },
  { weight: 1, action: 'Pass' },
  { weight: 1, action: 'Log' },
];

function withPorts(draw: Draw): object {
  return {
    protocol: draw.one<Protocol>(['TCP', 'TCP', 'UDP', 'UDP', 'SCTP', 6, 17]),
    source: drawEntity(draw, draw.once(2) ? RULE_SOURCE_PORTS : undefined),
    destination: drawEntity(draw, RULE_PORTS),
  };
}

/** Endpoints of a service, where it can be looked up: the source of ingress rules, the destination of egress rules. */
function ofService(draw: Draw, direction: RuleDirection): object {
  const { namespace, name } = draw.one(SERVICES);
  const side = { services: { name, namespace } };
  const protocol = draw.maybe(2, () => draw.one<Protocol>(['TCP', 'UDP', 'SCTP']));
  const notProtocol = draw.maybe(6, () => draw.one<Protocol>(['TCP', 'UDP']));
  if (direction === 'ingress') {
    const destination = protocol === undefined ? drawEntity(draw, undefined) : drawEntity(draw, RULE_PORTS);
    return { protocol, notProtocol, source: side, destination };
  }
  return { protocol, notProtocol, source: drawEntity(draw, undefined), destination: side };
}

/** One port set of a side alone: the commonest rule there is. */
function portsAlone(draw: Draw): object {
  const protocol = draw.one<Protocol>(['TCP', 'UDP', 'SCTP']);
  return { protocol, source: drawEntity(draw, undefined), destination: { ports: draw.few(RULE_PORTS) } };
}

function withoutPorts(draw: Draw): object {
  return {
    protocol: draw.maybe(3, () => draw.one<Protocol>(['TCP', 'UDP', 'ICMP', 'ICMPv6', 'SCTP', 99, 4])),
    notProtocol: draw.maybe(4, () => draw.one<Protocol>(['TCP', 'UDP', 'ICMP', 'ICMPv6', 17])),
    ipVersion: draw.maybe(5, () => draw.one([4, 6] as const)),
    source: drawEntity(draw, undefined),
    destination: drawEntity(draw, undefined),
  };
}

function icmp(draw: Draw): object {
  const protocol = draw.one(['ICMP', 'ICMPv6'] as const);
  const types = protocol === 'ICMP' ? [8, 13, 3] : [128, 1];
  const fields = (): object => defined({ type: draw.one(types), code: draw.maybe(2, () => draw.below(2)) });
  return {
    protocol,
    icmp: draw.maybe(2, fields),
    notICMP: draw.maybe(3, fields),
    source: drawEntity(draw, undefined),
  };
}

type RuleDirection = 'ingress' | 'egress';

const SHAPES: readonly {
  readonly weight: number;
  readonly draw: (draw: Draw, direction: RuleDirection) => object;
}[] = [
  { weight: 4, draw: withPorts },
  { weight: 2, draw: portsAlone },
  { weight: 4, draw: withoutPorts },
  { weight: 2, draw: icmp },
  { weight: 1, draw: ofService },
];

/** Redraws are rare: two lists of networks of two families, mostly. */
const MOST_REDRAWS = 100;

/** One that validation lets be stored. */
function drawRule(draw: Draw, direction: RuleDirection): Rule {
  for (let redraws = 0; redraws < MOST_REDRAWS; redraws++) {
    const { action } = draw.weighted(ACTIONS);
    const rule = { action, ...defined(draw.weighted(SHAPES).draw(draw, direction)) } as Rule;
    if (isValid(rule, direction)) return rule;
  }
  throw new Error('no valid rule among those drawn');
}

function isValid(rule: Rule, direction: RuleDirection): boolean {
  const metadata = { name: 'one' };
  const spec = { [direction]: [rule] };
  const policy = { apiVersion: 'projectcalico.org/v3', kind: 'GlobalNetworkPolicy', metadata, spec };
  return validateResource(policy).length === 0;
}

export function drawRules(draw: Draw, most: number, direction: RuleDirection): Rule[] {
  return Array.from({ length: draw.below(most + 1) }, () => drawRule(draw, direction));
}
