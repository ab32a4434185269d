// Compiled values for renderer tests, with everything that a test does not speak of left at its neutral value.

import type { CalcMessage } from '../../../../agents/felix/calc/messages.ts';
import { commitsOf } from '../../../../agents/felix/nftables/render/commits.ts';
import { DataplaneState } from '../../../../agents/felix/nftables/render/dataplane-state.ts';
import {
  type Operation,
  record,
  renderTransaction,
} from '../../../../agents/felix/nftables/render/operations.ts';
import { type Plan, Planner } from '../../../../agents/felix/nftables/render/plan.ts';
import { Renderer, type RendererOptions } from '../../../../agents/felix/nftables/render/renderer.ts';
import { NftTable } from '../../../../agents/felix/nftables/render/table.ts';
import type {
  CompiledEntity,
  CompiledHostEndpoint,
  CompiledPolicy,
  CompiledRule,
  EndpointTier,
  PolicyId,
} from '../../../../lib/policy/compiled.ts';

const ANY: CompiledEntity = {
  nets: [],
  notNets: [],
  selectors: [],
  notSelectors: [],
  ports: [],
  namedPorts: [],
  notPorts: [],
  notNamedPorts: [],
};
export const POLICY: PolicyId = { kind: 'NetworkPolicy', namespace: 'red', name: 'p' };
const TCP = 6;

export const entity = (more: Partial<CompiledEntity>): CompiledEntity => ({ ...ANY, ...more });
export const port = (min: number, max = min): { min: number; max: number } => ({ min, max });

export function rule(index: number, more: Partial<CompiledRule> = {}): CompiledRule {
  return {
    ref: { type: 'policy', policy: POLICY, direction: 'ingress', index },
    verdict: 'allow',
    ipVersion: undefined,
    protocol: TCP,
    notProtocol: undefined,
    icmp: undefined,
    notIcmp: undefined,
    source: ANY,
    destination: ANY,
    ...more,
  };
}

export function policyUpdate(rules: readonly CompiledRule[], id: PolicyId = POLICY): CalcMessage {
  const governs = { ingress: true, egress: false };
  const flags = { staged: false, untracked: false, preDnat: false, applyOnForward: false };
  return {
    type: 'policyUpdate',
    policy: { id, tier: 'default', ingress: rules, egress: [], governs, ...flags, revision: 1 },
  };
}

export function endpointUpdate(
  name: string,
  address: string,
  identity: number,
  tiers: readonly EndpointTier[] = [tierOf([POLICY])],
): CalcMessage {
  return {
    type: 'workloadEndpointUpdate',
    endpoint: {
      id: { host: 'n1', orchestrator: 'k8s', workload: `red/${name}`, endpoint: 'eth0' },
      interfaceName: `cali${name}`,
      mac: undefined,
      nets4: [`${address}/32`],
      nets6: [],
      allowSpoofedSourcePrefixes: [],
      profiles: [],
      tiers,
      identity,
      revision: 1,
    },
  };
}

export const policyIdOf = (name: string): PolicyId => ({ kind: 'GlobalNetworkPolicy', namespace: '', name });

/** A global policy of ingress rules alone. */
export function hostPolicyUpdate(
  name: string,
  rules: readonly CompiledRule[],
  flags: Partial<Pick<CompiledPolicy, 'untracked' | 'preDnat' | 'applyOnForward'>> = {},
): CalcMessage {
  const none = { staged: false, untracked: false, preDnat: false, applyOnForward: false };
  const governs = { ingress: true, egress: false };
  const id = policyIdOf(name);
  return {
    type: 'policyUpdate',
    policy: { id, tier: 'default', ingress: rules, egress: [], governs, ...none, ...flags, revision: 1 },
  };
}

/** Of host `n1` and its `eth0`, without policy or profile. */
export function hostEndpoint(name: string, more: Partial<CompiledHostEndpoint> = {}): CompiledHostEndpoint {
  return {
    id: { host: 'n1', endpoint: name },
    interfaceName: 'eth0',
    expectedIps: [],
    profiles: [],
    tiers: [],
    untrackedTiers: [],
    preDnatTiers: [],
    forwardTiers: [],
    revision: 1,
    ...more,
  };
}

