// bgpd whose `ip` fails for a while, or whose routes others take the place of: what it does not get done it says, and does
// later; sessions stay. `ip` is the real one behind a script that fails as long as a file named after the fault is there.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { runOk } from '../../lib/process/run.ts';
import type { BgpdConfigurationInput } from '../../lib/protocol/bgpd.ts';
import { BgpdProcess, watchRoutes } from './support/bgpd-process.ts';
import { bgpRoutes, execIn, type TestHost, TestNetwork } from './support/network.ts';
import { waitFor } from './support/wait.ts';

const SHARED = '10.66.0.0/24';
const BLOCK = '10.65.1.0/26';

let network: TestNetwork;
let hosts: readonly TestHost[];
let tested: BgpdProcess;
let faults: string;
const others: BgpdProcess[] = [];

beforeAll(async () => {
  network = await TestNetwork.create();
  hosts = [await network.addHost(1), await network.addHost(2), await network.addHost(3)];
  const [first, ...rest] = hosts;
  if (first === undefined) throw new Error('no host');
  faults = first.dir;
  const ip = (await runOk('sh', ['-c', 'command -v ip'])).stdout.trim();
  writeFileSync(join(faults, 'ip'), script(ip), { mode: 0o755 });
  fault('list');
  tested = await BgpdProcess.start(network, first, faults);
  for (const host of rest) others.push(await BgpdProcess.start(network, host));
});
afterAll(() => network.close());

function script(ip: string): string {
  return `#!/bin/sh
case "$*" in
  *'route show'*) fault=list ;;
  *-batch*) fault=batch ;;
  *) fault=none ;;
esac
echo "$*" >>"${faults}/calls"
if [ -e "${faults}/$fault" ]; then echo "$fault" >>"${faults}/refused"; echo "no $fault today" >&2; exit 1; fi
exec ${ip} "$@"
`;
}

type Fault = 'list' | 'batch';
const fault = (...names: Fault[]): void => {
  for (const name of names) writeFileSync(join(faults, name), '');
};
const mend = (...names: Fault[]): void => {
  for (const name of names) rmSync(join(faults, name));
};

/** How many events tell that this route alone came into the kernel. */
const installed = (prefix: string): number =>
  tested.events.filter(({ kind, object }) => kind === 'routesInstalled' && object === `Prefix/${prefix}`)
    .length;

/** The arguments of every `ip` so far. */
const calls = (): readonly string[] => readFileSync(join(faults, 'calls'), 'utf8').split('\n');

/** What the script has refused so far, a word a line. */
const refused = (): string => readFileSync(join(faults, 'refused'), 'utf8');

function configuration(index: number, originate: readonly string[]): BgpdConfigurationInput {
  const peers = index === 1 ? [2, 3] : [1];
  return {
    routerId: `10.9.0.${index}`,
    asn: 65000,
    peers: peers.map((peer) => ({
      name: `h${peer}`,
      address: `10.9.0.${peer}`,
      asn: 65000,
      localAddress: `10.9.0.${index}`,
      connectRetrySeconds: 1,
      families: ['ipv4Unicast' as const],
    })),
    originate: [...originate],
    kernel: { blackholes: index === 1 ? [BLOCK] : [] },
  };
}

const originate = async (index: 2 | 3, ...prefixes: string[]): Promise<void> => {
  await others[index - 2]?.configure(configuration(index, prefixes));
};
const routes = (): Promise<string[]> => bgpRoutes(tested.host);
const has = async (start: string): Promise<boolean> =>
  (await routes()).some((line) => line.startsWith(start));
const onHost = (...argv: string[]): Promise<string> => execIn(tested.host, argv);

