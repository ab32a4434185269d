// Beside others' forward chains that drop by policy (docs/dataplane.md "Other tables"): Docker's gets two accepts of ours, a firewall's
// only if the settings say so, and where there are none the node says what is missing. docker-host.test.ts in test/e2e has an engine.

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { OWN_COMMENT } from '../../../agents/felix/nftables/render/foreign-rules.ts';
import { removeRules } from '../../../agents/felix/nftables/uninstall.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import { nearAndFar } from '../../support/near-and-far.ts';
import type { NetpolWorld } from '../../support/netpol-case.ts';
import { felixConfiguration } from './support/host-policies.ts';
import { NetpolBed } from './support/netpol-bed.ts';
import { type TestHost, until as untilWithin } from './support/test-host.ts';

const CASE = nearAndFar('foreign-chains', 'foreign chains');
/** As dockerd 26 leaves it behind iptables-nft, with one rule of the user's. */
const DOCKER = `
table ip filter {
  chain DOCKER { }
  chain DOCKER-ISOLATION-STAGE-1 {
    iifname "docker0" oifname != "docker0" counter jump DOCKER-ISOLATION-STAGE-2
    counter return
  }
  chain DOCKER-ISOLATION-STAGE-2 {
    oifname "docker0" counter drop
    counter return
  }
  chain DOCKER-USER {
    iifname "eth7" counter drop
    counter return
  }
  chain FORWARD {
    type filter hook forward priority filter; policy drop;
    counter jump DOCKER-USER
    counter jump DOCKER-ISOLATION-STAGE-1
    oifname "docker0" ct state established,related counter accept
    oifname "docker0" counter jump DOCKER
    iifname "docker0" oifname != "docker0" counter accept
    iifname "docker0" oifname "docker0" counter accept
  }
}`;
const FIREWALL = `
table inet firewall {
  chain forward {
    type filter hook forward priority 10; policy drop;
    ct state invalid drop
  }
}`;

const CLOSED: Resource = {
  apiVersion: 'projectcalico.org/v3',
  kind: 'NetworkPolicy',
  metadata: { name: 'closed', namespace: 'red' },
  spec: { selector: 'all()', types: ['Ingress'] },
};

/** The machine may be busy. */
const until = (what: string, condition: () => boolean | Promise<boolean>): Promise<void> =>
  untilWithin(what, condition, 15_000);