export const endpointRemove = (name: string): CalcMessage => ({
  type: 'workloadEndpointRemove',
  id: { host: 'n1', orchestrator: 'k8s', workload: `red/${name}`, endpoint: 'eth0' },
});
export const tierOf = (ingress: readonly PolicyId[], name = 'default'): EndpointTier => ({
  name,
  defaultAction: 'deny',
  ingress,
  egress: [],
});
export const identityUpdate = (
  id: number,
  ports: readonly { name: string; protocol: number; port: number }[] = [],
): CalcMessage => ({
  type: 'identityUpdate',
  identity: { id, labels: {}, ports },
});
export const memberUpdate = (net: string, ...identities: number[]): CalcMessage => ({
  type: 'memberUpdate',
  net,
  identities,
});
export const selectorUpdate = (id: string, ...identities: number[]): CalcMessage => ({
  type: 'selectorUpdate',
  selector: { id, canonical: id },
  identities,
});

/** State, renderer, planner and clock together: what the driver is, without a kernel. */
export class TableBench {
  readonly state: DataplaneState;
  readonly planner = new Planner(new NftTable());
  readonly renderer: Renderer;
  nowMs = 0;
  generation = 1;
  /** How long the kernel takes for a plan. */
  commitMs = 0;
  /** Takes the commit as performed. */
  onCommit = (_phases: readonly string[], operations: readonly Operation[]): void =>
    record(this.planner.programmed, operations);

  constructor(options: Partial<RendererOptions> = {}, state = new DataplaneState()) {
    this.state = state;
    this.renderer = new Renderer(this.state, { epoch: 1, generation: 1, ...options });
  }

  /** Applies the messages, plans, and takes the plan as performed. */
  change(...messages: CalcMessage[]): Plan & { readonly movedGeneration: boolean } {
    this.state.applyAll(messages);
    this.renderer.update(this.state.takeChanges());
    return this.#bring();
  }

  /** What the driver does a second after a change. */
  settle(): Plan & { readonly movedGeneration: boolean } {
    this.renderer.settle();
    return this.#bring();
  }

  #bring(): Plan & { readonly movedGeneration: boolean } {
    this.planner.note(this.renderer.table.takeTouched());
    this.planner.redivide(this.renderer.redivision);
    let plan = this.planner.plan(this.renderer.table, this.nowMs);
    const movedGeneration = plan.needsGeneration;
    if (movedGeneration) {
      this.renderer.setGeneration(++this.generation);
      this.planner.note(this.renderer.table.takeTouched());
      plan = this.planner.plan(this.renderer.table, this.nowMs, plan.changesSurroundings);
    }
    for (const transaction of plan.transactions)
      for (const { operations } of commitsOf(transaction)) this.onCommit(transaction.phases, operations);
    this.nowMs += this.commitMs;
    this.planner.performed(this.nowMs);
    return { ...plan, movedGeneration };
  }
}

/** `phase+phase` of each transaction. */
export const phasesOf = (plan: Plan): readonly string[] =>
  plan.transactions.map(({ phases }) => phases.join('+'));

/** Texts of what a plan does in a phase. */
export function textOf(plan: Plan, phase: string): string {
  const operations = plan.transactions
    .filter(({ phases }) => phases.some((each) => each === phase))
    .flatMap((each): readonly Operation[] => each.operations);
  return renderTransaction(operations);
}

/** All of a table as text, in a fixed order, without the names that only tell objects apart. */
export function tableText(table: NftTable): string {
  const sets = [...table.sets.values()].map((set) => {
    const elements = [...set.elements].map(([key, { value }]) => `${key} : ${value}`).sort();
    return `${set.name} { ${elements.join(', ')} }`;
  });
  const chains = [...table.chains.values()].map((chain) => `${chain.name} {\n${chain.rules.join('\n')}\n}`);
  return [...sets.sort(), ...chains.sort()].join('\n');
}
