// One v3 rule to the compiled form: selectors combined, networks canonical, ports and protocols as numbers, named ports
// folded into selectors (felix/calc rule_scanner.go; docs/policy.md "Compiled rules").

import {
  type PortValue,
  parseNumberOrName,
  parsePort,
  protocolNumber,
  ScalarError,
} from '../model/numbers.ts';
import type { Action, EntityRule, IcmpFields, Port, Protocol, Rule } from '../model/policy-types.ts';
import { type Family, formatCidr, parseCidr } from '../net/ip.ts';
import { parseSelector } from '../selector/parser.ts';
import type { Selector } from '../selector/selector.ts';
import { ruleSelectors } from './combine-selectors.ts';
import type {
  CompiledEntity,
  CompiledRule,
  NamedPort,
  NotEnforced,
  PortRange,
  RuleRef,
  RuleVerdict,
  SelectorId,
} from './compiled.ts';
import { PolicyError } from './policy-error.ts';
import { SERVICE_PORT, serviceSelector } from './services.ts';

/** A selector that a rule uses, with the id that the compiled rule names it by. */
export interface RuleSelector {
  readonly id: SelectorId;
  readonly selector: Selector;
  /** `namespace/name` of the service whose endpoints it selects; undefined: it is over labels. */
  readonly service?: string;
}

export interface RuleCompilation {
  readonly rule: CompiledRule;
  readonly selectors: readonly RuleSelector[];
}

const VERDICTS: Readonly<Record<string, RuleVerdict>> = {
  allow: 'allow',
  deny: 'deny',
  pass: 'pass',
  log: 'log',
};

/**
 * The compiled rule, or undefined for one that can match no packet: its networks are of different families. `namespace` as
 * in `ruleSelectors`; `field` is the rule's path for errors.
 */
export function compileRule(
  rule: Rule,
  ref: RuleRef,
  namespace: string | undefined,
  field: string,
): RuleCompilation | undefined {
  const verdict = compileAction(rule.action, `${field}.action`);
  const protocol = compileProtocol(rule.protocol, `${field}.protocol`);
  const source = withService(
    compileEntity(rule.source ?? {}, protocol, namespace, `${field}.source`),
    rule.source?.services,
    namespace,
    'source',
  );
  const destination = withService(
    compileEntity(rule.destination ?? {}, protocol, namespace, `${field}.destination`),
    rule.destination?.services,
    namespace,
    'destination',
  );
  const families = matchedFamilies(rule, [source.entity, destination.entity]);
  if (families.length === 0) return undefined;
  return {
    rule: {
      ref,
      verdict,
      ipVersion: families.length === 1 ? families[0] : undefined,
      protocol,
      notProtocol: compileProtocol(rule.notProtocol, `${field}.notProtocol`),
      icmp: compileIcmp(rule.icmp),
      notIcmp: compileIcmp(rule.notICMP),
      source: source.entity,
      destination: destination.entity,
    },
    selectors: [...source.selectors, ...destination.selectors],
  };
}

/** What of a rule nobody here enforces. */
export function notEnforcedIn(rule: Rule, ref: RuleRef, field: string): readonly NotEnforced[] {
  if (rule.http === undefined || rule.http === null) return [];
  const effect = 'HTTP is not looked into: this rule allows whatever the rest of it matches';
  return [{ ref, field: `${field}.http`, effect }];
}

/** Calico leaves a rule out of a family's rules when a list of networks has none of that family, negated lists too. */
function matchedFamilies(rule: Rule, entities: readonly CompiledEntity[]): Family[] {
  const lists = entities.flatMap((entity) => [entity.nets, entity.notNets]).filter((nets) => nets.length > 0);
  return ([4, 6] as const).filter(
    (family) =>
      (rule.ipVersion ?? family) === family &&
      lists.every((nets) => nets.some((net) => net.includes(':') === (family === 6))),
  );
}

function compileAction(action: Action, field: string): RuleVerdict {
  const verdict = VERDICTS[String(action).toLowerCase()];
  if (verdict === undefined) throw new PolicyError({ code: 'badAction', field, action: String(action) });
  return verdict;
}

