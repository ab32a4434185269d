// From readings of the kernel's counters to flows: decoding of keys, differences, limits.

import { describe, expect, it } from '@jest/globals';
import { type CountingSet, decodeFlowKey } from '../../../../agents/felix/flows/counted-flow.ts';
import { type CountedFlow, FlowDeltas } from '../../../../agents/felix/flows/flow-deltas.ts';
import { ipBytes, parseIp } from '../../../../lib/net/ip.ts';

function bytesOf(address: string): Buffer {
  const ip = parseIp(address);
  if (ip === undefined) throw new Error(address);
  return Buffer.from(ipBytes(ip));
}

/** As the kernel has it: the mark in the host's order, all else in the network's, each field filled up to 4 bytes. */
function keyOf(mark: number, source: string, destination: string, fourth: Buffer, last: number): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt32LE(mark);
  const fields = Buffer.alloc(8);
  fourth.copy(fields, 0);
  fields.writeUInt16BE(last, 4);
  return Buffer.concat([head, bytesOf(source), bytesOf(destination), fields]);
}
const port = (value: number): Buffer => Buffer.from([value >>> 8, value & 0xff]);
const TCP_DENIED = 0x00680011;
const SPOOFED_TCP = 0x00680007;

describe('a key of a counting set', () => {
  it('has the protocol in the mark where there are ports', () => {
    const key = keyOf(TCP_DENIED, '10.0.0.1', '10.0.0.2', port(40_000), 5432);
    expect(decodeFlowKey('dlog4', 7, key)).toEqual({
      isAllowed: false,
      epoch: 7,
      ruleId: 0x11,
      source: '10.0.0.1',
      destination: '10.0.0.2',
      protocol: 6,
      sourcePort: 40_000,
      destinationPort: 5432,
    });
  });

  it('has type and code of ICMPv6, and neither of other protocols', () => {
    const icmp = keyOf(0x80011, 'fd00::1', 'fd00::2', Buffer.from([58]), (128 << 8) | 3);
    expect(decodeFlowKey('dlogp6', 1, icmp)).toMatchObject({
      source: 'fd00::1',
      destination: 'fd00::2',
      protocol: 58,
      icmp: { type: 128, code: 3 },
    });
    const gre = decodeFlowKey('dlogp6', 1, keyOf(0x80011, 'fd00::1', 'fd00::2', Buffer.from([47]), 0x3001));
    expect(gre?.protocol).toBe(47);
    expect(gre).not.toHaveProperty('icmp');
    expect(gre).not.toHaveProperty('sourcePort');
  });

  it('is of what was allowed in the sets of what began', () => {
    const key = keyOf(0x01140012, '10.0.0.1', '10.0.0.2', port(1), 53);
    expect(decodeFlowKey('alog4', 1, key)).toMatchObject({ isAllowed: true, protocol: 17, ruleId: 0x12 });
  });

  it('of another length is none', () => {
    expect(decodeFlowKey('dlog6', 1, Buffer.alloc(20))).toBeUndefined();
  });
});

describe('readings', () => {
  interface Element {
    readonly from?: string;
    readonly sourcePort: number;
    readonly packets: number;
    readonly set?: CountingSet;
    readonly expiresInMs?: number;
  }

  function read(deltas: FlowDeltas, elements: readonly Element[], isRepeated = false) {
    const builder = deltas.begin();
    for (const { from = '10.0.0.1', sourcePort, packets, set = 'dlog4', expiresInMs = 59_000 } of elements) {
      const key = keyOf(TCP_DENIED, from, '10.0.0.2', port(sourcePort), 80);
      deltas.add(builder, set, 1, { key, packets, bytes: packets * 60, expiresInMs }, isRepeated);
    }
    deltas.end([1]);
    return builder;
  }
  const brief = (flows: readonly CountedFlow[]): readonly object[] =>
    flows.map(({ sourcePort, connections, packets, bytes }) => ({ sourcePort, connections, packets, bytes }));

  it('tell differences; more packets of what was told are no connection', () => {
    const deltas = new FlowDeltas();
    expect(brief(read(deltas, [{ sourcePort: 1, packets: 2 }]).flows)).toEqual([
      { sourcePort: 1, connections: 1, packets: 2, bytes: 120 },
    ]);
    expect(read(deltas, [{ sourcePort: 1, packets: 2 }]).flows).toEqual([]);
    expect(brief(read(deltas, [{ sourcePort: 1, packets: 5 }]).flows)).toEqual([
      { sourcePort: 1, connections: 0, packets: 3, bytes: 180 },
    ]);
  });

  it('take a count that went down for one that expired and began anew', () => {
    const deltas = new FlowDeltas();
    read(deltas, [{ sourcePort: 1, packets: 9 }]);
    expect(brief(read(deltas, [{ sourcePort: 1, packets: 4 }]).flows)).toEqual([
      { sourcePort: 1, connections: 1, packets: 4, bytes: 240 },
    ]);
  });

  it('bear an element that one dump passes over, and forget one that is gone', () => {
    const deltas = new FlowDeltas();
    read(deltas, [{ sourcePort: 1, packets: 3 }]);
    read(deltas, []);
    expect(read(deltas, [{ sourcePort: 1, packets: 3 }]).flows).toEqual([]);
    read(deltas, []);
    read(deltas, []);
    expect(read(deltas, [{ sourcePort: 1, packets: 3 }]).flows).toHaveLength(1);
  });

  it('make one flow of those that differ in source ports', () => {
    const flows = read(new FlowDeltas(), [
      { sourcePort: 7, packets: 1, expiresInMs: 58_000 },
      { sourcePort: 8, packets: 2, expiresInMs: 59_500 },
    ]).flows;
    expect(flows).toEqual([
      expect.objectContaining({ sourcePort: 7, connections: 2, packets: 3, ageMs: 500 }),
    ]);
  });

  it('count what is beyond the limits, of one source and in all', () => {
    const limits = { flows: 3, flowsPerSource: 2 };
    const deltas = new FlowDeltas(limits);
    const builder = deltas.begin();
    const sources = ['10.0.0.1', '10.0.0.1', '10.0.0.1', '10.0.0.3', '10.0.0.4'];
    for (const [index, source] of sources.entries()) {
      const key = keyOf(TCP_DENIED, source, '10.0.0.2', port(1), 100 + index);
      deltas.add(builder, 'dlog4', 1, { key, packets: 1, bytes: 60, expiresInMs: 1 }, false);
    }
    expect(builder.flows.map(({ source }) => source)).toEqual(['10.0.0.1', '10.0.0.1', '10.0.0.3']);
    expect(builder.suppressed).toBe(2);
  });

  it('take forged sources for one', () => {
    const deltas = new FlowDeltas({ flows: 10, flowsPerSource: 2 });
    const builder = deltas.begin();
    for (let index = 0; index < 5; index++) {
      const key = keyOf(SPOOFED_TCP, `10.9.0.${index}`, '10.0.0.2', port(1), 80);
      deltas.add(builder, 'dlog4', 1, { key, packets: 1, bytes: 60, expiresInMs: 1 }, false);
    }
    expect([builder.flows.length, builder.suppressed]).toEqual([2, 3]);
  });

  it('count what a counter gained, and what it had at first unless an earlier agent may have told of it', () => {
    const deltas = new FlowDeltas();
    expect(deltas.gain('denied_v1', 5, true)).toBe(0);
    expect(deltas.gain('denied_v1', 8, false)).toBe(3);
    expect(deltas.gain('denied_v2', 4, false)).toBe(4);
    expect(deltas.gain('denied_v2', 1, false)).toBe(1);
  });
});
