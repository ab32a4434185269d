// Schema of one policy rule and its two ends (Calico v3 Rule, EntityRule; docs/policy.md). The same for policies and profiles.

import { parseCidr } from '../../net/ip.ts';
import { protocolHasPorts } from '../numbers.ts';
import {
  checkPort,
  checkProtocol,
  hasGlobal,
  portOf,
  protocolOf,
  resourceName,
  ruleNet,
  selector,
} from './formats.ts';
import { checkAnnotations } from './metadata.ts';
import {
  checkedText,
  integer,
  isJsonObject,
  type JsonObject,
  list,
  listField,
  map,
  numberOrText,
  object,
  objectField,
  oneOf,
  type Report,
  type Schema,
  text,
  textField,
  textsField,
} from './schema.ts';

/** Characters of a selector. */
export const MAX_SELECTOR_LENGTH = 1024;
export const selectorText: Schema = text({ check: selector, maxLength: MAX_SELECTOR_LENGTH });

const icmp = object(
  { type: integer(0, 254), code: integer(0, 255) },
  {
    checks: [
      (value, report) => {
        if (isSet(value['code']) && !isSet(value['type'])) report('code', 'needs an ICMP type');
      },
    ],
  },
);

const http = object({
  methods: list(text(), { maxItems: 20, isSet: true }),
  paths: list(
    object(
      { exact: text({ maxLength: 1024 }), prefix: text({ maxLength: 1024 }) },
      { checks: [checkHttpPath] },
    ),
    {
      maxItems: 20,
    },
  ),
});

function checkHttpPath(value: JsonObject, report: Report): void {
  const exact = textField(value, 'exact');
  const prefix = textField(value, 'prefix');
  if ((exact === undefined) === (prefix === undefined)) report('', 'must have either exact or prefix');
  const path = exact ?? prefix ?? '/';
  if (!path.startsWith('/') || /[? #]/.test(path)) {
    report(
      exact === undefined ? 'prefix' : 'exact',
      "must begin with '/' and hold no '?', '#' or space",
      'format',
    );
  }
}

const entity = object(
  {
    nets: list(text({ check: ruleNet }), { maxItems: 256, isSet: true }),
    notNets: list(text({ check: ruleNet }), { maxItems: 256, isSet: true }),
    selector: selectorText,
    notSelector: selectorText,
    namespaceSelector: selectorText,
    ports: list(numberOrText(checkPort), { maxItems: 50 }),
    notPorts: list(numberOrText(checkPort), { maxItems: 50 }),
    serviceAccounts: object({
      names: list(checkedText(resourceName), { isSet: true }),
      selector: checkedText(selector),
    }),
    services: object(
      {
        name: text({ check: resourceName, maxLength: 253 }),
        namespace: text({ check: resourceName, maxLength: 253 }),
      },
      { required: ['name'] },
    ),
  },
  { checks: [checkEntitySelectors, checkEntityServices, checkNotNets] },
);

function checkEntitySelectors(value: JsonObject, report: Report): void {
  for (const field of ['selector', 'notSelector']) {
    if (field === 'selector' && hasGlobal(textField(value, field))) {
      report(field, 'must not hold global(): only namespaceSelector may');
    }
  }
  const namespaces = textField(value, 'namespaceSelector');
  if (hasGlobal(namespaces) && !/^[ \t]*global\([ \t]*\)[ \t]*$/.test(namespaces ?? '')) {
    report('namespaceSelector', 'must be global() alone, or not hold it');
  }
}

function checkEntityServices(value: JsonObject, report: Report): void {
  if (!isJsonObject(value['services'])) return;
  for (const field of ['selector', 'notSelector', 'namespaceSelector']) {
    if (textField(value, field) !== undefined) report(field, 'must not be set together with services');
  }
  for (const field of ['nets', 'notNets']) {
    if (listField(value, field).length > 0) report(field, 'must not be set together with services');
  }
  if (isJsonObject(value['serviceAccounts'])) {
    report('serviceAccounts', 'must not be set together with services');
  }
}

function checkNotNets(value: JsonObject, report: Report): void {
  textsField(value, 'notNets').forEach((net, index) => {
    if (parseCidr(net)?.length === 0) report(`notNets[${index}]`, 'would leave nothing to match');
  });
}

/** `action`, protocol and both ends of a rule, with the rules over several of its fields. */
export const RULE_SCHEMA = object(
  {
    action: oneOf('Allow', 'Deny', 'Log', 'Pass'),
    ipVersion: { type: 'integer', enum: [4, 6] },
    protocol: numberOrText(checkProtocol),
    notProtocol: numberOrText(checkProtocol),
    icmp,
    notICMP: icmp,
    http,
    metadata: object({ annotations: map(text()) }),
    source: entity,
    destination: entity,
  },
  {
    required: ['action'],
    checks: [checkPorts, checkIcmp, checkFamilies, checkHttp, checkServicePorts, checkRuleAnnotations],
  },
);

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null;
}

