// What bgpctl and `calicoctl bgp` make of values: reachability over nodes, policies' changes, an empty answer.

import { describe, expect, it } from '@jest/globals';
import {
  clusterRoutes,
  renderClusterRoutes,
  renderReachability,
} from '../../../cli/output/bgp/reachability.ts';
import { renderReceived, renderWhy } from '../../../cli/output/bgp/routes.ts';
import { parseFormat, renderAs } from '../../../cli/output/format.ts';
import { parsePrefix } from '../../../cli/prefix-argument.ts';
import type { BgpdDestination, BgpdExplainedPath, BgpdWhy } from '../../../lib/protocol/bgpd-routes.ts';

const attributes = { nextHop: '10.0.0.2', asPath: '', origin: 'igp', communities: [] };
const destination = (prefix: string, source: string): BgpdDestination => ({
  prefix,
  paths: [{ ...attributes, source, verdict: 'best', stale: false }],
  advertisedTo: [],
});

describe('routes of a cluster', () => {
  it('say who originates them, who reaches them and who does not', () => {
    const routes = clusterRoutes([
      {
        ...{ node: 'a', total: 2 },
        destinations: [destination('10.1.0.0/26', 'local'), destination('0.0.0.0/0', 'tor')],
      },
      { node: 'b', total: 1, destinations: [destination('10.1.0.0/26', 'a')] },
      { node: 'c', total: 0, destinations: [] },
    ]);
    expect(
      renderClusterRoutes(routes)
        .split('\n')
        .map((line) => line.split(/ {3,}/)),
    ).toEqual([
      ['PREFIX', 'ORIGINATED-BY', 'REACHED-BY', 'NOT-REACHED-BY'],
      ['10.1.0.0/26', 'a', 'b', 'c'],
      ['0.0.0.0/0', 'outside', 'a', 'b,c'],
      [''],
    ]);
  });

  it('say for one prefix which way each node takes', () => {
    const path = (source: string, verdict: 'best' | 'multipath', nextHop: string): BgpdExplainedPath => ({
      ...attributes,
      ...{ source, verdict, nextHop, stale: false, why: '' },
    });
    const why = (prefix: string, ...paths: BgpdExplainedPath[]): BgpdWhy => ({
      prefix,
      isExact: true,
      paths,
      kernel: { state: 'installed', nextHops: [], why: 'installed' },
      advertised: [],
    });
    const nodes = [
      { node: 'a', destinations: [why('10.1.0.0/26', path('local', 'best', '0.0.0.0'))] },
      {
        node: 'b',
        destinations: [
          why('10.1.0.0/16', path('x', 'best', '10.0.0.2'), path('y', 'multipath', '10.0.0.3')),
          why('0.0.0.0/0', path('z', 'best', '10.0.0.4')),
        ],
      },
      { node: 'c', destinations: [] },
    ];
    expect(
      renderReachability(nodes)
        .split('\n')
        .slice(1, 4)
        .map((line) => line.split(/ {3,}/)),
    ).toEqual([
      ['a', '10.1.0.0/26', 'originates it', '-', 'installed'],
      ['b', '10.1.0.0/16', 'via 10.0.0.2, 10.0.0.3', 'x, y', 'installed'],
      ['c', '-', 'no route', '-', '-'],
    ]);
  });
});

describe('one speaker', () => {
  it('shows what the import policy has changed', () => {
    const out = renderReceived([
      {
        prefix: '10.1.0.0/26',
        stale: true,
        received: attributes,
        accepted: { ...attributes, localPref: 200, multiExitDisc: 5, communities: ['65000:1'] },
        verdict: 'lost',
      },
    ]);
    expect(out).toContain('lost, stale   accepted with LOCAL-PREF 200, MED 5, +COMMUNITIES 65000:1\n');
  });

  it('says so where nothing covers a prefix', () => {
    expect(renderWhy('10.1.0.1', [])).toBe('No route for 10.1.0.1, and none that covers it.\n');
  });
});

describe('arguments', () => {
  it('take prefixes and addresses, masked', () => {
    expect(['10.1.2.3', '10.1.2.3/24', 'fd00::1'].map(parsePrefix)).toEqual([
      ...['10.1.2.3/32', '10.1.2.0/24', 'fd00::1/128'],
    ]);
    expect(() => parsePrefix('10.1.2')).toThrow('neither a prefix nor an address');
  });

  it('know the formats', () => {
    expect(renderAs(parseFormat('yaml'), { a: [1] }, () => '')).toBe('a:\n  - 1\n');
    expect(renderAs(parseFormat('wide'), {}, (isWide) => String(isWide))).toBe('true');
    expect(() => parseFormat('xml')).toThrow('unrecognized output format "xml"');
  });
});
