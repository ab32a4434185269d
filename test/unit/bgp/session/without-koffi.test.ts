// bgpd where koffi cannot be loaded: what needs no option of its own runs, what does is refused and says why.

import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { BgpdConfigurationInput } from '../../../../lib/protocol/bgpd.ts';
import { LoopbackBgpd } from './loopback-bgpd.ts';

type PeerInput = NonNullable<BgpdConfigurationInput['peers']>[number];

/** A hook of Node's loader that lets every package through but one. */
const HOOK = `import { registerHooks } from 'node:module';
registerHooks({ resolve(specifier, context, next) {
  if (specifier === 'koffi') throw new Error('no such package here');
  return next(specifier, context);
} });`;

// A process of its own has to start, on a machine that may be busy.
jest.setTimeout(60_000);

describe('bgpd without koffi', () => {
  let bgpd: LoopbackBgpd;

  beforeEach(async () => {
    const url = `data:text/javascript,${encodeURIComponent(HOOK)}`;
    bgpd = await LoopbackBgpd.start({ NODE_OPTIONS: `--import=${url}` });
  });
  afterEach(() => bgpd.stop());

  it('refuses the peers that would be unprotected, and runs the others', async () => {
    const peer = (n: number, more: Partial<PeerInput>): PeerInput => ({
      name: `p${n}`,
      address: `127.0.0.${n}`,
      asn: 65000,
      passive: true,
      ...more,
    });
    await bgpd.configure({
      peers: [
        peer(2, {}),
        peer(3, { password: 'x' }),
        peer(4, { ttlSecurity: 1 }),
        peer(5, { password: 'x', passive: false }),
      ],
    });
    const plain = await bgpd.establish(2);
    for (const n of [3, 4]) await expect(bgpd.establish(n)).rejects.toThrow('no open came');
    const { peers, counters } = await bgpd.client.status();
    expect(peers.map(({ state }) => state === 'Established')).toEqual([true, false, false, false]);
    expect(counters.refused).toEqual({ unprotected: 2 });
    expect(peers.map(({ why }) => why?.name)).toEqual([
      undefined,
      'unprotected',
      'unprotected',
      'unprotected',
    ]);
    expect(peers[1]?.why?.sentence).toContain('no such package here');
    const { entries } = await bgpd.client.history('p5');
    expect(entries).toMatchObject([
      {
        reason: {
          name: 'unprotected',
          sentence: expect.stringContaining('a password is configured, but TCP-MD5'),
        },
      },
    ]);
    plain.close();
  });
});
