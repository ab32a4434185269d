// What of a host is looked at besides our table (docs/dataplane.md "Other tables").

import { describe, expect, it } from '@jest/globals';
import { DEFAULT_FELIX_SETTINGS } from '../../../../agents/felix/calc/felix-settings.ts';
import { HostCheck } from '../../../../agents/felix/nftables/host-check.ts';
import {
  foreignRules,
  NO_FOREIGN_RULES,
  nftVersion,
  OWN_COMMENT,
} from '../../../../agents/felix/nftables/render/foreign-rules.ts';
import {
  type AcceptSettings,
  acceptChanges,
  acceptRemovals,
  droppingProblems,
} from '../../../../agents/felix/nftables/render/forward-accepts.ts';
import { versionProblems } from '../../../../agents/felix/nftables/render/supported-versions.ts';
import { silentLogger } from '../../../../lib/logging/logger.ts';

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
const jump = (target: string): object => ({ jump: { target } });
const comment = { xt: { type: 'match', name: 'comment' } };
const docker = [
  chain('ip', 'filter', 'FORWARD', forward('drop')),
  rule('ip', 'filter', 'FORWARD', counter, jump('DOCKER-USER')),
];
const look = (...nftables: object[]): ReturnType<typeof foreignRules> => foreignRules({ nftables }, ['cali']);
/** `chain: side …` of what nobody accepts. */
const unaccepted = ({ droppingChains }: ReturnType<typeof foreignRules>): readonly string[] =>
  droppingChains.map(
    ({ table, name, unaccepted: sides }) => `${table} ${name}: ${sides.map(({ side }) => side).join(' ')}`,
  );
const own = (name: string, side: 'iifname' | 'oifname', handle: number, prefix = 'cali'): object => ({
  rule: {
    family: 'ip',
    table: 'filter',
    chain: name,
    handle,
    comment: OWN_COMMENT,
    expr: [match(side, `${prefix}*`), counter, accept],
  },
});
const NONE = 'ip filter FORWARD: ';
const BOTH = 'ip filter FORWARD: iifname oifname';

