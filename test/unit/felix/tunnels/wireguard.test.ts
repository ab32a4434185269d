// WireGuard: what of it a host is to have (Felix's wireguard.go), the commands for it as they are run, and what is read of a kernel.

import { describe, expect, it } from '@jest/globals';
import { DEFAULT_FELIX_SETTINGS, type FelixSettings } from '../../../../agents/felix/calc/felix-settings.ts';
import type { HostUpdate, RouteUpdate, WireguardUpdate } from '../../../../agents/felix/calc/messages.ts';
import {
  tunnelLinks,
  tunnelRoutes,
  tunnelRules,
  wireguardConfiguration,
} from '../../../../agents/felix/tunnels/kernel-overlay.ts';
import { overlayOf } from '../../../../agents/felix/tunnels/overlay.ts';
import { type ActualOverlay, overlayLines } from '../../../../agents/felix/tunnels/overlay-commands.ts';
import type { Overlay, OverlayInputs } from '../../../../agents/felix/tunnels/overlay-model.ts';
import { FAR, inputs, OWN, route, there } from './support.ts';

const OWN_KEY = 'jlkVyQYooZYzI2wFfNhSZez5eWh44yfq1wKVjLvSXgY=';
const OWN_KEY6 = 'Ehz0DFp5UlbTSqQ1cPL4/Cm4Ox5iTOWz0kEVBXnxRBA=';
const FAR_KEY = 'xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=';
const FAR_KEY6 = 'TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=';
const NAMES = { 4: 'wireguard.cali', 6: 'wg-v6.cali' };
const NOTHING = { ipip: false, vxlan: false, vxlanV6: false, noEncap: false };
const NOTHING_THERE: ActualOverlay = { links: [], neighbours: [], forwarding: [], routes: [], rules: [] };

const settings = (
  families: readonly (4 | 6)[],
  more: Partial<FelixSettings['wireguard'][4]> = {},
): FelixSettings => {
  const of = (family: 4 | 6): FelixSettings['wireguard'][4] => ({
    ...DEFAULT_FELIX_SETTINGS.wireguard[family],
    enabled: families.includes(family),
    ...more,
  });
  return { ...DEFAULT_FELIX_SETTINGS, wireguard: { 4: of(4), 6: of(6) } };
};
const end = (host: string, more: Partial<WireguardUpdate> = {}): WireguardUpdate => ({
  ...{ host, key: undefined, ipv4: undefined, keyV6: undefined, ipv6: undefined },
  ...more,
});
const host = (name: string, octet: number): HostUpdate => ({
  host: name,
  ipv4: `172.30.0.${octet}/24`,
  ipv6: `fd30:0::${octet}/64`,
  addresses: [`172.30.0.${octet}`, `fd30::${octet}`],
});
const ENDS = [
  end(OWN, { key: OWN_KEY, ipv4: '10.65.1.1', keyV6: OWN_KEY6, ipv6: 'fd65::101' }),
  end(FAR, { key: FAR_KEY, ipv4: '10.65.2.1', keyV6: FAR_KEY6, ipv6: 'fd65::201' }),
];
const ROUTES = [
  route('10.65.2.0/26', { pool: 'no-encap' }),
  route('10.65.2.1/32', { types: ['remote-workload', 'remote-tunnel'], tunnel: 'wireguard' }),
  route('10.65.1.0/26', { types: ['local-workload'], node: OWN }),
];

/** `ends` and `hosts` of a cluster of our node, the far one, and whoever else. */
const cluster = (
  routes: readonly RouteUpdate[],
  more: Partial<OverlayInputs> = {},
  ends: readonly WireguardUpdate[] = ENDS,
): Overlay =>
  overlayOf(
    inputs(routes, {
      encapsulation: NOTHING,
      wireguards: new Map(ends.map((each) => [each.host, each])),
      hosts: new Map([host(OWN, 11), host(FAR, 12), host('n3', 13)].map((each) => [each.host, each])),
      publicKeys: { 4: OWN_KEY, 6: OWN_KEY6 },
      settings: settings([4]),
      ...more,
    }),
  );
const text = (desired: Overlay, actual: ActualOverlay): readonly string[] =>
  overlayLines(desired, actual, 80).map(({ tool, line, input }) =>
    [`${tool} ${line}`, ...(input === undefined ? [] : [input])].join('\n'),
  );

