// What staged policies would do with a flow, asked of the same state that the table is rendered from.

import { describe, expect, it } from '@jest/globals';
import type { FlowKey } from '../../../../agents/felix/flows/counted-flow.ts';
import { stagedOutcome } from '../../../../agents/felix/flows/staged-verdicts.ts';
import { DataplaneState } from '../../../../agents/felix/nftables/render/dataplane-state.ts';
import type { CompiledRule, PolicyId } from '../../../../lib/policy/compiled.ts';
import {
  endpointUpdate,
  entity,
  identityUpdate,
  memberUpdate,
  POLICY,
  policyUpdate,
  port,
  rule,
  selectorUpdate,
  tierOf,
} from '../nftables/support.ts';

const STAGED: PolicyId = { kind: 'StagedNetworkPolicy', namespace: 'red', name: 'p' };
const OTHER: PolicyId = { ...STAGED, name: 'other' };
const FLOW: FlowKey = {
  isAllowed: true,
  epoch: 1,
  ruleId: 16,
  source: '10.0.0.9',
  destination: '10.0.0.1',
  protocol: 6,
  sourcePort: 40_000,
  destinationPort: 80,
};
const toPort = (tcpPort: number, verdict: CompiledRule['verdict']): CompiledRule =>
  rule(0, { verdict, destination: entity({ ports: [port(tcpPort)] }) });

/** One workload, 10.0.0.1, that these policies govern in this order. */
function outcomeOf(
  policies: readonly (readonly [PolicyId, readonly CompiledRule[]])[],
  { flow = FLOW, replaced = [] as readonly string[] } = {},
) {
  const state = new DataplaneState();
  state.applyAll([
    identityUpdate(1),
    identityUpdate(2),
    memberUpdate('10.0.0.1/32', 1),
    memberUpdate('10.0.0.8/31', 2),
    selectorUpdate('s:two', 2),
    ...policies.map(([id, rules]) => policyUpdate(rules, id)),
    endpointUpdate('web', '10.0.0.1', 1, [tierOf(policies.map(([id]) => id))]),
  ]);
  state.setReplacedByStaged(new Set(replaced));
  const [endpoint] = state.endpoints.values();
  return stagedOutcome(state, flow, (address) => (address === '10.0.0.1' ? endpoint : undefined));
}

describe('a staged policy', () => {
  it('has no say where none governs', () => {
    expect(outcomeOf([[POLICY, [toPort(80, 'allow')]]])).toBeUndefined();
    const elsewhere = { ...FLOW, destination: '10.0.0.7' };
    expect(outcomeOf([[OTHER, [toPort(80, 'deny')]]], { flow: elsewhere })).toBeUndefined();
  });

  it('would deny by its rule what an enforced one behind it allows', () => {
    const policies = [
      [OTHER, [toPort(80, 'deny')]],
      [POLICY, [toPort(80, 'allow')]],
    ] as const;
    const hit = {
      kind: 'StagedNetworkPolicy',
      namespace: 'red',
      name: 'other',
      tier: 'default',
      direction: 'ingress',
    };
    expect(outcomeOf(policies)).toEqual({
      verdict: 'deny',
      policies: [{ ...hit, index: 0, action: 'deny' }],
    });
  });

  it('would deny at the end of the tier that it brings', () => {
    expect(outcomeOf([[OTHER, [toPort(443, 'allow')]]])).toMatchObject({
      verdict: 'deny',
      policies: [{ name: 'other', index: -1, action: 'deny' }],
    });
  });

  it('is no hit where an enforced policy decides before it', () => {
    const policies = [
      [POLICY, [toPort(80, 'allow')]],
      [OTHER, [toPort(80, 'deny')]],
    ] as const;
    expect(outcomeOf(policies)).toEqual({ verdict: 'allow', policies: [] });
  });

  it('sees the identities of the networks around an address', () => {
    const fromTwo = rule(0, { verdict: 'allow', source: entity({ selectors: ['s:two'] }) });
    expect(outcomeOf([[OTHER, [fromTwo]]])?.verdict).toBe('allow');
    const stranger = { ...FLOW, source: '10.0.0.10' };
    expect(outcomeOf([[OTHER, [fromTwo]]], { flow: stranger })?.verdict).toBe('deny');
  });

  it('takes the place of the enforced one of its name', () => {
    const policies = [
      [STAGED, [toPort(443, 'allow')]],
      [POLICY, [toPort(80, 'allow')]],
    ] as const;
    expect(outcomeOf(policies)?.verdict).toBe('allow');
    expect(outcomeOf(policies, { replaced: ['NetworkPolicy/red/p'] })?.verdict).toBe('deny');
  });

  it('that deletes leaves the others of its tier', () => {
    const policies = [
      [POLICY, [toPort(80, 'deny')]],
      [{ ...POLICY, name: 'rest' }, [toPort(80, 'allow')]],
    ] as const;
    expect(outcomeOf(policies, { replaced: ['NetworkPolicy/red/p'] })).toEqual({
      verdict: 'allow',
      policies: [],
    });
  });
});

describe('whether starts of allowed flows are counted', () => {
  it('follows staged policies, staged deletions of what is here, and the settings', () => {
    const state = new DataplaneState();
    state.applyAll([policyUpdate([])]);
    expect(state.countsAllowed).toBe(false);
    state.setReplacedByStaged(new Set(['NetworkPolicy/red/elsewhere']));
    expect(state.countsAllowed).toBe(false);
    state.setReplacedByStaged(new Set(['NetworkPolicy/red/p']));
    expect(state.countsAllowed).toBe(true);
    state.setReplacedByStaged(new Set());
    state.apply({ type: 'configUpdate', config: { flowLogsLocalReporter: 'Enabled' } });
    expect(state.countsAllowed).toBe(true);
  });
});
