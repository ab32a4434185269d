// The configuration document: every problem by its field, defaults, and what a change means for a peer.

import { describe, expect, it } from '@jest/globals';
import {
  needsNewSpeaker,
  type PeerConfig,
  parseConfiguration,
  peerChange,
  type SpeakerConfig,
  speakerConfig,
} from '../../../agents/bgp/config.ts';
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

  it('takes a password from its file', () => {
    const withFile = { ...base, peers: [{ ...peer, passwordFile: '/run/secret' }] };
    expect(config(withFile, new Map([['/run/secret', 's3cret']])).peers[0]?.password).toBe('s3cret');
  });
});

describe('changes', () => {
  const before = peerOf({});
  it.each([
    [{}, 'none'],
    [{ holdTimeSeconds: 30 }, 'timers'],
    [{ passive: true }, 'timers'],
    [{ maxPrefixesRestartSeconds: 10 }, 'timers'],
    [{ maxPrefixes: 10 }, 'rib'],
    [{ importPolicy: { rules: [{ prefix: '10.0.0.0/8', action: 'reject' }], otherwise: 'accept' } }, 'rib'],
    [{ nextHopMode: 'self' }, 'rib'],
    [{ routeReflectorClient: true, holdTimeSeconds: 30 }, 'rib'],
    [{ password: 'x' }, 'session'],
    [{ asn: 65001 }, 'session'],
    [{ families: ['ipv4Unicast'] }, 'session'],
    [{ localAddress: '10.9.0.1' }, 'session'],
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