describe('what a host is to have', () => {
  it('is a device, the far node as a peer with its networks, a table of routes and a rule to it', () => {
    expect(cluster(ROUTES)).toEqual({
      links: [
        {
          name: 'wireguard.cali',
          kind: 'wireguard',
          family: 4,
          mac: undefined,
          mtu: 1440,
          address: '10.65.1.1',
          vxlan: undefined,
          wireguard: {
            publicKey: OWN_KEY,
            port: 51_820,
            mark: 0x200000,
            peers: [
              {
                publicKey: FAR_KEY,
                endpoint: '172.30.0.12:51820',
                allowedIps: ['10.65.2.0/26', '10.65.2.1/32'],
                keepAliveSeconds: 0,
              },
            ],
          },
        },
      ],
      neighbours: [],
      forwarding: [],
      routes: [
        { dst: '10.65.1.0/26', device: undefined, via: undefined, table: 1 },
        { dst: '10.65.2.0/26', device: 'wireguard.cali', via: undefined, table: 1 },
        { dst: '10.65.2.1/32', device: 'wireguard.cali', via: undefined, table: 1 },
      ],
      rules: [{ family: 4, priority: 99, mark: 0x200000, table: 1 }],
    });
  });

  it('goes beside VXLAN, whose routes stay in the main table', () => {
    const encapsulation = { ...NOTHING, vxlan: true };
    const both = cluster([route('10.65.2.0/26')], { encapsulation });
    expect(both.links.map(({ name }) => name)).toEqual(['vxlan.calico', 'wireguard.cali']);
    expect(both.routes).toEqual([
      { dst: '10.65.2.0/26', device: 'vxlan.calico', via: '10.65.2.0' },
      { dst: '10.65.2.0/26', device: 'wireguard.cali', via: undefined, table: 1 },
    ]);
  });

  it('has a device of its own for IPv6, with its own port, key, table and addresses', () => {
    const made = cluster([route('fd65::200/122', { pool: 'no-encap' })], { settings: settings([4, 6]) });
    expect(made.links[1]).toMatchObject({
      name: 'wg-v6.cali',
      mtu: 1420,
      address: 'fd65::101',
      wireguard: {
        publicKey: OWN_KEY6,
        port: 51_821,
        peers: [{ publicKey: FAR_KEY6, endpoint: '[fd30::12]:51821', allowedIps: ['fd65::200/122'] }],
      },
    });
    expect(made.routes).toEqual([{ dst: 'fd65::200/122', device: 'wg-v6.cali', via: undefined, table: 2 }]);
    expect(made.rules).toHaveLength(2);
  });

  it.each<[string, ReturnType<typeof settings>, Partial<OverlayInputs>]>([
    ['it is not asked for', settings([]), {}],
    ['there is no key of ours', settings([4]), { publicKeys: { 4: undefined, 6: undefined } }],
    ['only IPv6 is asked for, and there is none', { ...settings([6]), hasIpv6: false }, {}],
  ])('is nothing where %s', (_why, felix, more) => {
    expect(cluster(ROUTES, { settings: felix, ...more })).toEqual({
      ...{ links: [], neighbours: [], forwarding: [], routes: [], rules: [] },
    });
  });

  it('comes before the node has an address of its own on the device: that follows the key', () => {
    const ends = [end(OWN), ...ENDS.slice(1)];
    expect(cluster(ROUTES, {}, ends).links).toMatchObject([{ name: 'wireguard.cali', address: undefined }]);
  });

  it('leaves to the main table what is for a node without a key', () => {
    const borrowed = route('10.65.2.9/32', { node: 'n3', nodeIp: '172.30.0.13', borrowed: true });
    const { links, routes } = cluster([...ROUTES, borrowed]);
    expect(links[0]?.wireguard?.peers).toHaveLength(1);
    expect(routes).toContainEqual({ dst: '10.65.2.9/32', device: undefined, via: undefined, table: 1 });
  });

  it.each([
    ['two nodes claim one key', [...ENDS, end('n3', { key: FAR_KEY })]],
    ['a node claims ours', [...ENDS.slice(0, 1), end(FAR, { key: OWN_KEY })]],
    ['a node has no address', [...ENDS.slice(0, 1), end('n9', { key: FAR_KEY })]],
  ])('encrypts to nobody where %s', (_why, ends) => {
    const made = cluster(ROUTES, {}, ends);
    expect(made.links[0]?.wireguard?.peers).toEqual([]);
    expect(made.routes.every(({ device }) => device === undefined)).toBe(true);
  });

  it('is not for the nodes themselves, and of our own addresses for borrowed ones alone', () => {
    const own = { types: ['local-workload'] as const, node: OWN, localWorkload: true };
    const routes = [
      route('172.30.0.12/32', { types: ['remote-host'], pool: undefined }),
      route('10.65.0.0/16', { types: ['cidr-info'], node: undefined }),
      route('10.65.1.3/32', own),
      route('10.65.2.4/32', { ...own, borrowed: true }),
    ];
    expect(cluster(routes).routes).toEqual([
      { dst: '10.65.2.4/32', device: undefined, via: undefined, table: 1 },
    ]);
  });

  it('obeys name, port, MTU, keep-alive and priority', () => {
    const felix = {
      ...settings([4], { interfaceName: 'wg0', port: 51_900, mtu: 1400 }),
      wireguardKeepAliveSeconds: 25,
      wireguardRulePriority: 50,
    };
    const made = cluster(ROUTES, { settings: felix });
    expect(made.links).toMatchObject([
      {
        name: 'wg0',
        mtu: 1400,
        wireguard: { port: 51_900, peers: [{ endpoint: '172.30.0.12:51900', keepAliveSeconds: 25 }] },
      },
    ]);
    expect(made.rules).toMatchObject([{ priority: 50 }]);
  });
});