describe('a kernel that cannot be read when the speaker starts', () => {
  it('is the reason that who configures gets to read, and nothing is in force', async () => {
    await expect(tested.configure(configuration(1, [BLOCK]))).rejects.toMatchObject({
      type: { code: 'answered', message: expect.stringContaining('no list today') },
    });
    expect(await tested.client.status()).not.toHaveProperty('configurationNumber');
  });

  it('leaves nothing behind: the next configuration gets a whole speaker', async () => {
    mend('list');
    await tested.configure(configuration(1, [BLOCK]));
    expect(await has(`blackhole ${BLOCK}`)).toBe(true);
    // Its link monitor and its comparison with the kernel run.
    const before = installed(BLOCK);
    await onHost('ip', 'route', 'del', 'blackhole', BLOCK);
    await onHost('ip', 'address', 'add', '10.77.0.1/32', 'dev', 'lo');
    await waitFor('the route is back', () => has(`blackhole ${BLOCK}`), 5000);
    await waitFor('and an event tells of it', () => installed(BLOCK) > before);
  });
});

describe('a kernel that can neither be written nor read while routes come', () => {
  it('costs no session, and has the routes as soon as it can', async () => {
    await originate(2);
    await originate(3);
    for (const peer of ['h2', 'h3']) await tested.established(peer);
    const before = await tested.peer('h2');
    fault('list', 'batch');
    await killBatch();
    await originate(2, SHARED);
    await waitFor('both have failed', () => refused().includes('batch\nlist\n'));
    mend('list', 'batch');
    await waitFor('the route is there', () => has(`${SHARED} via 10.9.0.2`));
    await waitFor('and an event tells of it', () => installed(SHARED) > 0);
    const after = await tested.peer('h2');
    expect([after.state, after.since]).toEqual(['Established', before.since]);
  });
});

describe('a route that somebody else has put in the place of ours', () => {
  it('is not replaced when our next hops change, but reported; ours comes when it has gone', async () => {
    await onHost('ip', 'route', 'replace', 'blackhole', SHARED, 'proto', 'static');
    await originate(3, SHARED);
    await waitFor('it is reported', async () => {
      const { failed } = (await tested.client.status()).kernel;
      return failed.some(({ prefix }) => prefix === SHARED);
    });
    expect(await onHost('ip', 'route', 'show', SHARED)).toContain('proto static');
    await onHost('ip', 'route', 'del', 'blackhole', SHARED);
    await waitFor('ours is there', () => has(SHARED));
    expect((await tested.client.status()).kernel.failed).toEqual([]);
  });

  it('a change of next hops is one replacement: at no moment is there no route', async () => {
    const watch = await watchRoutes(network, tested.host);
    await originate(2);
    const said = (line: string): boolean => line.startsWith(`${SHARED} via 10.9.0.3`);
    await waitFor('h3 alone', () => watch.lines.some(said));
    await watch.stop();
    // Right before it that prefix alone is looked at.
    expect(calls()).toContain('-4 -j -batch -');
    expect(watch.lines.filter((line) => line.startsWith(`Deleted ${SHARED}`))).toEqual([]);
  });
});

describe('interfaces that change', () => {
  const looks = (): number => calls().filter((line) => line.startsWith('-4 -j route show table')).length;
  const lookAfter = async (...argv: string[]): Promise<void> => {
    const before = looks();
    await onHost(...argv);
    await waitFor('the kernel is looked at', () => looks() > before, 5000);
  };

  it('are a reason to look at the kernel if routes of ours go through them, and else none', async () => {
    await lookAfter('ip', 'address', 'add', '10.78.0.1/32', 'dev', 'eth0');
    const before = looks();
    for (let index = 0; index < 5; index++) {
      await onHost('ip', 'link', 'add', `w${index}`, 'type', 'veth', 'peer', 'name', `v${index}`);
      // Longer than a look waits for more of the same.
      await delay(150);
    }
    // One may be the regular one.
    expect(looks() - before).toBeLessThanOrEqual(1);
    await lookAfter('ip', 'address', 'del', '10.78.0.1/32', 'dev', 'eth0');
  });
});

/** Ends the `ip -batch` that bgpd keeps; it starts another when it needs one. */
async function killBatch(): Promise<void> {
  const { stdout } = await runOk('pgrep', ['-P', String(tested.pid), '-f', '--', '-batch']);
  for (const pid of stdout.trim().split('\n')) process.kill(Number(pid), 'SIGKILL');
}
