// Filters of flow records, their way as query parameters, and lines that carry records.

import { describe, expect, it } from '@jest/globals';
import { flowFilterParameters, flowMatcher, readFlowFilter } from '../../../lib/protocol/flow-filter.ts';
import type { FlowRecord } from '../../../lib/protocol/flow-record.ts';
import {
  EVENT_RECORDS,
  encodeRecordLine,
  FLOW_RECORDS,
  parseRecordLine,
} from '../../../lib/protocol/record-lines.ts';

const RECORD: FlowRecord = {
  time: '2026-01-01T00:00:00.000Z',
  host: 'n1',
  seq: 4,
  verdict: 'allow',
  protocol: 6,
  source: { address: '10.0.0.1', port: 40_000, kind: 'WorkloadEndpoint', namespace: 'shop', name: 'web' },
  destination: { address: '192.0.2.7', port: 5432, kind: 'GlobalNetworkSet', name: 'databases' },
  decidedBy: {
    type: 'rule',
    kind: 'NetworkPolicy',
    namespace: 'shop',
    name: 'allow-db',
    direction: 'egress',
    index: 0,
    action: 'allow',
  },
  staged: {
    verdict: 'deny',
    policies: [
      {
        kind: 'StagedGlobalNetworkPolicy',
        name: 'tighter',
        tier: 'default',
        direction: 'egress',
        index: -1,
        action: 'deny',
      },
    ],
  },
  connections: 1,
  packets: 1,
  bytes: 60,
};
const isMatched = (query: string): boolean => flowMatcher(readFlowFilter(new URLSearchParams(query)))(RECORD);

describe('a filter', () => {
  it.each([
    '',
    'node=n1',
    'namespace=shop',
    'pod=web',
    'pod=shop/web',
    'pod=databases',
    'namespace=shop&pod=web',
    'src=web&dst=databases',
    'src=10.0.0.0/8',
    'dst=192.0.2.7',
    'port=5432',
    'policy=allow-db',
    'policy=shop/allow-db',
    'policy=tighter',
    'verdict=allow',
    'staged=differs',
    'node=other&node=n1',
  ])('%j holds', (query) => {
    expect(isMatched(query)).toBe(true);
  });

  it.each([
    'node=n2',
    'namespace=else',
    'pod=else/web',
    // No one end is both.
    'namespace=shop&pod=databases',
    'src=databases',
    'dst=192.0.3.0/24',
    'src=fd00::/8',
    'port=40000',
    'policy=else/allow-db',
    'verdict=deny',
    'pod=web&node=n2',
  ])('%j does not', (query) => {
    expect(isMatched(query)).toBe(false);
  });

  it('crosses as query parameters', () => {
    const filter = readFlowFilter(new URLSearchParams('pod=a&pod=b&verdict=deny&staged=differs'));
    const parameters = new URLSearchParams();
    for (const [name, value] of flowFilterParameters(filter)) parameters.append(name, value);
    expect(readFlowFilter(parameters)).toEqual(filter);
  });

  it('with another verdict is refused', () => {
    expect(() => readFlowFilter(new URLSearchParams('verdict=perhaps'))).toThrow('neither allow nor deny');
  });
});

describe('a line', () => {
  it('carries a record under the name of its kind', () => {
    const line = encodeRecordLine(FLOW_RECORDS, { record: RECORD });
    expect(line).toEqual({ flow: RECORD });
    expect(parseRecordLine(FLOW_RECORDS, line)).toEqual({ record: RECORD });
    expect(parseRecordLine(EVENT_RECORDS, line)).toBeUndefined();
  });

  it('carries gaps and the source as they are', () => {
    for (const line of [{ gap: { host: 'n1', count: 3 } }, { source: 'hosts', reason: 'x' }] as const) {
      expect(parseRecordLine(FLOW_RECORDS, encodeRecordLine(FLOW_RECORDS, line))).toEqual(line);
    }
  });

  it.each([undefined, 7, null, {}, { flow: {} }, { flow: { ...RECORD, verdict: 'maybe' } }])(
    'is none: %j',
    (value) => {
      expect(parseRecordLine(FLOW_RECORDS, value)).toBeUndefined();
    },
  );
});