describe('lines', () => {
  const WANTED = cluster(ROUTES);
  const CONFIGURATION = `[Interface]
ListenPort = 51820
FwMark = 0x200000

[Peer]
PublicKey = ${FAR_KEY}
Endpoint = 172.30.0.12:51820
AllowedIPs = 10.65.2.0/26, 10.65.2.1/32
PersistentKeepalive = off
`;

  it('make everything, and lead there last', () => {
    expect(text(WANTED, NOTHING_THERE)).toEqual([
      'ip link add wireguard.cali mtu 1440 type wireguard',
      `wg syncconf wireguard.cali /dev/stdin\n${CONFIGURATION}`,
      'ip addr replace 10.65.1.1/32 dev wireguard.cali',
      'ip link set dev wireguard.cali up',
      'ip route replace throw 10.65.1.0/26 proto 80 table 1',
      'ip route replace 10.65.2.0/26 dev wireguard.cali scope link proto 80 table 1',
      'ip route replace 10.65.2.1/32 dev wireguard.cali scope link proto 80 table 1',
      'ip rule add not from all fwmark 0x200000/0x200000 lookup 1 priority 99',
    ]);
  });

  it('of IPv6 say the family where no address does', () => {
    const felix = { ...settings([6]), wireguardKeepAliveSeconds: 25 };
    const desired = cluster([route('fd65::200/122', { pool: 'no-encap' })], { settings: felix });
    expect(text(desired, NOTHING_THERE)).toEqual([
      'ip link add wg-v6.cali mtu 1420 type wireguard',
      `wg syncconf wg-v6.cali /dev/stdin
[Interface]
ListenPort = 51821
FwMark = 0x200000

[Peer]
PublicKey = ${FAR_KEY6}
Endpoint = [fd30::12]:51821
AllowedIPs = fd65::200/122
PersistentKeepalive = 25
`,
      'ip addr replace fd65::101/128 dev wg-v6.cali nodad',
      'ip link set dev wg-v6.cali up',
      'ip route replace fd65::200/122 dev wg-v6.cali proto 80 table 2',
      'ip -6 rule add not from all fwmark 0x200000/0x200000 lookup 2 priority 99',
    ]);
  });

  it('are none where all is there', () => {
    expect(text(WANTED, there(WANTED))).toEqual([]);
  });

  it('take everything away, the rule first', () => {
    expect(text(cluster([], { settings: settings([]) }), there(WANTED))).toEqual([
      'ip rule del not from all fwmark 0x200000/0x200000 lookup 1 priority 99',
      'ip route del throw 10.65.1.0/26 proto 80 table 1',
      'ip route del 10.65.2.0/26 dev wireguard.cali proto 80 table 1',
      'ip route del 10.65.2.1/32 dev wireguard.cali proto 80 table 1',
      'ip link del dev wireguard.cali',
    ]);
  });

  it('take a peer away that has left, and its routes', () => {
    const alone = cluster(ROUTES.slice(2), {}, ENDS.slice(0, 1));
    expect(text(alone, there(WANTED))).toEqual([
      'ip route del 10.65.2.0/26 dev wireguard.cali proto 80 table 1',
      'ip route del 10.65.2.1/32 dev wireguard.cali proto 80 table 1',
      'wg syncconf wireguard.cali /dev/stdin\n[Interface]\nListenPort = 51820\nFwMark = 0x200000\n',
    ]);
  });

  it('add the rule of another priority before the earlier one goes', () => {
    const desired = cluster(ROUTES, { settings: { ...settings([4]), wireguardRulePriority: 50 } });
    expect(text(desired, there(WANTED))).toEqual([
      'ip rule add not from all fwmark 0x200000/0x200000 lookup 1 priority 50',
      'ip rule del not from all fwmark 0x200000/0x200000 lookup 1 priority 99',
    ]);
  });

  it.each([{ port: 51_999 }, { mark: 0 }, { peers: [] }, { publicKey: OWN_KEY6 }])(
    'configure a device that has %j',
    (change) => {
      const links = there(WANTED).links.map((link) =>
        link.wireguard === undefined ? link : { ...link, wireguard: { ...link.wireguard, ...change } },
      );
      expect(text(WANTED, there(WANTED, { links }))).toEqual([
        `wg syncconf wireguard.cali /dev/stdin\n${CONFIGURATION}`,
      ]);
    },
  );

  it('make a device anew that is of another kind', () => {
    const links = there(WANTED).links.map((link) => ({ ...link, kind: 'vxlan' as const }));
    expect(text(WANTED, there(WANTED, { links })).slice(0, 2)).toEqual([
      'ip link del dev wireguard.cali',
      'ip link add wireguard.cali mtu 1440 type wireguard',
    ]);
  });

  it('tell what of them is of no use without the device', () => {
    const devices = overlayLines(WANTED, NOTHING_THERE, 80).map(({ device }) => device);
    expect(new Set(devices)).toEqual(new Set(['wireguard.cali']));
  });
});