describe('chains of others', () => {
  it('that forward and drop by policy are named, in each family that forwards', () => {
    const rules = look(
      chain('ip', 'filter', 'FORWARD', forward('drop')),
      chain('inet', 'firewall', 'fw', forward('drop')),
      chain('ip6', 'filter', 'FORWARD', forward('accept')),
      chain('bridge', 'filter', 'FORWARD', forward('drop')),
      chain('ip', 'filter', 'INPUT', { ...forward('drop'), hook: 'input' }),
      chain('ip', 'filter', 'DOCKER-USER'),
    );
    expect(unaccepted(rules)).toEqual([BOTH, 'inet firewall fw: iifname oifname']);
    expect(rules.droppingChains.map(({ hasUserChain }) => hasUserChain)).toEqual([false, false]);
  });

  const both = [
    rule('ip', 'filter', 'DOCKER-USER', match('iifname', 'cali*'), counter, accept),
    rule('ip', 'filter', 'DOCKER-USER', match('oifname', 'cali*'), comment, counter, accept),
  ];
  const user = (...expr: object[]): object => rule('ip', 'filter', 'DOCKER-USER', ...expr);

  it.each([
    ['both sides of workloads', both, NONE],
    ['one side alone', both.slice(0, 1), 'ip filter FORWARD: oifname'],
    [
      'other interfaces',
      [user(match('iifname', 'docker0'), accept), user(match('oifname', 'ca*'), accept)],
      BOTH,
    ],
    [
      'all but workloads',
      [user(match('iifname', 'cali*', '!='), accept), user(match('oifname', 'cali*', '!='), accept)],
      BOTH,
    ],
    [
      'workloads under a condition',
      [
        user(match('iifname', 'cali*'), match('l4proto', 'tcp'), accept),
        user(match('oifname', 'cali*'), { xt: { type: 'match', name: 'conntrack' } }, counter, accept),
      ],
      BOTH,
    ],
    ['workloads behind a return', [user(counter, { return: null }), ...both], BOTH],
    [
      'workloads in a chain that only some packets come by',
      [
        rule('ip', 'filter', 'FORWARD', match('iifname', 'eth0'), jump('SOME')),
        rule('ip', 'filter', 'SOME', match('iifname', 'cali*'), accept),
        rule('ip', 'filter', 'ELSEWHERE', match('oifname', 'cali*'), accept),
      ],
      BOTH,
    ],
  ])('that accept %s', (_what, rules, expected) => {
    expect(unaccepted(look(...docker, ...rules))).toEqual([expected]);
  });

  it('that set marks are named, ours are not', () => {
    const { ctMarkChains, packetMarkChains } = look(
      rule('inet', 'calico', 'stamp_1_v1', setMark, accept),
      rule('ip', 'mangle', 'PREROUTING', counter, setMark),
      rule('ip', 'mangle', 'PREROUTING', setMark),
      rule('ip', 'mangle', 'POSTROUTING', { xt: { type: 'target', name: 'CONNMARK' } }),
      rule('ip', 'mangle', 'OUTPUT', { mangle: { key: { meta: { key: 'mark' } }, value: 5 } }),
      rule('ip', 'nat', 'KUBE-MARK-MASQ', { xt: { type: 'target', name: 'MARK' } }),
    );
    expect(ctMarkChains).toEqual(['ip mangle PREROUTING', 'ip mangle POSTROUTING']);
    expect(packetMarkChains).toEqual(['ip mangle OUTPUT', 'ip nat KUBE-MARK-MASQ']);
  });

  it('of a listing that is none are not there', () => {
    for (const json of [undefined, null, [], { nftables: 'x' }, { nftables: [null, 5, { chain: 'x' }] }])
      expect(foreignRules(json, ['cali'])).toEqual({
        ...NO_FOREIGN_RULES,
        endings: new Map(),
      });
  });
});

