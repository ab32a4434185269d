// Ends and traffic as people name them, and the packets that are asked about.

import { describe, expect, it } from '@jest/globals';
import type { Rule } from '../../../lib/model/policy-types.ts';
import { resolveCluster } from '../../../lib/policy/cluster.ts';
import { type Answer, ask } from '../../../lib/policy/question/ask.ts';
import { formatEnd, parseEnd } from '../../../lib/policy/question/ends.ts';
import { QuestionError } from '../../../lib/policy/question/question-error.ts';
import { formatTraffic, parseTraffic } from '../../../lib/policy/question/traffic.ts';
import { networkPolicy, resource, SHOP, workload } from '../../support/policy-world.ts';

const cluster = resolveCluster([
  ...SHOP,
  workload('n1', 'twice', ['10.0.0.7']),
  workload('n2', 'twice', ['10.0.1.7']),
  resource('HostEndpoint', 'eth-n1', { node: 'n1', interfaceName: 'eth0', expectedIPs: ['10.1.0.11'] }),
  resource('Node', 'n1', { bgp: { ipv4Address: '172.30.0.11/24' }, addresses: [{ address: '10.1.0.11' }] }),
]);

function questions(from: string, to: string, traffic: string, resources = cluster): Answer[] {
  const ends = { from: parseEnd(resources, from), to: parseEnd(resources, to) };
  return ask(resources, { ...ends, traffic: parseTraffic(traffic) });
}

function errorOf(work: () => unknown): QuestionError {
  try {
    work();
  } catch (error) {
    if (error instanceof QuestionError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('traffic', () => {
  it.each([
    ['tcp/5432', 'tcp/5432'],
    ['5432/tcp', 'tcp/5432'],
    ['UDP/53', 'udp/53'],
    ['sctp/0', 'sctp/0'],
    ['http/tcp', 'tcp/http'],
    ['tcp/http', 'tcp/http'],
    ['icmp', 'icmp/8'],
    ['icmp/8', 'icmp/8'],
    ['8/icmp', 'icmp/8'],
    ['icmp/3/1', 'icmp/3/1'],
    ['icmpv6', 'icmpv6/128'],
    ['ping', 'ping'],
    ['protocol/47', 'protocol/47'],
  ])('reads %s', (text, formatted) => {
    expect(formatTraffic(parseTraffic(text))).toBe(formatted);
    expect(parseTraffic(formatted)).toEqual(parseTraffic(text));
  });

  it.each([
    '',
    '80',
    'tcp',
    'tcp/65536',
    'tcp/80/1',
    'icmp/256',
    'icmp/8/0/0',
    'protocol/6',
    'ping/1',
    'quic/80',
  ])('refuses %j and says how to write it', (text) => {
    expect(errorOf(() => parseTraffic(text)).next).toMatch(/^write PORT\/PROTOCOL/);
  });
});

describe('ends', () => {
  it.each([
    ['shop/web', 'shop/web'],
    ['pod/shop/web', 'shop/web'],
    ['workloadendpoint/shop/n1-k8s-web-eth0', 'shop/web'],
    ['wep/shop/n1-k8s-web-eth0', 'shop/web'],
    ['node/n1', 'node/n1'],
    ['host/n1', 'node/n1'],
    ['hostendpoint/eth-n1', 'hostendpoint/eth-n1'],
    ['external', 'external'],
    ['FD00::1', 'fd00::1'],
  ])('reads %s', (text, formatted) => {
    expect(formatEnd(parseEnd(cluster, text))).toBe(formatted);
  });

  it('takes a name without namespace from the namespace asked for', () => {
    expect(formatEnd(parseEnd(cluster, 'web', 'shop'))).toBe('shop/web');
    expect(errorOf(() => parseEnd(cluster, 'web')).message).toBe(
      'there is no workload default/web with an address',
    );
  });

  it('says who is near, and which of several endpoints there are', () => {
    expect(errorOf(() => parseEnd(cluster, 'other/we')).next).toBe('did you mean shop/web?');
    expect(errorOf(() => parseEnd(cluster, 'node/n9')).next).toMatch(/^name NAMESPACE\/POD/);
    const twice = errorOf(() => parseEnd(cluster, 'shop/twice'));
    expect(twice.type).toMatchObject({ code: 'ambiguousEnd' });
    expect(twice.next).toContain('workloadendpoint/shop/n2-k8s-twice-eth0');
    expect(formatEnd(parseEnd(cluster, 'wep/shop/n2-k8s-twice-eth0'))).toBe('shop/twice');
  });
});

describe('asking', () => {
  it('asks in each family that both have', () => {
    expect(questions('shop/web', 'shop/db', 'tcp/80').map(({ packet }) => packet)).toEqual([
      { source: '10.0.0.1', destination: '10.0.1.1', protocol: 6, destinationPort: 80 },
      { source: 'fd00::1', destination: 'fd00::2', protocol: 6, destinationPort: 80 },
    ]);
    expect(questions('shop/web', 'node/n1', 'tcp/80').map(({ family }) => family)).toEqual([4]);
    expect(questions('shop/web', 'shop/db', 'ping').map(({ packet }) => packet.icmp?.type)).toEqual([8, 128]);
    expect(questions('shop/web', 'shop/db', 'icmpv6/128').map(({ family }) => family)).toEqual([6]);
  });

  it("resolves a port's name at the destination", () => {
    expect(questions('shop/web', 'shop/db', 'sql/tcp')[0]?.packet.destinationPort).toBe(5432);
    expect(errorOf(() => questions('shop/web', 'shop/db', 'sql/udp')).message).toBe(
      'shop/db has no udp port called sql',
    );
  });

  it('takes for a host endpoint the address of its host that it expects', () => {
    expect(questions('node/n1', 'shop/db', 'tcp/80')[0]?.packet.source).toBe('172.30.0.11');
    expect(questions('hostendpoint/eth-n1', 'shop/db', 'tcp/80')[0]?.packet.source).toBe('10.1.0.11');
  });

  it('takes for somebody external an address that nothing names', () => {
    const source = (extra: Parameters<typeof resolveCluster>[0]): string | undefined =>
      questions('external', 'shop/db', 'tcp/80', resolveCluster([...SHOP, ...extra]))[0]?.packet.source;
    expect(source([])).toBe('203.0.113.1');
    const rule: Rule = { action: 'Deny', source: { nets: ['203.0.113.0/25', '0.0.0.0/0'] } };
    expect(source([networkPolicy('p', { ingress: [rule] })])).toBe('198.51.100.1');
    const set = resource('GlobalNetworkSet', 's', { nets: ['203.0.113.0/24', '198.51.100.0/24'] });
    expect(source([set])).toBe('192.0.2.1');
  });

  it('refuses ends without a common family', () => {
    expect(errorOf(() => questions('10.0.0.9', 'fd00::2', 'tcp/80')).type.code).toBe('noCommonFamily');
    expect(errorOf(() => questions('shop/web', 'node/n1', 'icmpv6')).type.code).toBe('noCommonFamily');
  });
});
