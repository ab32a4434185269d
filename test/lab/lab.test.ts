// The empty lab: hosts that reach each other over the fabric without a bridge of their own, a real etcd beside them,
// supervised programs, and nothing left behind.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { hostPlace } from '../../lab/addresses.ts';
import { LabError } from '../../lab/lab-error.ts';
import type { ProcessRow } from '../../lab/processes.ts';
import { run } from '../../lib/process/run.ts';
import { startTestLab, type TestLab, waitUntil } from './support/test-lab.ts';

const sleeper: ProcessRow = {
  name: 'sleeper',
  argv: () => ['sh', '-c', 'echo up; exec sleep 600'],
  readyWhen: () => ({ kind: 'line', matches: (line) => line === 'up' }),
};

function errorCodeOf(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => 'no error',
    (error: unknown) => (error instanceof LabError ? error.type.code : error),
  );
}

describe('an empty lab', () => {
  let test: TestLab;
  beforeAll(async () => {
    test = await startTestLab({ hosts: 3 });
  }, 30_000);
  afterAll(async () => {
    await test.stop();
  });

  it('lets every host reach every other over IPv4 and IPv6', async () => {
    const { lab } = test;
    const addresses = lab.hosts().flatMap((host) => [host.address, host.address6]);
    const pings = lab.hosts().flatMap((host) =>
      addresses.map(async (address) => {
        const { code } = await host.exec(['ping', '-c', '1', '-W', '2', address]);
        return `${host.name} → ${address}: ${code}`;
      }),
    );
    const expected = lab
      .hosts()
      .flatMap((host) => addresses.map((address) => `${host.name} → ${address}: 0`));
    expect(expected).toHaveLength(18);
    expect(await Promise.all(pings)).toEqual(expected);
  });

  it("keeps the fabric's MAC address whoever comes and goes, so that no host loses its way to it", async () => {
    const { bridge } = test.lab.fabric;
    const links = JSON.parse((await run('ip', ['-j', 'link'])).stdout) as {
      readonly ifname: string;
      readonly address: string;
      readonly master?: string;
    }[];
    const ports = links.filter(({ master }) => master === bridge).map(({ address }) => address);
    expect(ports).toHaveLength(3);
    // The kernel would give a bridge the least of these, and another one with the next host.
    expect(ports).not.toContain(links.find(({ ifname }) => ifname === bridge)?.address);
  });

  it('has no bridge on any host', async () => {
    for (const host of test.lab.hosts()) {
      expect(await host.execOk(['ip', '-d', 'link', 'show', 'type', 'bridge'])).toBe('');
    }
  });

  it('gives each host its own name, links and forwarding', async () => {
    const host = test.lab.host('node-2');
    expect(await host.execOk(['uname', '-n'])).toBe('node-2\n');
    const links = await host.execOk(['ip', '-o', 'link']);
    expect([...links.matchAll(/^\d+: (\w+)/gm)].map((found) => found[1]).toSorted()).toEqual(['eth0', 'lo']);
    expect(await host.execOk(['cat', '/proc/sys/net/ipv4/ip_forward'])).toBe('1\n');
    expect(await host.execOk(['cat', '/proc/sys/net/ipv6/conf/all/forwarding'])).toBe('1\n');
  });

  it('keeps the same etcd data over a stop and a start, and hosts reach it', async () => {
    const { lab } = test;
    const host = lab.host('node-1');
    const etcdctl = ['etcdctl', `--endpoints=${lab.etcdEndpoint}`] as const;
    await host.execOk([...etcdctl, 'put', '/lab/greeting', 'hello'], { env: { ETCDCTL_API: '3' } });
    await lab.stopEtcd();
    const away = await host.exec([
      ...etcdctl,
      '--dial-timeout=200ms',
      '--command-timeout=500ms',
      'get',
      '/lab/greeting',
    ]);
    expect(away.code).not.toBe(0);
    await lab.startEtcd();
    expect(await host.execOk([...etcdctl, 'get', '/lab/greeting', '--print-value-only'])).toBe('hello\n');
  });

  it('refuses a second host of a name, and names that are none', async () => {
    expect(await errorCodeOf(test.lab.addHost('node-1'))).toBe('duplicateHost');
    expect(await errorCodeOf(test.lab.addHost('Node_1'))).toBe('badHostName');
    expect(await errorCodeOf(test.lab.removeHost('node-9'))).toBe('unknownHost');
  });

  it('puts machines outside the cluster on the same fabric', async () => {
    const tor = await test.lab.addHost('tor', { kind: 'external' });
    expect(tor.address).toMatch(/\.200$/);
    expect((await test.lab.host('node-3').exec(['ping', '-c', '1', '-W', '2', tor.address])).code).toBe(0);
    await test.lab.removeHost('tor');
  });

  it('takes a host away with everything that ran on it, and gives its address out again', async () => {
    const { lab } = test;
    const host = await lab.addHost('node-4');
    const { address, netns, stateDir } = host;
    // Leaves its process group, as a pod's shim does.
    const escaped = await host.execOk(['sh', '-c', 'setsid sleep 600 >/dev/null 2>&1 & echo $!']);
    const isAlive = async () => (await run('kill', ['-0', escaped.trim()])).code === 0;
    expect(await isAlive()).toBe(true);
    await host.execOk([
      'sh',
      '-c',
      'ip netns add pod-4; ip link add cali4 type veth peer name eth0 netns pod-4',
    ]);
    const neighbour = lab.host('node-3').netns;
    await host.execOk([
      'ip',
      'link',
      'add',
      'cable',
      'type',
      'veth',
      'peer',
      'name',
      'cable',
      'netns',
      neighbour,
    ]);
    await lab.removeHost('node-4', { how: 'power-off' });
    expect(existsSync('/run/netns/pod-4')).toBe(false);
    expect(existsSync(join('/run/netns', neighbour))).toBe(true);
    expect(await isAlive()).toBe(false);
    expect(existsSync(join('/run/netns', netns))).toBe(false);
    expect(existsSync(stateDir)).toBe(false);
    expect((await lab.addHost('node-4')).address).toBe(address);
    await lab.removeHost('node-4');
  });
});