describe('accepts in chains of others', () => {
  const defaults: AcceptSettings = { foreignAccepts: 'docker', insertsForeignAccepts: true };
  const texts = (
    rules: ReturnType<typeof foreignRules>,
    settings: Partial<AcceptSettings> = {},
  ): readonly string[] =>
    acceptChanges(rules, { ...defaults, ...settings }).map(({ text }) =>
      text.replace(` comment "${OWN_COMMENT}"`, ''),
    );
  const userChain = [...docker, rule('ip', 'filter', 'DOCKER-USER', counter, { return: null })];
  const firewall = [chain('inet', 'firewall', 'fw', forward('drop'))];

  it('come first in the chain that Docker leaves to the user', () => {
    expect(texts(look(...userChain))).toEqual([
      'insert rule ip filter DOCKER-USER iifname "cali*" counter accept',
      'insert rule ip filter DOCKER-USER oifname "cali*" counter accept',
    ]);
  });

  it('come last, ahead of what ends the chain, where the settings say so', () => {
    expect(texts(look(...userChain), { insertsForeignAccepts: false })).toEqual([
      'insert rule ip filter DOCKER-USER handle 2 iifname "cali*" counter accept',
      'insert rule ip filter DOCKER-USER handle 2 oifname "cali*" counter accept',
    ]);
    expect(texts(look(...firewall), { foreignAccepts: 'all', insertsForeignAccepts: false })).toEqual([
      'add rule inet firewall fw iifname "cali*" counter accept',
      'add rule inet firewall fw oifname "cali*" counter accept',
    ]);
  });

  it('are put into a firewall’s chain only if the settings say so, and into none if they say that', () => {
    expect(texts(look(...firewall))).toEqual([]);
    expect(texts(look(...firewall), { foreignAccepts: 'all' })).toHaveLength(2);
    expect(texts(look(...userChain), { foreignAccepts: 'none' })).toEqual([]);
  });

  it('are of each prefix of workloads’ interfaces', () => {
    expect(texts(foreignRules({ nftables: userChain }, ['cali', 'tap']))).toHaveLength(4);
  });

  it('are left alone where they are, put back where they are not, and taken away where nothing asks for them', () => {
    const first = own('DOCKER-USER', 'iifname', 7);
    const second = own('DOCKER-USER', 'oifname', 8);
    expect(texts(look(...docker, first, second))).toEqual([]);
    expect(texts(look(...docker, second))).toEqual([
      'insert rule ip filter DOCKER-USER iifname "cali*" counter accept',
    ]);
    expect(texts(look(...docker, first, second, own('DOCKER-USER', 'oifname', 9)))).toEqual([
      'delete rule ip filter DOCKER-USER handle 9',
    ]);
    expect(texts(look(...docker, first, second, own('DOCKER-USER', 'oifname', 9, 'tap')))).toEqual([
      'delete rule ip filter DOCKER-USER handle 9',
    ]);
    expect(texts(look(...docker, first, second), { foreignAccepts: 'none' })).toEqual([
      'delete rule ip filter DOCKER-USER handle 7',
      'delete rule ip filter DOCKER-USER handle 8',
    ]);
    const open = chain('ip', 'filter', 'FORWARD', forward('accept'));
    expect(texts(look(open, first))).toEqual(['delete rule ip filter DOCKER-USER handle 7']);
    expect(acceptRemovals(look(open, first, second))).toHaveLength(2);
  });

  it('go where the user has accepted the same', () => {
    const users = rule('ip', 'filter', 'DOCKER-USER', match('iifname', 'cali*'), counter, accept);
    expect(
      texts(look(...docker, own('DOCKER-USER', 'iifname', 7), own('DOCKER-USER', 'oifname', 8), users)),
    ).toEqual(['delete rule ip filter DOCKER-USER handle 7']);
  });

  it('are not put into a chain whose name could be read as something else', () => {
    const odd = chain('inet', 'fire wall', 'fw; flush ruleset', forward('drop'));
    expect(texts(look(odd), { foreignAccepts: 'all' })).toEqual([]);
    expect(droppingProblems(look(odd))).toHaveLength(1);
  });

  it('that are missing are said in a sentence', () => {
    expect(droppingProblems(look(...firewall))).toEqual([
      expect.stringMatching(
        /^chain "inet firewall fw" drops .*: accept iifname "cali\*" and oifname "cali\*" there,/,
      ),
    ]);
    expect(droppingProblems(look(...docker, own('DOCKER-USER', 'iifname', 7)))).toEqual([
      expect.stringContaining('accept oifname "cali*" in DOCKER-USER'),
    ]);
    const open = look(...docker, own('DOCKER-USER', 'iifname', 7), own('DOCKER-USER', 'oifname', 8));
    expect(droppingProblems(open)).toEqual([]);
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

describe('looks at others', () => {
  it('take a twentieth of the time at most, but for a change of the settings', async () => {
    let now = 1_000;
    let looks = 0;
    const writer = {
      othersRuleset: async (): Promise<unknown> => {
        looks++;
        now += 100;
        return { nftables: [] };
      },
    } as unknown as ConstructorParameters<typeof HostCheck>[0]['writer'];
    const events = { emit: () => undefined };
    const host = new HostCheck({ writer, events, logger: silentLogger(), nowMs: () => now });
    await host.look(1, DEFAULT_FELIX_SETTINGS);
    await host.look(1, DEFAULT_FELIX_SETTINGS);
    expect(looks).toBe(1);
    now += 1_900;
    await host.look(2, DEFAULT_FELIX_SETTINGS);
    expect(looks).toBe(1);
    now += 100;
    await host.look(2, DEFAULT_FELIX_SETTINGS);
    expect(looks).toBe(2);
    await host.look(2, { ...DEFAULT_FELIX_SETTINGS, foreignAccepts: 'none' });
    expect(looks).toBe(3);
  });
});
