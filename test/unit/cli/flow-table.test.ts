// Flow records as people read them.

import { describe, expect, it } from '@jest/globals';
import { renderFlowStatuses } from '../../../cli/output/flow-status.ts';
import { explainFlow, flowRow, flowTable } from '../../../cli/output/flow-table.ts';
import type { FlowDecision, FlowRecord } from '../../../lib/protocol/flow-record.ts';

const RULE: FlowDecision = {
  type: 'rule',
  kind: 'NetworkPolicy',
  namespace: 'shop',
  name: 'guard',
  tier: 'default',
  direction: 'ingress',
  index: 1,
  action: 'deny',
};
const RECORD: FlowRecord = {
  time: '2026-01-01T00:00:00.000Z',
  host: 'n1',
  seq: 1,
  verdict: 'deny',
  protocol: 6,
  source: {
    address: '10.0.0.1',
    port: 40_000,
    kind: 'WorkloadEndpoint',
    namespace: 'shop',
    name: 'web',
    labels: { app: 'web' },
  },
  destination: { address: 'fd00::7', port: 5432 },
  decidedBy: RULE,
  connections: 3,
  packets: 7,
  bytes: 420,
};

describe('why', () => {
  it.each<[Partial<FlowRecord>, string]>([
    [{}, 'denied by ingress rule 2 of NetworkPolicy shop/guard'],
    [
      { decidedBy: { ...RULE, source: { file: 'guard.yaml', line: 12 } } },
      'denied by ingress rule 2 of NetworkPolicy shop/guard (guard.yaml:12)',
    ],
    [
      {
        decidedBy: {
          type: 'endOfTier',
          tier: 'default',
          direction: 'egress',
          policy: { kind: 'GlobalNetworkPolicy', name: 'last' },
        },
      },
      'denied at the end of tier default: no egress rule matched, where GlobalNetworkPolicy last is the last to apply',
    ],
    [
      { decidedBy: { type: 'reason', reason: 'spoofedSource', text: 'the source address is not its own' } },
      'denied: the source address is not its own',
    ],
    [
      { decidedBy: { type: 'unknown', epoch: 3, ruleId: 20 } },
      'denied by a rule that nobody remembers: 20 of epoch 3',
    ],
    [
      {
        staged: {
          verdict: 'allow',
          policies: [
            {
              kind: 'StagedNetworkPolicy',
              namespace: 'shop',
              name: 'wider',
              tier: 'default',
              direction: 'ingress',
              index: 0,
              action: 'allow',
            },
          ],
        },
        repeated: true,
      },
      'denied by ingress rule 2 of NetworkPolicy shop/guard; staged policies would have it allowed by ingress rule 1 of ' +
        'StagedNetworkPolicy shop/wider; perhaps told before the agent’s restart',
    ],
    [
      { verdict: 'allow', decidedBy: { ...RULE, action: 'allow' }, ended: { packets: 4, bytes: 900 } },
      'allowed by ingress rule 2 of NetworkPolicy shop/guard; ended, answered by 4 packets, 900 bytes',
    ],
    [{ staged: { verdict: 'deny', policies: [] } }, 'denied by ingress rule 2 of NetworkPolicy shop/guard'],
  ])('%j: %s', (more, text) => {
    expect(explainFlow({ ...RECORD, ...more })).toBe(text);
  });
});

describe('a row', () => {
  it('names the ends', () => {
    expect(flowRow(RECORD, false)).toEqual([
      '2026-01-01T00:00:00.000Z',
      'n1',
      'deny',
      'shop/web:40000',
      '[fd00::7]:5432',
      'TCP',
      '7',
      'denied by ingress rule 2 of NetworkPolicy shop/guard',
    ]);
  });

  it('has addresses, counts and labels where asked for', () => {
    const table = flowTable(true, true);
    const [headings = '', row = ''] = table.line(flowRow(RECORD, true)).split('\n');
    expect(headings).toMatch(/PACKETS +CONNECTIONS +BYTES +SOURCE-LABELS +DESTINATION-LABELS +WHY$/);
    expect(row).toContain('shop/web 10.0.0.1:40000');
    expect(row).toMatch(/ 7 +3 +420 +app=web +- +denied by/);
  });

  it('has type and code of ICMP', () => {
    const { port: _from, ...source } = RECORD.source;
    const { port: _to, ...destination } = RECORD.destination;
    const row = flowRow(
      { ...RECORD, protocol: 58, icmp: { type: 128, code: 0 }, source, destination },
      false,
    );
    expect(row.slice(3, 6)).toEqual(['shop/web', 'fd00::7', 'ICMPv6 128/0']);
  });
});

describe('the status of nodes', () => {
  it('has what was lost, and a line for each staged rule', () => {
    const totals = {
      denied: 9,
      allowed: 0,
      suppressed: 1,
      overflowedDenied: 2,
      overflowedBegun: 3,
      withoutRoute: 4,
      lostEnds: 0,
      failedReadings: 0,
    };
    const staged = {
      wouldBecome: { allow: 0, deny: 6 },
      uncounted: 0,
      policies: [
        {
          kind: 'StagedNetworkPolicy',
          namespace: 'shop',
          name: 'tighter',
          tier: 'default',
          direction: 'ingress',
          index: -1,
          action: 'deny',
          connections: 6,
        },
      ],
    };
    const lines = renderFlowStatuses([{ node: 'n1', records: 8, overwritten: 0, totals, staged }]).split(
      '\n',
    );
    expect(lines[1]?.split(/ +/)).toEqual(['n1', '8', '9', '0', '0', '1', '5', '4', '6', '0']);
    expect(lines[4]).toMatch(
      /^n1 +StagedNetworkPolicy shop\/tighter +default +ingress +end of tier +deny +6$/,
    );
  });
});