describe('programs of a lab', () => {
  it('are started again after a kill, and stay down after a stop', async () => {
    const ends: string[] = [];
    const test = await startTestLab({
      hosts: 1,
      nodeProcesses: [sleeper],
      onEvent: (text) => ends.push(text),
    });
    try {
      const host = test.lab.host('node-1');
      const supervised = host.process('sleeper');
      const firstPid = supervised?.pid;
      expect(firstPid).toBeGreaterThan(0);
      supervised?.kill('SIGKILL');
      await waitUntil(
        'the program runs again',
        () => supervised?.restarts === 1 && supervised.pid !== undefined,
      );
      expect(supervised?.pid).not.toBe(firstPid);
      expect(ends.some((text) => text.startsWith('sleeper on node-1 ended: SIGKILL'))).toBe(true);
      const pid = supervised?.pid;
      await host.stopProcess('sleeper');
      expect((await run('kill', ['-0', String(pid)])).code).not.toBe(0);
    } finally {
      await test.stop();
    }
  });

  it('that never become ready fail the host, and leave nothing of it', async () => {
    const test = await startTestLab({ hosts: 0, nodeProcesses: [brokenRow()] });
    try {
      await expect(test.lab.addHost('node-1')).rejects.toMatchObject({
        type: { code: 'exitedBeforeReady', status: { code: 7 } },
      });
      expect(test.lab.hosts()).toEqual([]);
      // Other workers' labs have hosts of that name on fabrics of their own.
      const { number } = test.lab.fabric;
      const { netns } = hostPlace(number, 11, 'node-1');
      const listed = (await run('ip', ['netns', 'list'])).stdout
        .split('\n')
        .map((line) => line.split(' ')[0]);
      expect(listed).not.toContain(netns);
    } finally {
      await test.stop();
    }
  });
});

function brokenRow(): ProcessRow {
  return { ...sleeper, name: 'broken', argv: () => ['sh', '-c', 'exit 7'] };
}

describe('two labs', () => {
  it('live side by side, and a new lab sweeps what one on its fabric left', async () => {
    const first = await startTestLab({ hosts: 1, index: 1 });
    const second = await startTestLab({ hosts: 1, index: 2 });
    try {
      expect(first.lab.etcdEndpoint).not.toBe(second.lab.etcdEndpoint);
      const abandoned = await second.lab
        .host('node-1')
        .execOk(['sh', '-c', 'setsid sleep 600 >/dev/null 2>&1 & echo $!']);
      // As after a crash of the process that held it: nobody called stop.
      const third = await startTestLab({ hosts: 1, index: 2 });
      try {
        expect((await run('kill', ['-0', abandoned.trim()])).code).not.toBe(0);
        expect(
          (await first.lab.host('node-1').exec(['ping', '-c', '1', '-W', '2', first.lab.fabric.services]))
            .code,
        ).toBe(0);
        expect(
          (await third.lab.host('node-1').exec(['ping', '-c', '1', '-W', '2', third.lab.fabric.services]))
            .code,
        ).toBe(0);
      } finally {
        await third.stop();
      }
    } finally {
      await second.stop();
      await first.stop();
    }
  });
});
