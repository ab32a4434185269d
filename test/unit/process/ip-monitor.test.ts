// What lines of `ip -o monitor` are about.

import { describe, expect, it } from '@jest/globals';
import { interfaceOf } from '../../../lib/process/ip-monitor.ts';

describe('the interface of a line', () => {
  it.each([
    ['7: cali12@if2: <BROADCAST,MULTICAST,UP> mtu 1500 qdisc noqueue state UP', 'cali12'],
    ['Deleted 7: cali12@NONE: <BROADCAST,MULTICAST> mtu 1500', 'cali12'],
    ['2: eth0    inet 10.9.0.1/24 scope global eth0', 'eth0'],
    ['Deleted 2: eth0.7    inet6 fe80::1/64 scope link', 'eth0.7'],
    ['3: tunl0@NONE: <NOARP> mtu 1480', 'tunl0'],
  ])('%s', (line, name) => expect(interfaceOf(line)).toBe(name));

  it('is none where the line is of something else', () => {
    expect(interfaceOf('10.1.0.0/26 via 10.9.0.2 dev eth0 proto 81')).toBeUndefined();
    expect(interfaceOf('')).toBeUndefined();
  });
});
