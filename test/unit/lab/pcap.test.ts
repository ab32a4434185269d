// The capture files of a lab without root, against bytes laid out by hand.
import { describe, expect, it } from '@jest/globals';
import { encodePcapHeader, encodePcapRecord, isTcpOfPort } from '../../../lab/story/pcap.ts';

const MACS = '0200000000010200000000020800';
/** From 10.0.0.1:40000 to 10.0.0.2:179, an empty segment. */
const IPV4 = '4500002800004000400600000a0000010a000002';
const TCP_TO_BGP = '9c4000b300000000000000005002000000000000';

function frame(hex: string): Buffer {
  return Buffer.from(hex, 'hex');
}

describe('the pcap format', () => {
  it('opens with magic, version 2.4, snap length and Ethernet', () => {
    expect(encodePcapHeader().toString('hex')).toBe('d4c3b2a1020004000000000000000000ffff000001000000');
  });

  it('writes seconds, microseconds, kept and true length before the frame', () => {
    const record = encodePcapRecord(Buffer.from([1, 2, 3]), 1500, 1_000_002.5);
    expect(record.toString('hex')).toBe('e8030000c409000003000000dc050000010203');
  });
});

describe('isTcpOfPort', () => {
  const segment = frame(MACS + IPV4 + TCP_TO_BGP);

  it('sees source and destination port of IPv4', () => {
    expect([179, 40_000, 180].map((port) => isTcpOfPort(segment, port))).toEqual([true, true, false]);
  });

  it('skips IPv4 options', () => {
    const withOptions = IPV4.replace('45', '46').concat('01010101');
    expect(isTcpOfPort(frame(MACS + withOptions + TCP_TO_BGP), 179)).toBe(true);
  });

  it('sees IPv6', () => {
    const header = `6000000000140640${'fd'.padEnd(32, '0')}${'fe80'.padEnd(32, '0')}`;
    expect(isTcpOfPort(frame(MACS.replace(/0800$/, '86dd') + header + TCP_TO_BGP), 179)).toBe(true);
  });

  it.each([
    ['UDP', frame(MACS + IPV4.replace('4006', '4011') + TCP_TO_BGP)],
    ['a later fragment', frame(MACS + IPV4.replace('00004000', '00000010') + TCP_TO_BGP)],
    ['ARP', frame(MACS.replace(/0800$/, '0806') + IPV4 + TCP_TO_BGP)],
    ['a frame that was cut off', segment.subarray(0, 30)],
  ])('leaves out %s', (_, other) => {
    expect(isTcpOfPort(other, 179)).toBe(false);
  });
});
