// The rehearsal: worth it where large tables may come, and bounded in time.

import { describe, expect, it } from '@jest/globals';
import { parseConfiguration, speakerConfig } from '../../../agents/bgp/config.ts';
import { isWorthRehearsing, rehearse } from '../../../agents/bgp/rehearsal.ts';
import type { BgpdConfigurationInput } from '../../../lib/protocol/bgpd.ts';

const base = { routerId: '127.0.0.1', asn: 65000 };

function isWorth(configuration: BgpdConfigurationInput): boolean {
  const parsed = parseConfiguration(configuration);
  if (!parsed.ok) throw new Error(JSON.stringify(parsed.errors));
  return isWorthRehearsing(speakerConfig(parsed.configuration, new Map()));
}

const hosts = (count: number): NonNullable<BgpdConfigurationInput['peers']> =>
  Array.from({ length: count }, (_, index) => ({
    name: `node-${index}`,
    address: `10.9.${index >>> 8}.${index & 255}`,
    asn: 65000,
    maxPrefixes: 10_000,
  }));

describe('a rehearsal', () => {
  it('is left out for a few hosts of a small cluster', () => {
    expect([isWorth(base), isWorth({ ...base, peers: hosts(5) })]).toEqual([false, false]);
  });

  it.each<[string, BgpdConfigurationInput]>([
    [
      'a peer that may send a large table',
      { ...base, peers: [{ name: 'a', address: '10.9.0.1', asn: 65001 }] },
    ],
    ['hundreds of hosts', { ...base, peers: hosts(300) }],
    ['a range of peers', { ...base, dynamicPeers: [{ name: 'all', prefix: '10.0.0.0/8', asns: [65000] }] }],
  ])('is worth it with %s', (_name, configuration) => {
    expect(isWorth(configuration)).toBe(true);
  });

  it('goes through tables of its own without an error', () => {
    expect(rehearse()).toBeGreaterThan(0);
  });
});
