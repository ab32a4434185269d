// bgpd beside Debian's bird2 as an external peer: TCP-MD5 right and wrong, policies, hold timer, wrong AS.

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { BgpdProcess } from './support/bgpd-process.ts';
import { type BirdOptions, BirdProcess } from './support/bird-process.ts';
import { configuration } from './support/configuration.ts';
import { bgpRoutes, type TestHost, TestNetwork } from './support/network.ts';
import { waitFor } from './support/wait.ts';

jest.setTimeout(60_000);

describe('an external session with bird2', () => {
  let network: TestNetwork;
  let local: TestHost;
  let remote: TestHost;
  let bgpd: BgpdProcess;
  let bird: BirdProcess;

  const acceptAll = { rules: [], otherwise: 'accept' as const };
  const external = {
    asn: 4200000001,
    holdTimeSeconds: 3,
    gracefulRestartSeconds: 0,
    importPolicy: acceptAll,
  };

  const birdOptions = (ipv4Routes: readonly string[], ipv4 = ''): BirdOptions => ({
    asn: 4200000001,
    peerAsn: 65000,
    peer: local,
    bgp: 'password "s3cret";',
    ipv4,
    ipv4Routes,
  });

  beforeAll(async () => {
    network = await TestNetwork.create();
    [local, remote] = [await network.addHost(1), await network.addHost(2)];
    bird = await BirdProcess.start(network, remote, birdOptions(['10.2.0.0/26']));
    bgpd = await BgpdProcess.start(network, local);
  });
  afterAll(() => network.close());

  it('does not establish with a wrong TCP-MD5 key', async () => {
    await bgpd.configure(configuration(local, remote, { ...external, password: 'wrong' }));
    const reason = await waitFor(
      'a failed connection',
      async () => (await bgpd.peer('bird')).lastError?.reason,
    );
    expect(reason).toBe('connection: timed out');
    const { state, flaps } = await bgpd.peer('bird');
    expect([state, flaps]).toEqual([expect.stringMatching(/^(Active|Connect)$/), 0]);
  });

  it('establishes once the key is right', async () => {
    await bgpd.configure(configuration(local, remote, { ...external, password: 's3cret' }));
    const { md5, session } = await bgpd.established('bird');
    expect([md5, session?.fourOctetAs]).toEqual([true, true]);
  });

  it('sends nothing to an external peer without an export policy (RFC 8212)', async () => {
    await waitFor("bird's route", async () =>
      (await bgpRoutes(local)).includes('10.2.0.0/26 via 10.9.0.2 dev eth0'),
    );
    expect((await bgpd.peer('bird')).prefixes.advertised).toBe(0);
    expect(await bird.hasRoute('10.1.0.0/26')).toBe(false);
  });

  it('exports by policy, with communities and its own AS in front', async () => {
    const exportPolicy = {
      rules: [
        {
          prefix: '10.1.0.0/16',
          action: 'accept' as const,
          set: { addCommunities: ['65000:7', '65000:1:4200000000'], prependAsns: [65000, 65000] },
        },
      ],
      otherwise: 'reject' as const,
    };
    await bgpd.configure(configuration(local, remote, { ...external, password: 's3cret', exportPolicy }));
    await waitFor('route at bird', () => bird.hasRoute('10.1.0.0/26'));
    const route = await bird.birdc('show route for 10.1.0.0/26 all');
    expect(route).toContain('BGP.as_path: 65000 65000 65000');
    expect(route).toContain('BGP.community: (65000,7)');
    expect(route).toContain('BGP.large_community: (65000, 1, 4200000000)');
    expect(await bird.hasRoute('fd01::/64')).toBe(false);
    const {
      destinations: [destination],
    } = await bgpd.client.rib({ prefix: '10.2.0.0/26' });
    expect(destination?.paths).toMatchObject([
      { asPath: '4200000001', nextHop: '10.9.0.2', verdict: 'best' },
    ]);
  });

  it('takes a silent peer down when the hold time is over, and comes back', async () => {
    bird.signal('SIGSTOP');
    const reason = await waitFor('hold timer', async () => {
      const { state, lastError } = await bgpd.peer('bird');
      return state !== 'Established' && lastError?.reason;
    });
    expect(reason).toContain('sent NOTIFICATION hold timer expired');
    await waitFor(
      'route withdrawn',
      async () => !(await bgpRoutes(local)).some((route) => route.startsWith('10.2.')),
    );
    bird.signal('SIGCONT');
    await bgpd.established('bird', 30_000);
    await waitFor('route back', async () =>
      (await bgpRoutes(local)).includes('10.2.0.0/26 via 10.9.0.2 dev eth0'),
    );
  });

  it('ends a session with more prefixes than are allowed, and bird gets to know why', async () => {
    const limited = { ...external, password: 's3cret', maxPrefixes: 2, maxPrefixesRestartSeconds: 1 };
    await bgpd.configure(configuration(local, remote, limited));
    await bgpd.established('bird');
    await bird.configure(birdOptions(['10.2.0.0/26', '10.3.0.0/26', '10.4.0.0/26']));
    await waitFor('Cease', () => bird.log().includes('P: Received: Maximum number of prefixes reached'));
    const { lastError, prefixes } = await bgpd.peer('bird');
    expect([lastError?.reason, prefixes.received]).toEqual([
      'sent NOTIFICATION Cease: maximum number of prefixes reached, 2 of ipv4Unicast: more than 2 prefixes of ipv4Unicast; no session for 1 s',
      0,
    ]);
    await bird.configure(birdOptions(['10.2.0.0/26']));
    await bgpd.established('bird');
  });

  it('says so when it is bird that allows no more', async () => {
    // bird keeps silent for seconds before it sends the Cease.
    const patient = { ...external, holdTimeSeconds: 30, password: 's3cret' };
    const exportPolicy = { rules: [], otherwise: 'accept' as const };
    await bgpd.configure(configuration(local, remote, { ...patient, exportPolicy }));
    await bird.configure(birdOptions(['10.2.0.0/26'], 'receive limit 1 action restart;'));
    await bgpd.client.actOnPeer('reset', 'bird');
    await bgpd.established('bird');
    await bgpd.configure({
      ...configuration(local, remote, { ...patient, exportPolicy }),
      originate: ['10.1.0.0/26', '10.1.1.0/26'],
    });
    const reason = await waitFor('the reason', async () => {
      const text = (await bgpd.peer('bird')).lastError?.reason ?? '';
      return text.includes('received') && text;
    });
    expect(reason).toBe('received NOTIFICATION Cease: maximum number of prefixes reached');
    await bird.configure(birdOptions(['10.2.0.0/26']));
  });

  it('answers with both AS numbers when the peer is another than configured', async () => {
    // bird is not to call again before we have.
    const waits = `${birdOptions([]).bgp} error wait time 60, 60;`;
    await bird.configure({ ...birdOptions(['10.2.0.0/26']), bgp: waits });
    await bgpd.established('bird');
    await bgpd.configure(configuration(local, remote, { ...external, asn: 65077, password: 's3cret' }));
    const reason = await waitFor('the reason', async () => {
      const text = (await bgpd.peer('bird')).lastError?.reason ?? '';
      return text.includes('bad peer AS') && text;
    });
    expect(reason).toContain('peer has AS 4200000001, 65077 is configured');
    expect(bird.log()).toContain('P: Received: Bad peer AS');
    // bird takes no connection for a while then; that it closes them says less than what we know.
    await waitFor('a connection that bird closes', async () => {
      const { entries } = await bgpd.client.history('bird');
      const last = entries.findLast((entry) => entry.kind === 'reason');
      return last?.kind === 'reason' && ['closed', 'reset'].includes(last.reason.name);
    });
    expect((await bgpd.peer('bird')).why).toMatchObject({ direction: 'sent', code: 2, subcode: 2 });
  });
});
