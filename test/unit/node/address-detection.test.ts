// The node's own address (calico/node's "first-found"): which interface counts, and what a setting may say.
import { describe, expect, it } from '@jest/globals';
import {
  chooseAddress,
  firstFoundAddress,
  type HostInterfaces,
} from '../../../agents/node/address-detection.ts';

const entry = (cidr: string, internal = false) => ({
  address: cidr.split('/')[0] ?? '',
  family: cidr.includes(':') ? 'IPv6' : 'IPv4',
  cidr,
  internal,
});
const HOST: HostInterfaces = {
  lo: [entry('127.0.0.1/8', true), entry('::1/128', true)],
  docker0: [entry('172.17.0.1/16')],
  cali0123456789a: [entry('169.254.1.2/32')],
  eth0: [entry('169.254.9.9/16'), entry('172.30.0.11/24'), entry('fe80::1/64'), entry('fd00::11/64')],
  eth1: [entry('10.0.0.1/8')],
};

describe('autodetect', () => {
  it('takes the first global address of the first interface that carries traffic of the node', () => {
    expect(firstFoundAddress(HOST, 4)).toBe('172.30.0.11/24');
    expect(firstFoundAddress(HOST, 6)).toBe('fd00::11/64');
  });

  it.each([
    'docker0',
    'cbr0',
    'podman1',
    'virbr0',
    'veth12',
    'br-aa',
    'cali1',
    'tunl0',
    'flannel.1',
    'cni0',
    'vxlan.calico',
    'nodelocaldns',
  ])('does not look at %s', (name) =>
    expect(firstFoundAddress({ [name]: [entry('10.1.1.1/24')] }, 4)).toBeUndefined(),
  );

  it('says what it did not find', () => {
    expect(chooseAddress('autodetect', { lo: HOST['lo'] }, 4)).toEqual({
      ok: false,
      reason: 'no IPv4 address was found on any interface',
    });
  });
});

describe('a setting', () => {
  it.each([
    ['none', undefined],
    ['10.9.9.9/16', '10.9.9.9/16'],
    ['10.0.0.1', '10.0.0.1/8'],
    ['192.0.2.1', '192.0.2.1/32'],
  ])('%s gives %s', (setting, address) => {
    expect(chooseAddress(setting, HOST, 4)).toEqual({ ok: true, address });
  });

  it.each(['fd00::1', '10.0.0.1/33', 'eth0', ''])('%j is refused', (setting) => {
    expect(chooseAddress(setting, HOST, 4).ok).toBe(false);
  });
});
