// Kernel routes as commands, listings as routes.

import { describe, expect, it } from '@jest/globals';
import {
  type KernelRoute,
  parseRoutes,
  routeCommand,
  routeKey,
  throughGateways,
} from '../../../../agents/bgp/kernel/route.ts';
import { formatCidr, formatScopedIp } from '../../../../lib/net/ip.ts';
import { cidr, ip } from '../rib/rib-support.ts';

const route = (prefix: string, ...nextHops: string[]): KernelRoute => ({
  prefix: cidr(prefix),
  nextHops: nextHops.map(ip),
});

describe('commands', () => {
  it.each([
    ['add', route('10.1.0.0/26', '10.9.0.2'), 'route add 10.1.0.0/26 via 10.9.0.2 proto 81'],
    ['replace', route('fd01::/64', 'fd09::2'), 'route replace fd01::/64 via fd09::2 proto 81'],
    ['add', route('10.1.0.0/26'), 'route add blackhole 10.1.0.0/26 proto 81'],
    ['del', route('10.1.0.0/26', '10.9.0.2'), 'route del 10.1.0.0/26 proto 81'],
    ['del', route('10.1.0.0/26'), 'route del blackhole 10.1.0.0/26 proto 81'],
    [
      'replace',
      route('10.1.0.0/26', '10.9.0.2', '10.9.0.3'),
      'route replace 10.1.0.0/26 proto 81 nexthop via 10.9.0.2 nexthop via 10.9.0.3',
    ],
    [
      'add',
      { prefix: cidr('10.1.0.0/26'), nextHops: [{ ...ip('fe80::2'), zone: 'eth0' }] },
      'route add 10.1.0.0/26 via inet6 fe80::2 dev eth0 proto 81',
    ],
    [
      'add',
      { prefix: cidr('fd01::/64'), nextHops: [{ ...ip('fe80::2'), zone: 'eth0' }] },
      'route add fd01::/64 via fe80::2 dev eth0 proto 81',
    ],
  ] as const)('%s', (action, value, expected) => {
    expect(routeCommand(action, value, 81)).toBe(expected);
  });

  it('next hops that a static route leads to are its gateway, once', () => {
    const learned = route('10.1.0.0/26', '192.0.2.1', '192.0.2.2', '10.9.0.3');
    const ways = ['192.0.2.1/32', '192.0.2.2/32'].map((prefix) => ({
      prefix: cidr(prefix),
      via: ip('10.9.0.2'),
    }));
    expect(throughGateways(learned, ways)).toEqual(route('10.1.0.0/26', '10.9.0.2', '10.9.0.3'));
    expect(throughGateways(learned, [])).toBe(learned);
  });

  it('routes with the same next hops are the same, whatever their order', () => {
    expect(routeKey(route('10.1.0.0/26', '10.9.0.2', '10.9.0.3'))).toBe(
      routeKey(route('10.1.0.0/26', '10.9.0.3', '10.9.0.2')),
    );
    expect(routeKey(route('10.1.0.0/26'))).not.toBe(routeKey(route('10.1.0.0/26', '10.9.0.2')));
  });
});

describe('listings', () => {
  it('reads what `ip -j route show` prints', () => {
    const json = JSON.stringify([
      { type: 'blackhole', dst: '10.1.0.0/26', flags: [] },
      { dst: '10.2.0.0/26', gateway: '10.9.0.2', dev: 'eth0', flags: [] },
      { dst: '10.3.0.7', gateway: '10.9.0.2', dev: 'eth0', flags: [] },
      { dst: 'default', gateway: '10.9.0.2', dev: 'eth0', flags: [] },
      {
        dst: '10.4.0.0/26',
        flags: [],
        nexthops: [
          { gateway: '10.9.0.2', dev: 'eth0' },
          { gateway: '10.9.0.3', dev: 'eth1' },
        ],
      },
      { dst: '10.5.0.0/26', via: { family: 'inet6', host: 'fe80::1' }, dev: 'eth0' },
      { dst: '10.6.0.0/26', dev: 'eth0', scope: 'link' },
    ]);
    const shown = parseRoutes(json, 4).map(({ prefix, nextHops }) =>
      [formatCidr(prefix), ...nextHops.map(({ zone, ...address }) => formatScopedIp({ address, zone }))].join(
        ' ',
      ),
    );
    expect(shown).toEqual([
      '10.1.0.0/26',
      '10.2.0.0/26 10.9.0.2',
      '10.3.0.7/32 10.9.0.2',
      '0.0.0.0/0 10.9.0.2',
      '10.4.0.0/26 10.9.0.2 10.9.0.3',
      '10.5.0.0/26 fe80::1%eth0',
    ]);
    expect(parseRoutes(json, 4).map(({ devices }) => devices.join(' '))).toEqual([
      ...['', 'eth0', 'eth0', 'eth0'],
      ...['eth0 eth1', 'eth0'],
    ]);
    expect(parseRoutes('', 4)).toEqual([]);
  });

  it.each([4, 6] as const)('IPv%d: a default route is of the family that was asked for', (family) => {
    const json = JSON.stringify([{ type: 'blackhole', dst: 'default', flags: [] }]);
    expect(parseRoutes(json, family)).toMatchObject([route(family === 4 ? '0.0.0.0/0' : '::/0')]);
  });
});
