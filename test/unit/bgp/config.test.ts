// The configuration document: every problem by its field, defaults, and what a change means for a peer.

import { describe, expect, it } from '@jest/globals';
import {
  type PeerConfig,
  parseConfiguration,
  type SpeakerConfig,
  speakerConfig,
} from '../../../agents/bgp/config.ts';
import { needsNewSpeaker, peerChange } from '../../../agents/bgp/config-change.ts';
import { applyPolicy } from '../../../agents/bgp/policy/policy.ts';
import type { BgpdConfigurationInput } from '../../../lib/protocol/bgpd.ts';
import { cidr, ip } from './rib/rib-support.ts';

const peer = { name: 'a', address: '10.9.0.2', asn: 65000 };
const base: BgpdConfigurationInput = { routerId: '10.9.0.1', asn: 65000, peers: [peer] };

function config(
  input: BgpdConfigurationInput,
  passwords: ReadonlyMap<string, string> = new Map(),
): SpeakerConfig {
  const parsed = parseConfiguration(input);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  return speakerConfig(parsed.configuration, passwords);
}
const peerOf = (more: object): PeerConfig =>
  config({ ...base, peers: [{ ...peer, ...more }] }).peers[0] as PeerConfig;

describe('problems', () => {
  it('are all reported, each by its field', () => {
    const parsed = parseConfiguration({
      routerId: '0.0.0.0',
      asn: 4294967296,
      speed: 1,
      listen: [{ address: 'here', port: 0 }],
      peers: [
        { name: 'a', address: '10.9.0.2', asn: 23456, password: 'x', passwordFile: '/y' },
        { name: 'a', address: '10.9.0.2', asn: 65001, routeReflectorClient: true, families: [] },
      ],
      originate: ['10.1.0.1/26', { prefix: '10.2.0.0/26', communities: ['70000:1'] }],
      kernel: { protocol: 4 },
    });
    if (parsed.ok) throw new Error('accepted');
    const fields = parsed.errors.map(({ field }) => field);
    for (const field of [
      'routerId',
      'asn',
      'listen[0].address',
      'listen[0].port',
      'peers[0].asn',
      'peers[1].families',
      'originate[0]',
      'kernel.protocol',
    ]) {
      expect(fields).toContain(field);
    }
    expect(parsed.errors.some(({ message }) => message.includes('speed'))).toBe(true);
  });

  it.each([
    ['two peers of one name', { peers: [peer, { ...peer, address: '10.9.0.3' }] }, 'peers[1].name'],
    ['two peers at one address', { peers: [peer, { ...peer, name: 'b' }] }, 'peers[1].address'],
    [
      'an external client',
      { peers: [{ ...peer, asn: 65001, routeReflectorClient: true }] },
      'peers[0].routeReflectorClient',
    ],
    // 41 characters, 82 octets: the kernel takes 80.
    ['a password too long', { peers: [{ ...peer, password: 'ü'.repeat(41) }] }, 'peers[0].password'],
    ['password and file', { peers: [{ ...peer, password: 'x', passwordFile: '/y' }] }, 'peers[0].password'],
  ])('%s', (_name, more, field) => {
    const parsed = parseConfiguration({ ...base, ...more });
    expect(parsed.ok ? [] : parsed.errors.map((error) => error.field)).toEqual([field]);
  });
});

describe('defaults', () => {
  it('are those of the documentation', () => {
    const { listen, kernel, peers, selectionDeferralSeconds } = config(base);
    expect(listen).toEqual([
      { address: '0.0.0.0', port: 179 },
      { address: '::', port: 179 },
    ]);
    expect(kernel).toEqual({
      enabled: true,
      protocol: 81,
      blackholes: [],
      onlyPrefixes: undefined,
      exceptPrefixes: [],
      staticRoutes: [],
      maxPaths: 16,
    });
    expect(selectionDeferralSeconds).toBe(30);
    expect(peers[0]).toMatchObject({
      port: 179,
      holdTimeSeconds: 90,
      connectRetrySeconds: 5,
      gracefulRestartSeconds: 120,
      maxPrefixesRestartSeconds: 300,
      passive: false,
      rib: expect.objectContaining({ maxPrefixes: 1_000_000 }),
    });
  });

  it('RFC 8212: internal peers accept, external ones reject without a policy', () => {
    const input = {
      prefix: cidr('10.1.0.0/26'),
      source: 'peer' as const,
      attributes: { nextHop: ip('10.9.0.2') },
    };
    for (const which of ['importPolicy', 'exportPolicy'] as const) {
      expect(applyPolicy(peerOf({}).rib[which], input)).toBeDefined();
      expect(applyPolicy(peerOf({ asn: 65001 }).rib[which], input)).toBeUndefined();
    }
  });

  it('RFC 4456 §8: the cluster id of clients is that towards all others, where there is one alone', () => {
    const ids = (...clusterIds: (string | undefined)[]): (number | undefined)[] =>
      config({
        ...base,
        peers: clusterIds.map((clusterId, index) => ({
          ...{ ...peer, name: `p${index}`, address: `10.9.1.${index}` },
          ...(clusterId === undefined ? {} : { clusterId, routeReflectorClient: true }),
        })),
      }).peers.map(({ rib }) => rib.clusterId);
    const [one = 0] = ids('1.0.0.1');
    const [routerId = 0] = ids(undefined);
    expect(ids('1.0.0.1', undefined)).toEqual([one, one]);
    expect(ids('1.0.0.1', '1.0.0.2', undefined)).toEqual([one, one + 1, routerId]);
  });

  it('takes a password from its file', () => {
    const withFile = { ...base, peers: [{ ...peer, passwordFile: '/run/secret' }] };
    expect(config(withFile, new Map([['/run/secret', 's3cret']])).peers[0]?.password).toBe('s3cret');
  });

  it('is nothing without the content of a password file, of a peer or of a range', () => {
    const passwordFile = '/run/secret';
    const range = { name: 'pods', prefix: '10.8.0.0/16', asns: [65001], passwordFile };
    for (const lists of [{ peers: [{ ...peer, passwordFile }] }, { dynamicPeers: [range] }]) {
      for (const passwords of [new Map(), new Map([[passwordFile, '']])])
        expect(() => config({ ...base, ...lists }, passwords)).toThrow('the password of /run/secret');
    }
  });
});

