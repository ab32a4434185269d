// bgpd beside Debian's bird2 where the session itself is special: TTL security, a link-local peer, a key changed live,
// roles, several paths of a prefix, an operator's word at shutdown.

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { BgpdProcess } from './support/bgpd-process.ts';
import { BirdProcess } from './support/bird-process.ts';
import { configuration } from './support/configuration.ts';
import { type TestHost, TestNetwork } from './support/network.ts';
import { waitFor } from './support/wait.ts';

jest.setTimeout(60_000);

describe('sessions with bird2', () => {
  let network: TestNetwork;
  let local: TestHost;
  let remote: TestHost;
  let bgpd: BgpdProcess;
  let bird: BirdProcess;
  const birdOptions = { asn: 65000, peerAsn: 65000, ipv4Routes: ['10.2.0.0/26'] };
  const reconfigureBird = (
    bgp: string,
    more: { asn?: number; ipv4?: string; protocols?: string } = {},
  ): Promise<void> => bird.configure({ ...birdOptions, ...more, peer: local, bgp });

  beforeAll(async () => {
    network = await TestNetwork.create();
    [local, remote] = [await network.addHost(1), await network.addHost(2)];
    bird = await BirdProcess.start(network, remote, { ...birdOptions, peer: local, bgp: 'ttl security on;' });
    bgpd = await BgpdProcess.start(network, local);
  });
  afterAll(() => network.close());

  it.each([
    { role: 'active', passive: false, bgp: 'ttl security on; passive;' },
    { role: 'passive', passive: true, bgp: 'ttl security on;' },
  ])('RFC 5082: establishes with TTL security as the $role side', async ({ passive, bgp }) => {
    await reconfigureBird(bgp);
    await bgpd.configure(configuration(local, remote, { ttlSecurity: 1, passive }));
    const peer = await bgpd.established('bird');
    expect(peer.ttlSecurity).toBe(1);
    await waitFor('its route', () => bird.hasRoute('10.1.0.0/26'));
    await bgpd.configure({ ...configuration(local, remote), peers: [] });
  });

  it('RFC 5082: says why where only we have TTL security: bird answers, and what it says is dropped', async () => {
    await reconfigureBird('passive;');
    await bgpd.configure(configuration(local, remote, { ttlSecurity: 1 }));
    const why = await waitFor('a reason', async () => {
      const peer = await bgpd.peer('bird');
      return peer.why?.sentence.includes('TTL') === true && peer.why;
    });
    expect(why).toMatchObject({ direction: 'local', name: 'noOpen' });
    await bgpd.configure({ ...configuration(local, remote), peers: [] });
  });

  it('RFC 5082: refuses a connection that has come too far', async () => {
    await reconfigureBird('');
    await bgpd.configure(configuration(local, remote, { ttlSecurity: 1, passive: true }));
    await waitFor('the connection of bird refused', async () => {
      const { counters } = await bgpd.client.status();
      return (counters.refused['ttlTooLow'] ?? 0) > 0;
    });
    expect((await bgpd.peer('bird')).state).toBe('Active');
  });

  it('RFC 2385: a key changed on both sides while the session runs', async () => {
    await reconfigureBird('password "one";');
    await bgpd.configure(configuration(local, remote, { password: 'one' }));
    const before = await bgpd.established('bird');
    await reconfigureBird('password "two";');
    await bgpd.configure(configuration(local, remote, { password: 'two' }));
    await waitFor('a new session', async () => {
      const peer = await bgpd.peer('bird');
      return peer.state === 'Established' && peer.since !== before.since;
    });
  });

  it('takes bird as a dynamic peer, by the key of its prefix', async () => {
    await reconfigureBird('password "of the rack";');
    const range = { name: 'rack', prefix: '10.9.0.0/24', asns: [65000], password: 'of the rack' };
    await bgpd.configure({ ...configuration(local, remote), peers: [], dynamicPeers: [range] });
    const peer = await bgpd.established(`rack/${remote.ipv4}`);
    expect([peer.dynamic, peer.md5]).toEqual(['rack', true]);
    await waitFor('our route at bird', () => bird.hasRoute('10.1.0.0/26'));
  });

  it('names differing keys as the likely cause of silence', async () => {
    await reconfigureBird('password "two";');
    await bgpd.configure(configuration(local, remote, { password: 'three', connectRetrySeconds: 1 }));
    const why = await waitFor('a reason', async () => {
      const peer = await bgpd.peer('bird');
      return peer.why?.sentence.includes('wrongly signed') === true && peer.why;
    });
    expect(why).toMatchObject({ name: 'timedOut', next: 'Set the same password on both sides.' });
  });

  it('RFC 9234: agrees on roles that fit, and refuses others with 2/11', async () => {
    await reconfigureBird('local role customer;', { asn: 65001 });
    await bgpd.configure(configuration(local, remote, { asn: 65001, role: 'provider', strictRole: true }));
    const { session } = await bgpd.established('bird');
    expect(session?.role).toBe('provider');
    expect(session?.capabilities.theirs).toContain('role customer');
    await bgpd.configure(configuration(local, remote, { asn: 65001, role: 'peer' }));
    const refused = await waitFor('the refusal', async () => {
      const { entries } = await bgpd.client.history('bird');
      return entries.find((entry) => entry.kind === 'reason' && entry.reason.code === 2);
    });
    expect(refused).toMatchObject({
      reason: { code: 2, subcode: 11, name: 'OPEN message error: role mismatch' },
    });
  });

  it('RFC 7911, RFC 8950: agrees on several paths and on IPv6 next hops of IPv4', async () => {
    await reconfigureBird('', {
      ipv4: 'add paths on; extended next hop on;',
      protocols: 'protocol static second { ipv4 { preference 50; }; route 10.2.0.0/26 unreachable; }',
    });
    await bgpd.configure(
      configuration(local, remote, { addPaths: { receive: true, send: true }, extendedNextHop: true }),
    );
    const { session } = await bgpd.established('bird');
    expect(session).toMatchObject({
      addPaths: { receive: ['ipv4Unicast'], send: ['ipv4Unicast'] },
      extendedNextHop: true,
      enhancedRefresh: true,
    });
    await waitFor('our route at bird', () => bird.hasRoute('10.1.0.0/26'));
    const paths = async (): Promise<number | undefined> =>
      (await bgpd.client.rib({ prefix: '10.2.0.0/26' })).destinations[0]?.paths.length;
    await waitFor('both paths of bird', async () => (await paths()) === 2);
    await bird.birdc('disable second');
    await waitFor('one of them gone', async () => (await paths()) === 1);
  });

  it('RFC 9003: tells bird why it is disabled, and bird tells us', async () => {
    await bgpd.configure(configuration(local, remote, { enabled: false, shutdownText: 'moving racks' }));
    await waitFor('the text at bird', () => bird.log().includes('moving racks'));
    expect((await bgpd.peer('bird')).why?.name).toBe('disabled');
    await bgpd.configure(configuration(local, remote));
    await bgpd.established('bird');
    await bird.birdc('disable P "back at noon"');
    const entry = await waitFor('the word of bird', async () => {
      const { entries } = await bgpd.client.history('bird');
      return entries.find((one) => one.kind === 'reason' && one.reason.text !== undefined);
    });
    expect(entry).toMatchObject({
      reason: { direction: 'received', code: 6, subcode: 2, text: 'back at noon' },
    });
  });
});