describe('of a kernel', () => {
  const WANTED = cluster(ROUTES);

  it('the device, its configuration, routes and rules are read as they are written', () => {
    // As `wg show wireguard.cali dump` prints it, without its secrets.
    const dump = [
      `(hidden)\t${OWN_KEY}\t51820\t0x200000`,
      `${FAR_KEY}\t(hidden)\t172.30.0.12:51820\t10.65.2.1/32,10.65.2.0/26\t1700000000\t148\t92\toff`,
    ].join('\n');
    const [link] = tunnelLinks(
      [
        {
          ifname: 'wireguard.cali',
          flags: ['POINTOPOINT', 'NOARP', 'UP', 'LOWER_UP'],
          mtu: 1440,
          linkinfo: { info_kind: 'wireguard' },
          addr_info: [{ family: 'inet', local: '10.65.1.1', scope: 'global' }],
        },
        { ifname: 'wg0', flags: [], mtu: 1420, linkinfo: { info_kind: 'wireguard' }, addr_info: [] },
      ],
      NAMES,
    );
    const routes = [
      { type: 'throw', dst: '10.65.1.0/26', flags: [] },
      { dst: '10.65.2.0/26', dev: 'wireguard.cali', scope: 'link', flags: [] },
      { dst: '10.65.2.1', dev: 'wireguard.cali', scope: 'link', flags: [] },
    ];
    const rules = [
      { priority: 0, src: 'all', table: 'local' },
      { priority: 99, not: null, src: 'all', fwmark: '0x200000', fwmask: '0x200000', table: '1' },
      { priority: 98, src: 'all', fwmark: '0x200000', fwmask: '0x200000', table: '1' },
      { priority: 97, not: null, src: 'all', fwmark: '0x200000', fwmask: '0x200000', table: '7' },
      { priority: 32_766, src: 'all', table: 'main' },
    ];
    if (link === undefined) throw new Error('no link');
    const wireguard = wireguardConfiguration(dump);
    if (wireguard === undefined) throw new Error('no configuration');
    const actual: ActualOverlay = {
      links: [{ ...link, wireguard }],
      neighbours: [],
      forwarding: [],
      routes: tunnelRoutes(routes, () => false, 1),
      rules: tunnelRules(4, rules),
    };
    expect(actual).toEqual(there(WANTED));
    expect(text(WANTED, actual)).toEqual([]);
  });

  it('one without a key, mark or peer is read too, and what is no answer is none', () => {
    expect(wireguardConfiguration('(hidden)\t(none)\t0\toff')).toEqual({
      ...{ publicKey: '(none)', port: 0, mark: 0, peers: [] },
    });
    expect(wireguardConfiguration('')).toBeUndefined();
    expect(tunnelRules(6, undefined)).toEqual([]);
  });
});
