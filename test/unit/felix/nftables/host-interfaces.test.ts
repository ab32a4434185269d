// Which host endpoint an interface has (Felix's resolveHostEndpoints).

import { describe, expect, it } from '@jest/globals';
import { resolveHostEndpoints } from '../../../../agents/felix/nftables/render/host-interfaces.ts';
import { hostEndpoint } from './support.ts';

const INTERFACES = [
  { name: 'eth0', addresses: ['172.30.0.11/32', 'fd00::11/128'] },
  { name: 'eth1', addresses: ['10.1.0.1/32'] },
  { name: 'cali1', addresses: ['10.2.0.1/32'] },
];
const named = (name: string, interfaceName: string): ReturnType<typeof hostEndpoint> =>
  hostEndpoint(name, { interfaceName });
const expecting = (name: string, ...expectedIps: string[]): ReturnType<typeof hostEndpoint> =>
  hostEndpoint(name, { interfaceName: undefined, expectedIps });

describe('the host endpoint of an interface', () => {
  it.each([
    ['the one that names it', [named('a', 'eth0')], { eth0: 'a' }],
    ['one that names it before it is there', [named('a', 'eth9')], { eth9: 'a' }],
    ['the one that expects its address', [expecting('a', '10.1.0.1/32')], { eth1: 'a' }],
    ['the one that expects its IPv6 address', [expecting('a', 'fd00::11/128')], { eth0: 'a' }],
    ['none by an address of nobody', [expecting('a', '10.9.0.1/32')], {}],
    [
      'one for several interfaces',
      [expecting('a', '10.1.0.1/32', '172.30.0.11/32')],
      { eth0: 'a', eth1: 'a' },
    ],
    [
      'the first by name, named or not',
      [named('b', 'eth0'), expecting('a', '172.30.0.11/32')],
      { eth0: 'a' },
    ],
    ['the first by name of two that name it', [named('b', 'eth0'), named('a', 'eth0')], { eth0: 'a' }],
    [
      'not one that names another and expects its address',
      [hostEndpoint('a', { interfaceName: 'eth1', expectedIps: ['172.30.0.11/32'] })],
      { eth1: 'a' },
    ],
    ['none of a workload', [named('a', 'cali1'), expecting('b', '10.2.0.1/32')], {}],
  ])('is %s', (_what, endpoints, wanted) => {
    const { byInterface, others } = resolveHostEndpoints(endpoints, INTERFACES, ['cali']);
    const names = Object.fromEntries([...byInterface].map(([name, { id }]) => [name, id.endpoint]));
    expect({ names, others }).toEqual({ names: wanted, others: undefined });
  });

  it('is, where there is none, the first for all interfaces', () => {
    const endpoints = [named('c', '*'), named('b', '*'), named('a', 'eth0')];
    const { byInterface, others } = resolveHostEndpoints(endpoints, INTERFACES, ['cali']);
    expect([[...byInterface.keys()], others?.id.endpoint]).toEqual([['eth0'], 'b']);
  });
});
