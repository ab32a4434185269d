// Every command of bgpctl on a bgpd between another bgpd (internal) and Debian's bird2 (external).

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { stringify } from 'yaml';
import { runBgpctl } from '../../cli/bgpctl/program.ts';
import type { BgpdConfigurationInput } from '../../lib/protocol/bgpd.ts';
import { BgpdProcess } from './support/bgpd-process.ts';
import { BirdProcess } from './support/bird-process.ts';
import { execIn, type TestHost, TestNetwork } from './support/network.ts';
import { waitFor } from './support/wait.ts';

jest.setTimeout(60_000);

describe('bgpctl', () => {
  let network: TestNetwork;
  let local: TestHost;
  let other: TestHost;
  let remote: TestHost;
  let bgpd: BgpdProcess;
  let configuration: BgpdConfigurationInput;

  beforeAll(async () => {
    network = await TestNetwork.create();
    [local, other, remote] = [await network.addHost(1), await network.addHost(2), await network.addHost(3)];
    await BirdProcess.start(network, remote, {
      asn: 65001,
      peerAsn: 65000,
      peer: local,
      ipv4Routes: ['10.2.0.0/26', '10.3.0.0/26', '10.5.0.0/26', '10.1.0.0/26'],
    });
    const internal = await BgpdProcess.start(network, other);
    await internal.configure({
      routerId: other.ipv4,
      asn: 65000,
      peers: [{ name: 'middle', address: local.ipv4, asn: 65000, connectRetrySeconds: 1 }],
      originate: ['10.4.0.0/16', '10.3.0.0/26'],
    });
    bgpd = await BgpdProcess.start(network, local);
    configuration = {
      routerId: local.ipv4,
      asn: 65000,
      nextHops: { ipv6: local.ipv6 },
      peers: [
        { name: 'internal', address: other.ipv4, asn: 65000, connectRetrySeconds: 1 },
        {
          name: 'bird',
          address: remote.ipv4,
          asn: 65001,
          connectRetrySeconds: 1,
          importPolicy: {
            rules: [
              { prefix: '10.2.0.0/26', operator: 'equal', action: 'reject' },
              { action: 'accept', set: { localPref: 80, addCommunities: ['65000:1'] } },
            ],
            otherwise: 'reject',
          },
          exportPolicy: {
            rules: [{ prefix: '10.4.0.0/16', operator: 'in', action: 'reject' }],
            otherwise: 'accept',
          },
        },
        { name: 'away', address: '10.9.0.99', asn: 65002 },
      ],
      originate: ['10.1.0.0/26'],
      kernel: { blackholes: ['10.1.0.0/26'] },
    };
    const file = join(local.dir, 'bgpd.yaml');
    writeFileSync(file, stringify(configuration));
    expect(await run('configure', file)).toEqual({ code: 0, out: 'configuration 1 is in force\n', err: '' });
    await Promise.all([bgpd.established('internal'), bgpd.established('bird')]);
    await waitFor('all routes', async () => (await bgpd.client.rib()).total === 5);
  });
  afterAll(() => network.close());

  type Output = { code: number; out: string; err: string };
  const run = (...argv: string[]): Promise<Output> => runUntil(AbortSignal.timeout(30_000), argv);

  async function runUntil(
    signal: AbortSignal,
    argv: readonly string[],
    onOut?: (out: string) => void,
  ): Promise<Output> {
    const texts = { out: '', err: '' };
    const code = await runBgpctl({
      argv: ['--state-dir', local.dir, ...argv],
      env: {},
      out: (text) => {
        texts.out += text;
        onOut?.(texts.out);
      },
      err: (text) => {
        texts.err += text;
      },
      now: () => new Date(),
      signal,
    });
    return { code, ...texts };
  }

  async function shown(...argv: string[]): Promise<string> {
    const { code, out, err } = await run(...argv);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    return out;
  }

  it('peers: state and counts, and why one is down', async () => {
    const out = await shown('peers');
    expect(out).toMatch(/^PEER +ADDRESS +AS +STATE +SINCE +RECEIVED +ACCEPTED +ADVERTISED$/m);
    expect(out).toMatch(/^bird +10\.9\.0\.3 +65001 +Established +\ds +4 +3 +2$/m);
    expect(out).toMatch(/^away: .*10\.9\.0\.99/m);
    expect(await shown('peers', '-o', 'wide')).toMatch(/^bird .* 10\.9\.0\.1 +10\.9\.0\.3 +0 /m);
    expect(JSON.parse(await shown('peers', '-o', 'json'))).toHaveLength(3);
    expect(await shown('peers', '-o', 'yaml')).toContain('- name: internal\n');
  });

  it('peer: what was agreed on', async () => {
    const out = await shown('peer', 'bird');
    expect(out).toMatch(/^Address +10\.9\.0\.3, AS 65001$/m);
    expect(out).toMatch(/^We offered +multiprotocol ipv4Unicast; /m);
    expect(await run('peer', 'nobody')).toMatchObject({
      code: 1,
      err: expect.stringContaining('bgpctl peers'),
    });
  });

  it('status: what it is, and what is not well', async () => {
    const { code, out } = await run('status');
    expect(code).toBe(1);
    expect(out).toMatch(/^Peers +2 of 3 established$/m);
    expect(out).toContain('session with away is ');
  });

  it('rib: every path with its verdict, and the step that decided', async () => {
    expect(await shown('rib', '10.3.0.0/26')).toMatch(
      /^10\.3\.0\.0\/26 +best +internal +10\.9\.0\.2 +100 +- +- +igp +localPref\n10\.3\.0\.0\/26 +lost +bird .* localPref$/m,
    );
    const limited = await run('rib', '--limit', '2');
    expect(limited).toMatchObject({ code: 0, err: '# 2 of 5; --limit shows more\n' });
  });

  it('rib-in: before and after the import policy', async () => {
    const out = await shown('rib-in', 'bird');
    expect(out).toMatch(/^10\.2\.0\.0\/26 .* ineligible +rejected by rule 1 of the import policy/m);
    expect(out).toMatch(/^10\.3\.0\.0\/26 .* accepted with LOCAL-PREF 80, \+COMMUNITIES 65000:1$/m);
    expect(await shown('rib-in', 'bird', '10.3.0.0/26', '-o', 'json')).toContain('"communities": []');
  });

  it('rib-out: what a peer has been told', async () => {
    expect(await shown('rib-out', 'internal')).toMatch(
      /^10\.5\.0\.0\/26 +10\.9\.0\.3 +80 +- +65001 +igp +65000:1$/m,
    );
    expect(await shown('rib-out', 'bird')).toMatch(/^10\.1\.0\.0\/26 +10\.9\.0\.1 +- +- +65000 +igp +-$/m);
    expect(await shown('rib-out', 'away')).toBe('Nothing advertised.\n');
  });

  it('why: paths, kernel and peers in sentences', async () => {
    const out = await shown('why', '10.3.0.0/26');
    expect(out).toContain(
      'best: the last other path, from bird, lost: LOCAL_PREF 80 is below 100 of internal',
    );
    expect(out).toContain('\n    installed via 10.9.0.2\n');
    expect(out).toMatch(/^ {4}internal: not told: the best path comes from this peer$/m);
    expect(out).toMatch(/^ {4}bird: told next hop 10\.9\.0\.1, AS_PATH 65000, ORIGIN igp$/m);
    expect(out).toMatch(/^ {4}away: not told: there is no session: /m);
  });

  it('why: an address, by the route that covers it; and the rule that keeps it from a peer', async () => {
    const out = await shown('why', '10.4.5.6');
    expect(out).toContain('No route for 10.4.5.6 itself; the nearest that cover it:');
    expect(out).toContain('bird: not told: rejected by rule 1 of the export policy (prefix in 10.4.0.0/16)');
    expect(out).toContain('internal: not told: the best path comes from this peer');
    expect(await run('why', '192.0.2.1')).toMatchObject({
      code: 1,
      out: expect.stringContaining('No route'),
    });
    expect(await run('why', 'nonsense')).toMatchObject({ code: 1, err: expect.stringContaining('neither') });
  });

  it('why: our own prefix, a blackhole in the kernel', async () => {
    const out = await shown('why', '10.1.0.0/26');
    expect(out).toMatch(/^ {4}best, our own: .*\n.*from bird, lost: LOCAL_PREF 80 is below 100 of local$/m);
    expect(out).toContain('installed as a blackhole');
  });

  it('history, reset and refresh', async () => {
    expect(await shown('refresh', 'bird')).toBe('');
    const before = (await bgpd.peer('bird')).flaps;
    expect(await shown('reset', 'bird')).toBe('');
    await waitFor('the session anew', async () => {
      const { state, flaps } = await bgpd.peer('bird');
      return state === 'Established' && flaps > before;
    });
    expect(await shown('history', 'bird')).toMatch(/Established -> Idle[\s\S]*OpenConfirm -> Established/);
    expect(await shown('history', 'bird', '--raw', '-o', 'json')).toContain('"malformed": []');
    expect(await run('history', 'nobody')).toMatchObject({
      code: 1,
      err: 'bgpd: no peer is named nobody\n  "bgpctl peers" lists them\n',
    });
  });

  it('events: past ones', async () => {
    expect(await shown('events')).toMatch(/ peerUp {2}10\.9\.0\.3 {2}BGPPeer\/bird$/m);
    expect(await shown('events', '--after', '3', '-o', 'json')).toMatch(/^\{"time".*"seq":4/);
  });

  it('events -f: goes on with what happens until it is interrupted', async () => {
    const interrupted = new AbortController();
    const following = Promise.withResolvers<void>();
    const seen = Promise.withResolvers<void>();
    const ended = runUntil(interrupted.signal, ['events', '-f'], (out) => {
      following.resolve();
      if (out.includes('peerDown  10.9.0.2')) seen.resolve();
    });
    await following.promise;
    await run('reset', 'internal');
    await seen.promise;
    interrupted.abort();
    expect(await ended).toMatchObject({ code: 0, err: '' });
    await bgpd.established('internal');
    await waitFor('its routes', async () => (await bgpd.peer('internal')).prefixes.received === 2);
  });

  it('metrics: numbers by peer, and none by prefix', async () => {
    const out = await shown('metrics');
    expect(out).toMatch(/^bgp_peer_state\{peer="bird",state="Established"\} 1$/m);
    expect(out).toMatch(/^bgp_prefixes\{peer="internal",direction="received"\} 2$/m);
    expect(out).toMatch(/^bgp_messages_total\{peer="bird",direction="sent",type="routeRefresh"\} [1-9]/m);
    expect(out).toMatch(/^bgp_session_down_total\{peer="bird",reason="stopped"\} 1$/m);
    expect(out).toMatch(/^bgp_flush_seconds_count [1-9]/m);
    expect(out).not.toContain('10.3.0.0');
  });

  it('configure: a bad file changes nothing and says where', async () => {
    const file = join(local.dir, 'bad.yaml');
    writeFileSync(file, stringify({ ...configuration, asn: 0 }));
    expect(await run('configure', file)).toMatchObject({
      code: 1,
      err: expect.stringContaining(`${file}: asn: `),
    });
    writeFileSync(file, 'peers: [\n');
    expect(await run('configure', file)).toMatchObject({ code: 1, err: expect.stringContaining(`${file}:`) });
    expect((await bgpd.client.status()).configurationNumber).toBe(1);
  });

  it('says how to use it', async () => {
    expect((await run('why', '--help')).out).toContain('bgpctl why 10.65.0.7');
    expect((await run('unknown')).code).toBe(1);
  });

  it('restart: routes stay; then bgpd does not answer, which is exit code 2', async () => {
    expect(await shown('restart')).toBe('');
    await waitFor('its end', async () => (await run('status')).code === 2);
    expect(await execIn(local, ['ip', 'route', 'show', 'proto', '81'])).toContain('10.5.0.0/26 via 10.9.0.3');
    await bgpd.startAgain();
    expect(await shown('shutdown')).toBe('');
    await waitFor('its end', async () => (await run('peers')).code === 2);
    expect((await run('peers')).err).toContain('bgpd does not answer at ');
  });
});