describe('what a peer may be', () => {
  const problemsOf = (input: Partial<BgpdConfigurationInput>): string[] => {
    const parsed = parseConfiguration({ ...base, ...input });
    return parsed.ok ? [] : parsed.errors.map(({ field, message }) => `${field}: ${message}`);
  };
  const withPeer = (more: object): string[] => problemsOf({ peers: [{ ...peer, ...more }] });

  it('link-local with its interface, and nothing else with one', () => {
    expect(peerOf({ address: 'fe80::0:1%eth0' })).toMatchObject({
      addressText: 'fe80::1%eth0',
      zone: 'eth0',
    });
    expect(withPeer({ address: 'fe80::1' })).toEqual([
      'peers[0].address: a link-local address needs its interface, like fe80::1%eth0',
    ]);
    expect(withPeer({ address: 'fd00::1%eth0' })).toEqual(['peers[0].address: not an IP address']);
  });

  it('two on different interfaces with one address, if their keys are the same', () => {
    const two = (one: object, other: object): string[] =>
      problemsOf({
        peers: [
          { ...peer, address: 'fe80::1%eth0', ...one },
          { ...peer, name: 'b', address: 'fe80::1%eth1', ...other },
        ],
      });
    expect(two({ password: 'x' }, { password: 'x' })).toEqual([]);
    expect(two({ password: 'x' }, {})).toEqual([
      'peers[1].password: another peer has this link-local address and another key',
    ]);
  });

  it('of a role towards external peers only, and strict with a role of ours', () => {
    expect(withPeer({ asn: 65001, role: 'customer', strictRole: true })).toEqual([]);
    expect(withPeer({ role: 'customer' })).toEqual([
      'peers[0].role: only towards an external peer there are roles',
    ]);
    expect(withPeer({ asn: 65001, strictRole: true })).toEqual(['peers[0].strictRole: needs a role of ours']);
  });

  it('from a range of its own name and prefix, with ranges of AS numbers', () => {
    const range = { name: 'racks', prefix: '10.1.0.0/16', asns: [65001, { from: 65010, to: 65020 }] };
    const { dynamicPeers } = config({ ...base, dynamicPeers: [range] });
    expect(dynamicPeers[0]).toMatchObject({
      asns: [
        { from: 65001, to: 65001 },
        { from: 65010, to: 65020 },
      ],
      limit: 100,
    });
    expect(problemsOf({ dynamicPeers: [range, range] })).toEqual([
      'dynamicPeers[1].name: name is used twice',
      'dynamicPeers[1].prefix: prefix is used twice',
    ]);
    expect(problemsOf({ dynamicPeers: [{ ...range, asns: [{ from: 2, to: 1 }] }] })).not.toEqual([]);
    expect(problemsOf({ dynamicPeers: [{ ...range, routeReflectorClient: true }] })).toEqual([
      'dynamicPeers[0].routeReflectorClient: only an internal peer can be a client',
    ]);
  });
});

describe('changes', () => {
  const before = peerOf({});
  it.each([
    [{}, 'none'],
    [{ holdTimeSeconds: 30 }, 'timers'],
    [{ passive: true }, 'timers'],
    [{ maxPrefixesRestartSeconds: 10 }, 'timers'],
    [{ enabled: false, shutdownText: 'x' }, 'timers'],
    [{ description: 'x' }, 'timers'],
    [{ keepaliveSeconds: 5 }, 'timers'],
    [{ maxPrefixes: 10 }, 'rib'],
    [{ importPolicy: { rules: [{ prefix: '10.0.0.0/8', action: 'reject' }], otherwise: 'accept' } }, 'rib'],
    [{ nextHopMode: 'self' }, 'rib'],
    [{ routeReflectorClient: true, holdTimeSeconds: 30 }, 'rib'],
    [{ password: 'x' }, 'session'],
    [{ asn: 65001 }, 'session'],
    [{ families: ['ipv4Unicast'] }, 'session'],
    [{ localAddress: '10.9.0.1' }, 'session'],
    [{ ttlSecurity: 1 }, 'session'],
    [{ addPaths: { send: true } }, 'session'],
    [{ extendedNextHop: true }, 'session'],
    [{ requireCapabilities: ['addPath'] }, 'session'],
  ] as const)('%j: %s', (more, expected) => {
    expect(peerChange(before, peerOf(more))).toBe(expected);
  });

  it("router id, AS number and the kernel's switch need a new speaker; peers and prefixes do not", () => {
    const now = config(base);
    expect(needsNewSpeaker(now, config({ ...base, routerId: '10.9.0.9' }))).toBe(true);
    expect(needsNewSpeaker(now, config({ ...base, kernel: { enabled: false } }))).toBe(true);
    expect(
      needsNewSpeaker(
        now,
        config({ ...base, peers: [], originate: ['10.1.0.0/26'], kernel: { blackholes: ['10.1.0.0/26'] } }),
      ),
    ).toBe(false);
  });
});
