// The agent when things fail: etcd away while a host boots, the agent killed under traffic (fail closed; nothing lost).
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { LabHost } from '../../../lab/host.ts';
import { NODE_PROCESSES } from '../../../lab/processes.ts';
import { program } from '../support/programs.ts';
import { startTestLab, type TestLab, waitUntil } from '../support/test-lab.ts';

/** Probes a second and their number: long enough for an agent to come back on a busy machine. */
const PROBE_INTERVAL_SECONDS = 0.001;
const PROBES = 15_000;
const MINUTE_MS = 60_000;

let test: TestLab;
let host: LabHost;
const rows = NODE_PROCESSES.filter(({ name }) => name === 'bgpd' || name === 'agent');

async function readiness(): Promise<{ readonly code: number; readonly text: string }> {
  const program = `const r = await fetch('http://127.0.0.1:9099/readiness'); process.stdout.write(JSON.stringify({ code: r.status, text: await r.text() }))`;
  const { stdout } = await host.exec([process.execPath, '--input-type=module', '-e', program]);
  return stdout === ''
    ? { code: 0, text: 'no answer' }
    : (JSON.parse(stdout) as { code: number; text: string });
}

/** A container's namespace with an address; gives both. */
async function add(): Promise<{ readonly id: string; readonly address: string }> {
  const id = randomBytes(8).toString('hex');
  await host.execOk(['ip', 'netns', 'add', id]);
  const { code, stdout } = await host.exec(program('agents/cni/main'), {
    input: JSON.stringify({ cniVersion: '1.0.0', name: 'faults', type: 'calico' }),
    env: {
      CNI_COMMAND: 'ADD',
      CNI_CONTAINERID: id,
      CNI_NETNS: `/run/netns/${id}`,
      CNI_IFNAME: 'eth0',
      CALICO_CNI_SOCKET: join(host.stateDir, 'cni.sock'),
    },
  });
  if (code !== 0) throw new Error(stdout);
  const { ips } = JSON.parse(stdout) as { ips: { address: string }[] };
  return { id, address: ips[0]?.address.split('/')[0] ?? '' };
}

/** How many of so many probes were lost on the way from one container to another. */
async function lossOf(
  from: string,
  to: string,
): Promise<{ readonly sent: number; readonly received: number }> {
  const argv = ['-q', '-i', String(PROBE_INTERVAL_SECONDS), '-c', String(PROBES), '-W', '2', to] as const;
  const { stdout } = await host.exec(['ip', 'netns', 'exec', from, 'ping', ...argv], {
    timeoutMs: 3 * MINUTE_MS,
  });
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(stdout) ?? [];
  return { sent: Number(sent), received: Number(received) };
}

beforeAll(async () => {
  test = await startTestLab({ hosts: 0, nodeProcesses: rows });
}, 2 * MINUTE_MS);
afterAll(() => test?.stop());

describe('a host that boots while etcd is away', () => {
  beforeAll(async () => {
    await test.lab.stopEtcd();
    host = await test.lab.addHost('node-1');
  }, 2 * MINUTE_MS);

  it('has its agent running, not ready, with the reasons', async () => {
    const { code, text } = await readiness();
    expect(code).toBe(503);
    expect(text).toMatch(/not in sync with the datastore .*is etcd up\?/);
    expect(text).toContain('not registered');
  });

  it('drops whatever a workload interface sends, as the empty table is there', async () => {
    const table = await host.execOk(['nft', 'list', 'table', 'inet', 'calico']);
    expect(table).toContain('hook forward');
    const id = 'unknown';
    await host.execOk(['ip', 'netns', 'add', id]);
    const inside = ['ip', 'netns', 'exec', id] as const;
    await host.execOk([
      'ip',
      'link',
      'add',
      'cali0123456789a',
      'type',
      'veth',
      'peer',
      'name',
      'eth0',
      'netns',
      id,
    ]);
    await host.execOk(['ip', 'addr', 'add', '10.99.0.1/24', 'dev', 'cali0123456789a']);
    await host.execOk(['ip', 'link', 'set', 'cali0123456789a', 'up']);
    await host.execOk([...inside, 'ip', 'addr', 'add', '10.99.0.2/24', 'dev', 'eth0']);
    await host.execOk([...inside, 'ip', 'link', 'set', 'eth0', 'up']);
    const before = await received();
    const { code } = await host.exec([...inside, 'ping', '-c', '3', '-i', '0.2', '-W', '1', '10.99.0.1']);
    expect(code).not.toBe(0);
    // The host's interface did see them: they were dropped there, not lost on the way.
    expect(await received()).toBeGreaterThan(before);
    await host.execOk(['ip', 'link', 'del', 'cali0123456789a']);
    await host.execOk(['ip', 'netns', 'del', id]);
  });

  async function received(): Promise<number> {
    const links = JSON.parse(
      await host.execOk(['ip', '-j', '-s', 'link', 'show', 'dev', 'cali0123456789a']),
    ) as {
      stats64: { rx: { packets: number } };
    }[];
    return links[0]?.stats64.rx.packets ?? 0;
  }

  it(
    'becomes ready by itself when etcd is there',
    async () => {
      await test.lab.startEtcd();
      await waitUntil('ready', async () => (await readiness()).code === 200, MINUTE_MS);
    },
    2 * MINUTE_MS,
  );
});

describe('an agent that is killed', () => {
  it(
    'and its kernel writer with it, loses no packet between workloads, and takes work again',
    async () => {
      const [from, to] = [await add(), await add()];
      const probing = lossOf(from.id, to.address);
      const { pid } = host.process('agent') ?? {};
      expect(host.process('agent')?.kill('SIGKILL')).toBe(true);
      await waitUntil(
        'another agent',
        () => {
          const now = host.process('agent')?.pid;
          return now !== undefined && now !== pid;
        },
        MINUTE_MS,
      );
      const started = performance.now();
      await waitUntil('ready again', async () => (await readiness()).code === 200, MINUTE_MS);
      process.stdout.write(
        `agent ready again ${Math.round(performance.now() - started)} ms after its start\n`,
      );
      expect(await probing).toEqual({ sent: PROBES, received: PROBES });
      const third = await add();
      expect(third.address).not.toBe('');
    },
    5 * MINUTE_MS,
  );
});
