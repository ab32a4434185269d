// What of a host is looked at besides our table (docs/dataplane.md "Other tables").

import { describe, expect, it } from '@jest/globals';
import { foreignRules, nftVersion } from '../../../../agents/felix/nftables/render/foreign-rules.ts';
import { versionProblems } from '../../../../agents/felix/nftables/render/supported-versions.ts';

const chain = (family: string, table: string, name: string, more: object = {}): object => ({
  chain: { family, table, name, handle: 1, ...more },
});
const forward = (policy: string): object => ({ type: 'filter', hook: 'forward', prio: 0, policy });
const rule = (family: string, table: string, name: string, ...expr: object[]): object => ({
  rule: { family, table, chain: name, handle: 2, expr },
});
const match = (key: string, right: unknown, op = '=='): object => ({
  match: { op, left: { meta: { key } }, right },
});
const counter = { counter: { packets: 0, bytes: 0 } };
const accept = { accept: null };
const setMark = { mangle: { key: { ct: { key: 'mark' } }, value: 5 } };
const look = (...nftables: object[]): ReturnType<typeof foreignRules> => foreignRules({ nftables }, 'cali');

describe('chains of others', () => {
  it('that forward and drop by policy are named, in each family that forwards', () => {
    const { droppingForwardChains } = look(
      chain('ip', 'filter', 'FORWARD', forward('drop')),
      chain('inet', 'firewall', 'fw', forward('drop')),
      chain('ip6', 'filter', 'FORWARD', forward('accept')),
      chain('bridge', 'filter', 'FORWARD', forward('drop')),
      chain('ip', 'filter', 'INPUT', { ...forward('drop'), hook: 'input' }),
      chain('ip', 'filter', 'DOCKER-USER'),
    );
    expect(droppingForwardChains).toEqual(['ip filter FORWARD', 'inet firewall fw']);
  });

  it.each([
    ['both sides of workloads', [match('iifname', 'cali*')], [match('oifname', 'cali*')], []],
    ['one side alone', [match('iifname', 'cali*')], [match('iifname', 'cali*')], ['ip filter FORWARD']],
    ['other interfaces', [match('iifname', 'docker0')], [match('oifname', 'docker0')], ['ip filter FORWARD']],
    [
      'all but workloads',
      [match('iifname', 'cali*', '!=')],
      [match('oifname', 'cali*', '!=')],
      ['ip filter FORWARD'],
    ],
    [
      'workloads under a condition',
      [match('iifname', 'cali*'), match('l4proto', 'tcp')],
      [match('oifname', 'cali*')],
      ['ip filter FORWARD'],
    ],
  ])('that accept %s', (_what, first, second, dropping) => {
    const { droppingForwardChains } = look(
      chain('ip', 'filter', 'FORWARD', forward('drop')),
      rule('ip', 'filter', 'DOCKER-USER', ...first, counter, accept),
      rule('ip', 'filter', 'DOCKER-USER', ...second, counter, accept),
    );
    expect(droppingForwardChains).toEqual(dropping);
  });

  it('that set ct marks are named, ours are not', () => {
    const { ctMarkChains } = look(
      rule('inet', 'calico', 'stamp_1_v1', setMark, accept),
      rule('ip', 'mangle', 'PREROUTING', counter, setMark),
      rule('ip', 'mangle', 'PREROUTING', setMark),
      rule('ip', 'mangle', 'POSTROUTING', { xt: { type: 'target', name: 'CONNMARK' } }),
      rule('ip', 'mangle', 'OUTPUT', { mangle: { key: { meta: { key: 'mark' } }, value: 5 } }),
    );
    expect(ctMarkChains).toEqual(['ip mangle PREROUTING', 'ip mangle POSTROUTING']);
  });

  it('of a listing that is none are not there', () => {
    for (const json of [undefined, null, [], { nftables: 'x' }, { nftables: [null, 5, { chain: 'x' }] }])
      expect(foreignRules(json, 'cali')).toEqual({ droppingForwardChains: [], ctMarkChains: [] });
  });
});

describe('versions', () => {
  it('are read from what nft says of itself', () => {
    expect(nftVersion({ nftables: [{ metainfo: { version: '1.0.6', release_name: 'x' } }] })).toBe('1.0.6');
    expect(nftVersion(undefined)).toBeUndefined();
  });

  it.each([
    ['6.18.44', '1.0.6', undefined, undefined],
    ['6.17.0-1-cloud', '1.1.3', undefined, undefined],
    ['6.12.48+deb13-amd64', '1.1.3', undefined, undefined],
    ['7.0-rc1', undefined, undefined, undefined],
    ['6.16.3', '1.0.6', undefined, 'Linux 6.16.3: a lookup during a change may miss'],
    ['6.1.0-37-amd64', '1.0.6', undefined, 'Linux 6.1.0-37-amd64: a lookup during a change may miss'],
    [
      '5.4.0-200-generic',
      '1.0.6',
      'Linux 5.4.0-200-generic is too old: 5.10 or later is needed',
      'Linux 5.4.0',
    ],
    ['6.18.44', '0.9.8', 'libnftables 0.9.8 is too old: 1.0.6 or later is needed', undefined],
    [
      '4.19',
      '1.0.2',
      'Linux 4.19 is too old: 5.10 or later is needed; libnftables 1.0.2 is too old',
      'Linux 4.19',
    ],
    ['unknown', 'unknown', undefined, undefined],
  ])('Linux %s with nft %s', (kernel, nft, error, warning) => {
    const problems = versionProblems(kernel, nft);
    expect(problems.error).toEqual(error && expect.stringContaining(error));
    expect(problems.warning).toEqual(warning && expect.stringContaining(warning));
  });
});