describe('beside a forward chain of others that drops', () => {
  let bed: NetpolBed;
  let world: NetpolWorld;
  let host: TestHost;
  // One cluster for all: each test begins without tables of others, and with default settings.
  beforeAll(async () => {
    bed = await NetpolBed.create(CASE.cluster.nodes);
    host = bed.host('n1');
    world = await bed.begin(CASE);
    await bed.settle(world);
  });
  beforeEach(async () => {
    await host.namespace.exec('sh', '-c', 'nft delete table ip filter; nft delete table inet firewall; true');
    await bed.settle(world);
    await until('nothing is in the way', () => problems().length === 0);
  });
  afterAll(async () => {
    await bed?.end();
    await bed?.close();
  });

  const nft = (...args: string[]): Promise<string> => host.namespace.exec('nft', ...args);
  const problems = (): readonly string[] => host.dataplane.hostProblems;
  const settings = async (spec: Parameters<typeof felixConfiguration>[0]): Promise<void> =>
    await bed.settleResources([...world.resources(), felixConfiguration(spec)]);
  const reaches = (from: 'near' | 'far', to: 'near' | 'far'): Promise<boolean> => {
    const addresses = { near: '10.80.0.2', far: '10.80.0.66' };
    const ends = { from: bed.namespaceOf(`red/${from}`), fromAddress: addresses[from], to: addresses[to] };
    return bed.probeAllowed({ name: `${from} → ${to}`, ...ends, protocol: 'TCP', port: 80 }, 300);
  };
  /** Rules of a chain, ours as `ours: side`. */
  const rulesOf = async (chain: string): Promise<readonly string[]> => {
    const text = await nft('-s', 'list', 'chain', ...chain.split(' '));
    const lines = text.split('\n').map((line) => line.trim());
    return lines
      .slice(lines.findIndex((line) => line.startsWith('chain ')) + 1)
      .filter((line) => line !== '' && line !== '}' && !line.startsWith('type '))
      .map((line) => line.replace(`ifname "cali*" counter accept comment "${OWN_COMMENT}"`, 'ifname: ours'));
  };
  const USERS = ['iifname "eth7" counter drop', 'counter return'];
  const OURS = ['oifname: ours', 'iifname: ours'];
  const acceptsAre = (chain: string, rules: readonly string[]): Promise<void> =>
    until(`accepts in ${chain}`, async () => (await rulesOf(chain)).join() === rules.join());

  it('of Docker: two accepts come into the chain that is the user’s, and what policy allows passes', async () => {
    const before = DOCKER.match(/chain FORWARD \{([^}]*)/)?.[1];
    await nft(DOCKER);
    await acceptsAre('ip filter DOCKER-USER', [...OURS, ...USERS]);
    await until('nothing is in the way', () => problems().length === 0);
    expect([await reaches('near', 'far'), await reaches('far', 'near')]).toEqual([true, true]);
    expect(await rulesOf('ip filter FORWARD')).toEqual(
      before
        ?.split('\n')
        .map((line) => line.trim())
        .filter((line) => line !== '' && !line.startsWith('type ')),
    );
    await bed.settleResources([...world.resources(), CLOSED]);
    expect([await reaches('near', 'far'), await reaches('far', 'near')]).toEqual([false, false]);
  });

  it('they come back when somebody flushes the chain, as Docker’s rules are made anew', async () => {
    await nft(DOCKER);
    await acceptsAre('ip filter DOCKER-USER', [...OURS, ...USERS]);
    const { repairs } = host.dataplane;
    const { epoch } = host.dataplane.table;
    await nft('flush chain ip filter DOCKER-USER');
    await acceptsAre('ip filter DOCKER-USER', OURS);
    await nft(`delete table ip filter\n${DOCKER}`);
    await acceptsAre('ip filter DOCKER-USER', [...OURS, ...USERS]);
    await until('nothing is in the way', () => problems().length === 0);
    expect(await reaches('far', 'near')).toBe(true);
    expect(host.dataplane.repairs).toBe(repairs + 2);
    expect(host.events).toContainEqual(
      expect.objectContaining({ kind: 'driftRepaired', object: 'ip filter DOCKER-USER', count: 2 }),
    );
    // Our own table was never in question.
    expect(host.dataplane.table.epoch).toBe(epoch);
  });

  it('they come last with chainInsertMode Append, ahead of the return', async () => {
    await settings({ chainInsertMode: 'Append' });
    await nft(DOCKER);
    await acceptsAre('ip filter DOCKER-USER', [
      'iifname "eth7" counter drop',
      'iifname: ours',
      'oifname: ours',
      'counter return',
    ]);
    await until('nothing is in the way', () => problems().length === 0);
    expect(await reaches('far', 'near')).toBe(true);
  });

  it('an agent that starts finds its accepts and adds none', async () => {
    await nft(DOCKER);
    await acceptsAre('ip filter DOCKER-USER', [...OURS, ...USERS]);
    await host.restartAgent();
    await host.dataplane.start();
    bed.renewFeed('n1');
    await bed.settle(world);
    await until('it has looked', () => host.dataplane.foreignChecks > 2);
    expect(await rulesOf('ip filter DOCKER-USER')).toEqual([...OURS, ...USERS]);
    expect(problems()).toEqual([]);
  });

  it('of a firewall: the node says what to accept, until the user has, or lets Felix do it', async () => {
    await nft(FIREWALL);
    await until('it is seen', () => problems().length > 0);
    expect(problems()).toEqual([
      expect.stringMatching(
        /^chain "inet firewall forward" drops .*accept iifname "cali\*" and oifname "cali\*" there/,
      ),
    ]);
    expect(await reaches('far', 'near')).toBe(false);
    await nft('add chain inet firewall user; add rule inet firewall forward jump user');
    await nft('add rule inet firewall user iifname "cali*" counter accept');
    await nft('add rule inet firewall user oifname "cali*" counter accept');
    await until('it is seen', () => problems().length === 0);
    expect(await reaches('far', 'near')).toBe(true);
    await nft('flush chain inet firewall user');
    await until('it is seen', () => problems().length > 0);
    await settings({ nftablesFilterAllowAction: 'Accept' });
    await acceptsAre('inet firewall forward', [...OURS, 'ct state invalid drop', 'jump user']);
    await until('it is seen', () => problems().length === 0);
    expect(await reaches('far', 'near')).toBe(true);
  });

  it('they go with nftablesFilterAllowAction Return, and with Felix', async () => {
    await nft(DOCKER);
    await acceptsAre('ip filter DOCKER-USER', [...OURS, ...USERS]);
    await settings({ nftablesFilterAllowAction: 'Return' });
    await acceptsAre('ip filter DOCKER-USER', USERS);
    await until('it is said', () => problems().length === 1);
    expect(problems()[0]).toMatch(/^chain "ip filter FORWARD" drops .* in DOCKER-USER/);
    await bed.settle(world);
    await acceptsAre('ip filter DOCKER-USER', [...OURS, ...USERS]);
    await host.dataplane.stop();
    await removeRules(host.writer);
    expect(await rulesOf('ip filter DOCKER-USER')).toEqual(USERS);
    expect(await nft('list', 'tables')).toBe('table ip filter\n');
  });
});
