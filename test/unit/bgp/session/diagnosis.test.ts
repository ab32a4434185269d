// Why a peer has no session, over several attempts and over changes of its configuration.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { localOpen } from '../../../../agents/bgp/fsm/negotiate.ts';
import type { PeerSession } from '../../../../agents/bgp/session/peer-session.ts';
import { LoopbackSpeaker, sessionOf } from './loopback-speaker.ts';

describe('why there is no session', () => {
  let loopback: LoopbackSpeaker;
  const raw = { name: 'raw', address: '127.0.0.2', asn: 65000, passive: true };

  beforeEach(async () => {
    loopback = await LoopbackSpeaker.start({ peers: [raw] });
  });
  afterEach(() => loopback.stop());

  const peer = (): PeerSession => {
    const found = loopback.speaker.peer('raw');
    if (found === undefined) throw new Error('no peer');
    return found;
  };
  const reasons = () =>
    peer().history.entries.flatMap((entry) => (entry.kind === 'reason' ? [entry.reason] : []));

  async function refusedForItsAs(): Promise<void> {
    const wrong = await loopback.connect('127.0.0.2');
    wrong.send(localOpen(sessionOf('127.0.0.2', 65009)));
    await wrong.next('notification');
    await wrong.ended;
    await loopback.until('refused', () => reasons().length === 1);
  }

  it('is the wrong AS still when the peer only closes afterwards', async () => {
    await refusedForItsAs();
    const again = await loopback.connect('127.0.0.2');
    await again.next('open');
    again.close();
    await loopback.until('closed', () => reasons().length === 2);
    expect(reasons().map(({ name }) => name)).toEqual(['OPEN message error: bad peer AS', 'closed']);
    expect(peer().why?.sentence).toMatch(/has another AS number than configured/);
  });

  it('is how the last session ended once there was one', async () => {
    await refusedForItsAs();
    const good = await loopback.establish('127.0.0.2', 65000);
    await loopback.until('up', () => peer().session !== undefined);
    good.close();
    await loopback.until('down', () => peer().session === undefined);
    expect(peer().why?.name).toBe('closed');
  });

  it('is found anew under another configuration, which keeps history and counts', async () => {
    await loopback.establish('127.0.0.2', 65000);
    await loopback.until('up', () => peer().session !== undefined);
    await loopback.reconfigure({ peers: [{ ...raw, asn: 65009 }] });
    await loopback.until('down', () => peer().status.flaps === 1);
    expect([...peer().counts.downs]).toEqual([['stopped', 1]]);
    await refusedByAs();
    await loopback.reconfigure({ peers: [raw] });
    expect(reasons()).toHaveLength(1);
    expect(peer().status.messages.sent).toBeGreaterThan(1);
    expect(peer().why?.name).toBe('passive');
  });

  /** The peer is AS 65000, and 65009 is configured. */
  async function refusedByAs(): Promise<void> {
    const wrong = await loopback.connect('127.0.0.2');
    wrong.send(localOpen(sessionOf('127.0.0.2', 65000)));
    await wrong.next('notification');
    await loopback.until('refused', () => reasons().length === 1);
  }
});
