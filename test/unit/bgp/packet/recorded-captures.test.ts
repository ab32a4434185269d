// Captures of sessions decode to what they are known to hold; the malformed ones give the error that the RFC names. Message
// types, lengths and prefixes were compared with tcpdump's decoding of the same files.

import { describe, expect, it } from '@jest/globals';
import { formatAsPath } from '../../../../agents/bgp/packet/attributes/as-path.ts';
import { findCapability } from '../../../../agents/bgp/packet/capabilities.ts';
import { Role } from '../../../../agents/bgp/packet/iana.ts';
import { decodeMessage, type Message } from '../../../../agents/bgp/packet/message.ts';
import { describeNotification } from '../../../../agents/bgp/packet/notification.ts';
import type { OpenMessage } from '../../../../agents/bgp/packet/open.ts';
import type { UpdateMessage } from '../../../../agents/bgp/packet/update.ts';
import { formatIp } from '../../../../lib/net/ip.ts';
import { capturedMessages } from '../../../support/bgp-data/corpus.ts';
import { factsOf, messageLines } from '../../../support/bgp-data/facts.ts';

const FACTS: readonly { file: string; counts: Record<string, number>; digest: string; stopped?: string[] }[] =
  [
    {
      file: 'bgp-4byte-asn.pcap',
      counts: { open: 8, keepalive: 16, update: 10, '+': 35, '-': 15, notification: 1 },
      digest: '95aad1414c037236',
    },
    { file: 'bgp-addpath.pcap', counts: { '3/1': 1 }, digest: 'c2c9d6288dc430f5' },
    { file: 'bgp-aigp.pcap', counts: { update: 2, attributeDiscard: 2 }, digest: 'bdfd35e17c3965d9' },
    { file: 'bgp-bfd-cease.pcap', counts: { notification: 1 }, digest: 'b930511481ff07e7' },
    {
      file: 'bgp-bgp_capabilities_print-oobr-1.pcap',
      counts: {},
      digest: 'e3b0c44298fc1c14',
      stopped: ['1/1'],
    },
    {
      file: 'bgp-bgpsec.pcap',
      counts: { open: 4, keepalive: 4, update: 24, '+': 20 },
      digest: '2db839b235505d15',
    },
    { file: 'bgp-cease-hard-reset.pcap', counts: { open: 2, notification: 1 }, digest: '46edd72ceba1b7f6' },
    {
      file: 'bgp-enhanced-route-refresh-subtype.pcapng',
      counts: { routeRefresh: 3, update: 5, '+': 12 },
      digest: 'ed4bba50a2112479',
    },
    { file: 'bgp-enhanced-route-refresh.pcapng', counts: { open: 1 }, digest: 'ccbd351a3bd65bea' },
    { file: 'bgp-extended-msg.pcapng', counts: { open: 1 }, digest: 'ccbd351a3bd65bea' },
    {
      file: 'bgp-extended-optional-parameters-length.pcapng',
      counts: { open: 1 },
      digest: 'de13390eec257c77',
    },
    {
      file: 'bgp-infinite-loop.pcap',
      counts: {},
      digest: 'e3b0c44298fc1c14',
      stopped: ['1/2', '1/2', '1/2', '1/2'],
    },
    { file: 'bgp-large-community.pcap', counts: { update: 5, '+': 5 }, digest: 'f9da8cc36279685b' },
    {
      file: 'bgp-lu-multiple-labels.pcap',
      counts: { open: 4, keepalive: 8, update: 7, attributeDiscard: 5, notification: 1 },
      digest: '5cbd283385d5ee0e',
    },
    { file: 'bgp-malformed-hard-reset.pcap', counts: { notification: 1 }, digest: 'c0a56f5de315d009' },
    { file: 'bgp-ovs.pcapng', counts: { update: 4, '+': 4 }, digest: '211c3f89ea3f4a8b' },
    {
      file: 'bgp-role.pcapng',
      counts: { open: 1, update: 9, keepalive: 2, '+': 11 },
      digest: 'f802348ae491bb1f',
    },
    { file: 'bgp-shutdown-communication.pcapng', counts: { notification: 2 }, digest: 'ed87d70cdfa7aca9' },
    { file: 'bgp-shutdown-msg-variations.pcap', counts: { notification: 3 }, digest: '704781aafac0f49f' },
    { file: 'bgp_mp_reach_nlri-oobr.pcap', counts: {}, digest: 'e3b0c44298fc1c14', stopped: ['1/1'] },
    {
      file: 'bgp_mvpn_6_and_7_oobr.pcap',
      counts: { '3/1': 1 },
      digest: 'c2c9d6288dc430f5',
      stopped: ['1/1'],
    },
    { file: 'bgp_pmsi_tunnel-oobr.pcap', counts: { '3/1': 1 }, digest: 'c2c9d6288dc430f5' },
    { file: 'bgp_vpn_attrset.pcap', counts: { update: 1, attributeDiscard: 1 }, digest: '9cb51e3a9b2c6e7b' },
    {
      file: 'bgpsec_invalid_signature_block_length.pcap',
      counts: { update: 1, '+': 2 },
      digest: '1f34f17c599a46f4',
    },
    { file: 'mpbgp-linklocal-nexthop.pcap', counts: { update: 1, '+': 1 }, digest: '839b5d58dbf7e0de' },
    { file: 'orf-prefix.pcapng', counts: { keepalive: 1, routeRefresh: 1 }, digest: 'd2c3b898180188e3' },
  ];