const SIDES = ['source', 'destination'] as const;

function checkPorts(rule: JsonObject, report: Report): void {
  const protocol = protocolOf(rule['protocol']);
  if (protocol !== undefined && protocolHasPorts(protocol)) return;
  for (const side of SIDES) {
    for (const field of ['ports', 'notPorts']) {
      const ports = listField(objectField(rule, side) ?? {}, field);
      const areNamed = ports.every((port) => 'name' in (portOf(port) ?? { name: '' }));
      if (ports.length === 0 || (protocol === undefined && areNamed)) continue;
      report(`${side}.${field}`, 'need protocol TCP, UDP or SCTP');
    }
  }
}

function isProtocol(value: unknown, name: string, number: number): boolean {
  const protocol = protocolOf(value);
  if (protocol === undefined) return false;
  return 'number' in protocol ? protocol.number === number : protocol.name === name;
}

function checkIcmp(rule: JsonObject, report: Report): void {
  const isIcmp = isProtocol(rule['protocol'], 'ICMP', 1) || isProtocol(rule['protocol'], 'ICMPv6', 58);
  if (isJsonObject(rule['icmp']) && !isIcmp) report('icmp', 'needs protocol ICMP or ICMPv6');
  for (const field of ['protocol', 'notProtocol']) {
    if (isProtocol(rule[field], 'ICMP', 1) && isSet(rule['ipVersion']) && rule['ipVersion'] !== 4) {
      report('ipVersion', `must be 4 with ${field} ICMP`);
    }
    if (isProtocol(rule[field], 'ICMPv6', 58) && isSet(rule['ipVersion']) && rule['ipVersion'] !== 6) {
      report('ipVersion', `must be 6 with ${field} ICMPv6`);
    }
  }
}

function checkFamilies(rule: JsonObject, report: Report): void {
  const seen = new Set<number>();
  for (const side of SIDES) {
    for (const field of ['nets', 'notNets']) {
      const nets = textsField(objectField(rule, side) ?? {}, field);
      const families = new Set(
        nets.map((net) => parseCidr(net)?.family).filter((family) => family !== undefined),
      );
      const isOfOther = [...families].some(
        (family) => isSet(rule['ipVersion']) && rule['ipVersion'] !== family,
      );
      if (isOfOther)
        report(`${side}.${field}`, `must be of the rule's ipVersion ${JSON.stringify(rule['ipVersion'])}`);
      const isMixed = families.size > 1 || [...families].some((family) => seen.size > 0 && !seen.has(family));
      if (isMixed)
        report(`${side}.${field}`, 'mixes IPv4 and IPv6: a rule may hold networks of one family only');
      for (const family of families) seen.add(family);
    }
  }
}

function checkHttp(rule: JsonObject, report: Report): void {
  if (!isJsonObject(rule['http'])) return;
  if (isSet(rule['protocol']) && !isProtocol(rule['protocol'], 'TCP', 6)) {
    report('protocol', 'must be TCP, or left out, in a rule with http');
  }
  if (rule['action'] !== 'Allow') report('http', 'is possible in Allow rules only');
}

function checkServicePorts(rule: JsonObject, report: Report): void {
  const destination = objectField(rule, 'destination') ?? {};
  if (!isJsonObject(destination['services'])) return;
  for (const field of ['ports', 'notPorts']) {
    if (listField(destination, field).length > 0) {
      report(`destination.${field}`, "must not be set together with services: the services' own ports count");
    }
  }
}

function checkRuleAnnotations(rule: JsonObject, report: Report): void {
  const metadata = objectField(rule, 'metadata') ?? {};
  for (const problem of checkAnnotations(metadata, 'metadata.annotations')) {
    report(problem.path, problem.message, problem.rule);
  }
}
