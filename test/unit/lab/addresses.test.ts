// Who gets which address on the fabric.
import { describe, expect, it } from '@jest/globals';
import { chooseOctet, fabricOf, hostPlace, isHostName } from '../../../lab/addresses.ts';

describe('chooseOctet', () => {
  it.each([
    ['node-1', 'node', [], 11],
    ['node-3', 'node', [], 13],
    ['node-3', 'node', [13], 11],
    ['web', 'node', [11, 12], 13],
    ['node-400', 'node', [], 11],
    ['tor', 'external', [], 200],
    ['tor-2', 'external', [], 201],
  ] as const)('%s (%s) with %p taken gets .%i', (name, kind, taken, expected) => {
    expect(chooseOctet(name, kind, new Set(taken))).toBe(expected);
  });

  it('gives nothing when all are taken', () => {
    const taken = new Set(Array.from({ length: 256 }, (_, octet) => octet));
    expect(chooseOctet('node-1', 'node', taken)).toBeUndefined();
    expect(chooseOctet('tor', 'external', taken)).toBeUndefined();
  });
});

describe('fabricOf', () => {
  it('gives every fabric a MAC address of its own, unicast and locally administered', () => {
    expect(fabricOf(0).mac).toBe('02:00:ac:1e:00:01');
    expect(fabricOf(255).mac).toBe('02:00:ac:1e:ff:01');
  });
});

describe('hostPlace', () => {
  it('names namespaces of the first fabric as the host, others with the fabric', () => {
    expect(hostPlace(0, 11, 'node-1')).toEqual({
      octet: 11,
      address: '172.30.0.11',
      address6: 'fd30::b',
      port: 'f0p11',
      netns: 'node-1',
    });
    expect(hostPlace(9, 200, 'tor')).toMatchObject({ address6: 'fd30:0:0:9::c8', netns: 'f9-tor' });
  });

  it('keeps interface names within the kernel limit of 15 characters', () => {
    const { bridge } = fabricOf(255);
    expect(bridge.length).toBeLessThanOrEqual(15);
    expect(hostPlace(255, 254, 'x').port.length).toBeLessThanOrEqual(15);
  });
});

describe('isHostName', () => {
  it.each([
    ['node-1', true],
    ['a', true],
    ['-a', false],
    ['a-', false],
    ['Node', false],
    ['a.b', false],
    ['', false],
    ['a'.repeat(63), true],
    ['a'.repeat(64), false],
  ])('%p → %p', (name, expected) => {
    expect(isHostName(name)).toBe(expected);
  });
});