function compileProtocol(protocol: Protocol | undefined, field: string): number | undefined {
  if (protocol === undefined || protocol === null) return undefined;
  const number = parseScalar(() => protocolNumber(parseNumberOrName(protocol)));
  if (number === undefined) throw new PolicyError({ code: 'badProtocol', field, protocol: String(protocol) });
  return number;
}

function compileIcmp(icmp: IcmpFields | undefined): CompiledRule['icmp'] {
  if (icmp?.type === undefined || icmp.type === null) return undefined;
  return { type: icmp.type, code: icmp.code ?? undefined };
}

interface EntityCompilation {
  readonly entity: CompiledEntity;
  readonly selectors: readonly RuleSelector[];
}

function compileEntity(
  entity: EntityRule,
  protocol: number | undefined,
  namespace: string | undefined,
  field: string,
): EntityCompilation {
  const { positive, negative } = ruleSelectors(entity, namespace, field);
  const ports = compilePorts(entity.ports, `${field}.ports`);
  const notPorts = compilePorts(entity.notPorts, `${field}.notPorts`);
  // A named port is a set of (address, port) of the endpoints that the positive selector matches, all without one.
  const portSelector = positive ?? parseSelector('all()');
  const toNamedPort = (name: string): NamedPort => ({ protocol, name, selector: portSelector.id });
  // Numeric ports cannot be limited that way, so then the selector stays a criterion of its own.
  const isFolded = ports.names.length > 0 && ports.ranges.length === 0;
  const asCriterion = isFolded ? undefined : positive;
  const usesPortSelector = ports.names.length > 0 || notPorts.names.length > 0;
  const used = [asCriterion, negative, usesPortSelector ? portSelector : undefined];
  return {
    entity: {
      nets: compileNets(entity.nets, `${field}.nets`),
      notNets: compileNets(entity.notNets, `${field}.notNets`),
      selectors: asCriterion === undefined ? [] : [asCriterion.id],
      notSelectors: negative === undefined ? [] : [negative.id],
      ports: ports.ranges,
      namedPorts: ports.names.map(toNamedPort),
      notPorts: notPorts.ranges,
      notNamedPorts: notPorts.names.map(toNamedPort),
    },
    selectors: used
      .filter((selector) => selector !== undefined)
      .map((selector) => ({ id: selector.id, selector })),
  };
}

/**
 * A service on a side of a rule: as a destination its endpoints at their ports, as a source their addresses alone. Without a
 * namespace it is one of the policy's own.
 */
function withService(
  side: EntityCompilation,
  services: EntityRule['services'],
  namespace: string | undefined,
  name: 'source' | 'destination',
): EntityCompilation {
  if (!services) return side;
  const service = `${services.namespace || (namespace ?? '')}/${services.name}`;
  const used = serviceSelector(service, name);
  const { entity } = side;
  return {
    entity:
      name === 'source'
        ? { ...entity, selectors: [...entity.selectors, used.id] }
        : {
            ...entity,
            namedPorts: [
              ...entity.namedPorts,
              { protocol: undefined, name: SERVICE_PORT, selector: used.id },
            ],
          },
    selectors: [...side.selectors, used],
  };
}

function compileNets(nets: readonly string[] | undefined, field: string): string[] {
  return (nets ?? []).map((net, index) => {
    const cidr = parseCidr(net);
    if (cidr === undefined) throw new PolicyError({ code: 'badNet', field: `${field}[${index}]`, net });
    return formatCidr(cidr);
  });
}

function compilePorts(
  ports: readonly Port[] | undefined,
  field: string,
): { ranges: readonly PortRange[]; names: readonly string[] } {
  const ranges: PortRange[] = [];
  const names: string[] = [];
  for (const [index, port] of (ports ?? []).entries()) {
    const value = parseScalar((): PortValue => parsePort(port));
    if (value === undefined) {
      throw new PolicyError({ code: 'badPort', field: `${field}[${index}]`, port: String(port) });
    }
    if ('name' in value) names.push(value.name);
    else ranges.push(value);
  }
  return { ranges, names };
}

function parseScalar<Value>(parse: () => Value): Value | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ScalarError) return undefined;
    throw error;
  }
}