function decoded(file: string): Message[] {
  return capturedMessages(file).messages.map(({ octets, context }) => decodeMessage(octets, context));
}
function opens(file: string): OpenMessage[] {
  return decoded(file).filter((message) => message.type === 'open');
}
function updates(file: string): UpdateMessage[] {
  return decoded(file).filter((message) => message.type === 'update');
}
function notifications(file: string): string[] {
  return decoded(file)
    .filter((message) => message.type === 'notification')
    .map(describeNotification);
}

describe('captures', () => {
  it.each(FACTS)('$file', ({ file, counts, digest, stopped = [] }) => {
    const { messages, errors } = capturedMessages(file);
    expect(factsOf(messages.flatMap(({ octets, context }) => messageLines(octets, context)))).toEqual({
      counts,
      digest,
    });
    expect(errors.map(({ code, subcode }) => `${code}/${subcode}`)).toEqual(stopped);
  });

  it('RFC 6793: paths between speakers of two and of four octets', () => {
    const paths = updates('bgp-4byte-asn.pcap').flatMap(({ attributes: { asPath } }) =>
      asPath === undefined ? [] : [formatAsPath(asPath)],
    );
    expect([...new Set(paths)].sort()).toEqual([
      '1',
      '200 1 222222 333333 4294967290',
      '2764334674 1',
      '2764334674 200 1 222222 333333 4294967290',
    ]);
  });

  it('RFC 9234, 7911, 7313, 9494: capabilities of an OPEN', () => {
    const [open] = opens('bgp-role.pcapng');
    const capabilities = open?.capabilities ?? [];
    expect(findCapability(capabilities, 'role')?.role).toBe(Role.customer);
    expect(findCapability(capabilities, 'addPath')?.families).toEqual([
      { afi: 1, safi: 1, receive: true, send: false },
    ]);
    expect(findCapability(capabilities, 'enhancedRouteRefresh')).toBeDefined();
    expect(findCapability(capabilities, 'gracefulRestart')).toMatchObject({
      notification: true,
      restartTimeSeconds: 120,
    });
    expect(findCapability(capabilities, 'longLivedGracefulRestart')?.families).toHaveLength(1);
  });

  it('RFC 9072: an OPEN with extended optional parameters', () => {
    const [open] = opens('bgp-extended-optional-parameters-length.pcapng');
    expect(findCapability(open?.capabilities ?? [], 'fourOctetAs')?.asn).toBe(174);
    expect(open?.unsupportedParameters).toEqual([]);
  });

  it('RFC 9003, 8538, 9384: reasons for the end of a session', () => {
    const text = 'This is a test of the shutdown communication system.';
    expect(notifications('bgp-shutdown-communication.pcapng')).toEqual([
      `Cease: administrative shutdown, "${text}"`,
      `Cease: administrative reset, "${text}"`,
    ]);
    expect(notifications('bgp-shutdown-msg-variations.pcap')).toEqual([
      'Cease: administrative reset, "0123456789"',
      'Cease: administrative reset',
      'Cease: administrative reset, "0123456789"',
    ]);
    expect(notifications('bgp-cease-hard-reset.pcap')).toEqual([
      'Cease: hard reset (Cease: peer de-configured)',
    ]);
    expect(notifications('bgp-malformed-hard-reset.pcap')).toEqual(['Cease: hard reset']);
    expect(notifications('bgp-bfd-cease.pcap')).toEqual(['Cease: BFD down']);
  });

  it('RFC 2545: two next hops of an IPv6 prefix', () => {
    const [update] = updates('mpbgp-linklocal-nexthop.pcap');
    const { nextHop, linkLocalNextHop } = update?.attributes.mpReachNlri ?? {};
    expect([nextHop, linkLocalNextHop].map((hop) => hop && formatIp(hop))).toEqual([
      'dead:beef::1',
      'fe80::1ff:fe01:0',
    ]);
  });
});
