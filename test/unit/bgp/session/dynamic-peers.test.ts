// Dynamic peers on loopback: who becomes one, under which name, with which AS, how many, and when one is forgotten.

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { localOpen } from '../../../../agents/bgp/fsm/negotiate.ts';
import { LoopbackSpeaker, sessionOf } from './loopback-speaker.ts';

describe('dynamic peers', () => {
  let loopback: LoopbackSpeaker;
  const ranges = [
    { name: 'wide', prefix: '127.0.0.0/8', asns: [65000] },
    { name: 'racks', prefix: '127.0.1.0/24', asns: [65001, { from: 65010, to: 65020 }], limit: 2 },
  ];

  beforeEach(async () => {
    loopback = await LoopbackSpeaker.start({
      peers: [{ name: 'named', address: '127.0.1.9', asn: 65000, passive: true }],
      dynamicPeers: ranges,
    });
  });
  afterEach(() => loopback.stop());

  const names = (): string[] => [...loopback.speaker.peers].map(({ name }) => name).sort();

  it('are named after their range and address, and take the longest prefix', async () => {
    await loopback.establish('127.0.1.2', 65015);
    await loopback.establish('127.0.2.2', 65000);
    expect(names()).toEqual(['named', 'racks/127.0.1.2', 'wide/127.0.2.2']);
    const peer = loopback.speaker.peer('racks/127.0.1.2');
    expect(peer?.session).toMatchObject({ peerAsn: 65015, context: { peerType: 'external' } });
  });

  it('are none where the address has a peer of its own', async () => {
    await loopback.establish('127.0.1.9', 65000);
    expect(names()).toEqual(['named']);
  });

  it('are refused with 2/2 for an AS number outside the range', async () => {
    const peer = await loopback.connect('127.0.1.2');
    peer.send(localOpen(sessionOf('127.0.1.2', 65009)));
    expect(await peer.next('notification')).toMatchObject({ code: 2, subcode: 2 });
    await peer.ended;
    // Nothing is remembered of who never had a session.
    await loopback.until('forgotten', () => names().length === 1);
  });

  it('are as many as the range allows', async () => {
    await loopback.establish('127.0.1.2', 65001);
    await loopback.establish('127.0.1.3', 65001);
    const third = await loopback.connect('127.0.1.4');
    expect(await third.ended).toMatch(/closed|ECONNRESET/);
    expect(loopback.speaker.listener.refused).toMatchObject({ rangeFull: 1 });
  });

  it('keep their session when the range stays, and lose it with Cease 6/3 when it goes', async () => {
    const peer = await loopback.establish('127.0.1.2', 65001);
    await loopback.reconfigure({ dynamicPeers: [...ranges], originate: ['10.1.0.0/24'] });
    expect(loopback.speaker.peer('racks/127.0.1.2')?.session).toBeDefined();
    await loopback.reconfigure({ dynamicPeers: ranges.slice(0, 1) });
    expect(await peer.next('notification')).toMatchObject({ code: 6, subcode: 3 });
    expect(names()).toEqual([]);
  });

  it('stay for a while after their session, with their history', async () => {
    const peer = await loopback.establish('127.0.1.2', 65001);
    peer.close();
    await loopback.until('down', () => loopback.speaker.peer('racks/127.0.1.2')?.session === undefined);
    const { status, why } = loopback.speaker.peer('racks/127.0.1.2') ?? {};
    expect(status?.state).toBe('Active');
    expect(why?.name).toBe('closed');
  });
});

describe('a peer that is disabled', () => {
  let loopback: LoopbackSpeaker;
  const peer = { name: 'p', address: '127.0.0.2', asn: 65000, passive: true };

  beforeEach(async () => {
    loopback = await LoopbackSpeaker.start({ peers: [peer] });
  });
  afterEach(() => loopback.stop());

  it('hears why, is not listened to, and comes back when it is enabled', async () => {
    const raw = await loopback.establish('127.0.0.2', 65000);
    await loopback.reconfigure({ peers: [{ ...peer, enabled: false, shutdownText: 'moving' }] });
    const { code, subcode, data } = await raw.next('notification');
    expect([code, subcode, Buffer.from(data).subarray(1).toString()]).toEqual([6, 2, 'moving']);
    expect(loopback.speaker.peer('p')?.why?.name).toBe('disabled');
    const again = await loopback.connect('127.0.0.2');
    expect(await again.ended).toMatch(/closed|ECONNRESET/);
    await loopback.reconfigure({ peers: [peer] });
    await loopback.establish('127.0.0.2', 65000);
  });

  it('RFC 5492 §3: is offered no capabilities after 2/4, and all of them again after that', async () => {
    const first = await loopback.connect('127.0.0.2');
    expect((await first.next('open')).capabilities.length).toBeGreaterThan(3);
    first.send({ type: 'notification', code: 2, subcode: 4, data: new Uint8Array() });
    await first.ended;
    const second = await loopback.connect('127.0.0.2');
    expect((await second.next('open')).capabilities).toEqual([]);
    second.close();
    await loopback.until('closed', () => loopback.speaker.peer('p')?.status.state === 'Active');
    const third = await loopback.connect('127.0.0.2');
    expect((await third.next('open')).capabilities.length).toBeGreaterThan(3);
  });

  it('RFC 7313: what does not come again between BoRR and EoRR is gone', async () => {
    const raw = await loopback.establish('127.0.0.2', 65000);
    raw.announce('10.2.0.0/24', '10.3.0.0/24');
    await loopback.until('both', () => loopback.speaker.rib.size === 2);
    raw.send({ type: 'routeRefresh', afi: 1, subtype: 1, safi: 1 });
    raw.announce('10.2.0.0/24');
    raw.send({ type: 'routeRefresh', afi: 1, subtype: 2, safi: 1 });
    await loopback.until('one', () => loopback.speaker.rib.size === 1);
    expect(loopback.speaker.peer('p')?.session).toBeDefined();
  });
});

describe('more keys than the kernel holds on a listener', () => {
  it('are said once, and their peers are refused, not left unprotected', async () => {
    const peers = Array.from({ length: 1500 }, (_, index) => ({
      name: `p${index}`,
      address: `127.2.${index >>> 8}.${index & 255}`,
      asn: 65000,
      passive: true,
      password: 'x',
    }));
    const loopback = await LoopbackSpeaker.start({ peers });
    await loopback.until('keys are set', () => loopback.speaker.peer('p1499')?.why?.name === 'unprotected');
    expect(loopback.speaker.peer('p1499')?.why?.sentence).toContain('net.core.optmem_max');
    expect(loopback.speaker.peer('p1')?.why?.name).toBe('passive');
    await loopback.stop();
  });
});
