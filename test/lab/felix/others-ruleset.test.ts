// Others' chains and rules as messages of our own read them (docs/dataplane.md "Other tables"): what is made of them is what is made of
// nft's own listing; elements of others' sets are no reason to look.

import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { foreignRules, OWN_COMMENT } from '../../../agents/felix/nftables/render/foreign-rules.ts';
import { TABLE_NAME } from '../../../agents/felix/nftables/render/layout.ts';
import { Fabric, TestHost, until } from './support/test-host.ts';

const OWN = `counter accept comment "${OWN_COMMENT}"`;
const DOCKER = `
table ip filter {
  chain DOCKER-USER {
    iifname "cali*" ${OWN}
    oifname "cali*" ${OWN}
    iifname "eth7" counter drop
    counter return
  }
  chain SIDE { oifname "cali*" accept; }
  chain FORWARD {
    type filter hook forward priority filter; policy drop;
    counter jump DOCKER-USER
    ct state established,related counter jump SIDE
    iifname "cali*" oifname != "docker0" accept
    oifname != "cali*" accept
    goto LAST
  }
  chain LAST { iifname "cali*" counter accept; ip saddr 192.0.2.1 drop; }
  chain input { type filter hook input priority filter; policy drop; }
}`;
const MARKS = `
table inet marks {
  set s { type ipv4_addr; }
  map verdicts { type ipv4_addr : verdict; }
  chain kube { ip saddr @s meta mark set meta mark or 0x4000; }
  chain flows { meta mark 0x7 ct mark set 0x100000; }
  chain reads { meta mark 0x4000 ct mark 0x1 counter; meta nftrace set 1; }
  chain forward {
    type filter hook forward priority 10; policy drop;
    iifname "cali0" accept
    iifname { "cali1", "cali2" } accept
    ip saddr vmap @verdicts
    meta l4proto tcp th dport 80 accept
    log prefix "x"
    oifname "calix*" accept
    oifname "cali*" accept
  }
}
table bridge b { chain forward { type filter hook forward priority 0; policy drop; accept; }; }
table ip6 empty { chain forward { type filter hook forward priority 0; policy drop; }; }`;
const hasIptables = spawnSync('iptables-nft', ['--version']).status === 0;

describe('others’ ruleset', () => {
  let fabric: Fabric;
  let host: TestHost;
  beforeAll(async () => {
    fabric = await Fabric.create();
    host = await TestHost.create(fabric, 'n1', '172.30.0.11');
    await host.dataplane.start();
  });
  beforeEach(async () => {
    for (const table of ['ip filter', 'inet marks', 'bridge b', 'ip6 empty', 'ip mangle'])
      await host.namespace.exec('sh', '-c', `nft delete table ${table} 2>/dev/null; true`);
  });
  afterAll(async () => {
    await host?.close();
    fabric?.close();
  });

  const both = async (prefixes: readonly string[]): Promise<readonly object[]> => [
    foreignRules(await host.writer.othersRuleset(TABLE_NAME, OWN_COMMENT), prefixes),
    foreignRules(await host.writer.nftQuery('list ruleset', 'terseJson'), prefixes),
  ];

  it.each([
    ['Docker’s', DOCKER],
    ['a firewall’s and marks', MARKS],
    ['both', DOCKER + MARKS],
    ['nobody’s', 'table ip filter { chain c { }; }'],
  ])('is read as nft lists it: %s', async (_whose, text) => {
    await host.namespace.exec('nft', text);
    for (const prefixes of [['cali'], ['cali', 'calix'], []]) {
      const [ours, nfts] = await both(prefixes);
      expect(ours).toEqual(nfts);
    }
  });

  (hasIptables ? it : it.skip)('is read as nft lists it where iptables has written it', async () => {
    for (const line of [
      '-P FORWARD DROP',
      '-N DOCKER-USER',
      '-A FORWARD -j DOCKER-USER',
      '-A DOCKER-USER -m comment --comment mine -i cali+ -j ACCEPT',
      '-A DOCKER-USER -o cali+ -m conntrack --ctstate NEW -j ACCEPT',
      '-A DOCKER-USER -j RETURN',
      '-t mangle -A PREROUTING -p tcp -j MARK --set-mark 1',
      '-t mangle -A POSTROUTING -j CONNMARK --save-mark',
    ])
      await host.namespace.exec('iptables-nft', ...line.split(' '));
    const [ours, nfts] = await both(['cali']);
    expect(ours).toEqual(nfts);
    expect(ours).toMatchObject({ droppingChains: [{ hasUserChain: true }] });
  });

  it('is looked at for chains and rules, not for elements of sets', async () => {
    const looked = (): number => host.dataplane.table.rulesetWrites;
    let before = looked();
    await host.namespace.exec('nft', MARKS);
    await until('chains are seen', () => looked() > before, 15_000);
    before = looked();
    await host.namespace.exec('nft', 'add rule inet marks kube counter');
    await until('the rule is seen', () => looked() > before, 15_000);
    // The kernel counts a commit a moment before it tells of it: one write may be seen by two looks.
    const { foreignChecks } = host.dataplane;
    await until('two looks later', () => host.dataplane.foreignChecks >= foreignChecks + 2, 15_000);
    const writes = host.dataplane.table.foreignWrites;
    before = looked();
    await host.namespace.exec('nft', 'add element inet marks s { 192.0.2.1 }');
    await until('the element is seen', () => host.dataplane.table.foreignWrites > writes, 15_000);
    expect(looked()).toBe(before);
  });
});
