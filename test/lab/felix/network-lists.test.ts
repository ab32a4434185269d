// What our own dumps say of a namespace, against what `ip` says of it: links with their addresses and VXLAN's settings, routes of a
// protocol and table, permanent neighbours, rules.

import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { NetworkLists } from '../../../agents/felix/kernel/network-lists.ts';
import { FAMILIES } from '../../../lib/net/ip.ts';
import type { NetworkQuery } from '../../../lib/protocol/kernel-writer.ts';
import { Namespace } from './support/namespaces.ts';

const VXLAN = 'link add vxlan.calico type vxlan id 4096 local 192.0.2.1 dev eth0 dstport 4789 nolearning';
const VXLAN6 = 'link add vxlan-v6.calico type vxlan id 4097 local 2001:db8::1 dev eth0 dstport 4790';

let namespace: Namespace;
let lists: NetworkLists;
beforeAll(async () => {
  namespace = Namespace.create('lists');
  await namespace.ip(
    'link set lo up',
    'link add eth0 type veth peer name far',
    'link set far up',
    'addr add 192.0.2.1/24 dev eth0',
    'addr add 192.0.2.5 peer 198.51.100.1/32 dev eth0 scope link',
    'addr add 2001:db8::1/64 dev eth0 nodad',
    'link set eth0 mtu 1400 up',
    VXLAN,
    VXLAN6,
    'link set vxlan.calico up',
    'route add default via 192.0.2.2 proto 80',
    'route add 10.65.0.3/32 dev far proto 80',
    'route add 10.65.2.0/26 via 192.0.2.3 proto 80',
    'route add 10.65.3.0/26 proto 80 nexthop via 192.0.2.2 nexthop via 192.0.2.3',
    'route add blackhole 10.65.1.0/26 proto 80',
    'route add 10.66.0.0/16 via 192.0.2.2 proto 81',
    'route add throw 10.67.0.0/16 table 1 proto 80',
    'route add 10.68.0.0/16 via 192.0.2.2 table 1000 proto 80',
    'route add fd65::3/128 dev far proto 80',
    'route add fd65:0:1::/122 via 2001:db8::2 proto 80',
    'route add blackhole fd65:0:2::/122 proto 80',
    'route add default via 2001:db8::2 proto 81',
    'neigh add 10.65.0.3 lladdr 02:00:00:00:00:03 dev far nud permanent',
    'neigh add fd65::3 lladdr 02:00:00:00:00:04 dev far nud permanent',
    'neigh add 10.65.2.9 lladdr 66:00:00:00:00:01 dev vxlan.calico nud permanent',
    'neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev eth0 nud stale',
    'rule add not fwmark 0x200000/0x200000 table 1 pref 99',
    'rule add from 192.0.2.0/24 table 1000 pref 100',
  );
  lists = namespace.inside(() => new NetworkLists());
}, 60_000);
afterAll(() => namespace?.close());

/** Of each entry what is asked for, in any order. */
function only(entries: unknown, fields: readonly string[]): ReadonlySet<string> {
  const list = entries as readonly Readonly<Record<string, unknown>>[];
  return new Set(list.map((entry) => JSON.stringify(fields.map((field) => entry[field] ?? null))));
}

async function compare(query: NetworkQuery, fields: readonly string[], ...args: string[]): Promise<number> {
  const said: unknown = JSON.parse((await namespace.exec('ip', '-N', '-j', '-d', ...args)) || '[]');
  const listed = lists.list(query);
  expect(only(listed, fields)).toEqual(only(said, fields));
  return listed.length;
}

it.each([
  [4, 80, undefined, 5],
  [4, 81, undefined, 1],
  [4, 80, 1, 1],
  [4, 80, 1000, 1],
  [4, 80, 4000, 0],
  [6, 80, undefined, 3],
  [6, 81, undefined, 1],
  [6, 80, 1, 0],
  [6, 80, 4000, 0],
] as const)('routes: IPv%d, protocol %d, table %s', async (family, protocol, table, count) => {
  const query: NetworkQuery = {
    what: 'routes',
    family,
    protocol,
    ...(table === undefined ? {} : { table }),
  };
  const args = [`-${family}`, 'route', 'show', 'table', String(table ?? 254), 'proto', String(protocol)];
  expect(lists.list(query)).toHaveLength(count);
  // `ip` calls a table that is not there an error.
  if (count > 0) await compare(query, ['dst', 'gateway', 'dev'], ...args);
});

it('routes that lead nowhere by their words', () => {
  const typesOf = (query: NetworkQuery): unknown => only(lists.list(query), ['type', 'dst']);
  const main = { what: 'routes', protocol: 80 } as const;
  expect(typesOf({ ...main, family: 4 })).toEqual(
    new Set(
      [
        ['unicast', 'default'],
        ['unicast', '10.65.0.3'],
        ['unicast', '10.65.2.0/26'],
        ['unicast', '10.65.3.0/26'],
        ['blackhole', '10.65.1.0/26'],
      ].map((pair) => JSON.stringify(pair)),
    ),
  );
  expect(typesOf({ ...main, family: 4, table: 1 })).toEqual(new Set(['["throw","10.67.0.0/16"]']));
});

it('permanent neighbours, and no others', async () => {
  expect(
    await compare({ what: 'neighbours' }, ['dst', 'dev', 'lladdr'], 'neigh', 'show', 'nud', 'permanent'),
  ).toBe(3);
});

it.each(FAMILIES)('rules of IPv%d', async (family) => {
  await compare({ what: 'rules', family }, ['priority', 'fwmark', 'table'], `-${family}`, 'rule', 'show');
  const inverted = lists.list({ what: 'rules', family }).filter((rule) => 'not' in rule);
  expect(inverted).toEqual(
    family === 4 ? [expect.objectContaining({ priority: 99, fwmark: '0x200000' })] : [],
  );
});

it('links, with addresses where they are asked for', async () => {
  const query: NetworkQuery = { what: 'links', withAddresses: true };
  expect(await compare(query, ['ifname', 'mtu'], 'addr', 'show')).toBe(5);
  const said = JSON.parse(await namespace.exec('ip', '-j', '-d', 'addr', 'show')) as {
    ifname: string;
    flags: string[];
    address: string;
    linkinfo?: { info_kind: string; info_data?: Record<string, unknown> };
    addr_info: { family: string; local: string; scope: string }[];
  }[];
  const expected = said.map(({ ifname, flags, address, linkinfo, addr_info }) => {
    const { id, port, local, local6, link } = linkinfo?.info_data ?? {};
    const data = { id, port, local, local6, link };
    return {
      ...{ ifname, address },
      flags: flags.filter((flag) => flag === 'UP'),
      linkinfo: linkinfo && { info_kind: linkinfo.info_kind, info_data: data },
      addr_info: addr_info.map(({ family, local, scope }) => ({ family, local, scope })),
    };
  });
  const found = lists.list(query).map((link) => ({ ...link, mtu: undefined }));
  expect(found).toEqual(expected);
  expect(only(lists.list({ what: 'links', withAddresses: false }), ['addr_info'])).toEqual(new Set(['[[]]']));
});

it('links of a kind', () => {
  expect(only(lists.list({ what: 'links', kinds: ['vxlan'], withAddresses: false }), ['ifname'])).toEqual(
    new Set(['["vxlan.calico"]', '["vxlan-v6.calico"]']),
  );
  expect(lists.list({ what: 'links', kinds: ['ipip'], withAddresses: true })).toEqual([]);
});
