// Dumps of routing tables and updates decode to what they are known to hold: counts, and a digest of one line a route. The
// lines were compared with the decoding by bgpdump (RIPE NCC) of the six dumps that have one; test/data/bgp/SOURCE.md
// says where that differs.

import { describe, expect, it } from '@jest/globals';
import { decodeUpdate } from '../../../../agents/bgp/packet/update.ts';
import { formatCidr } from '../../../../lib/net/ip.ts';
import { dumpItems, LENIENT } from '../../../support/bgp-data/corpus.ts';
import { dumpFacts } from '../../../support/bgp-data/facts.ts';

const FACTS = [
  {
    file: 'bview.20020722.2337.gz',
    counts: { entry: 115_521, attributeDiscard: 8 },
    digest: '9955a63d0a8b6493',
    gaps: 0,
  },
  { file: 'bview.ipv4_unicast_add_path.gz', counts: { entry: 62 }, digest: 'e273e6553b1ca157', gaps: 0 },
  { file: 'bview.ipv6_unicast_add_path.gz', counts: { entry: 62 }, digest: '1cc674ab64688d6c', gaps: 0 },
  {
    file: 'mrtparse.bird-mrtdump_bgp.mrt',
    counts: { state: 12, open: 2, keepalive: 5, update: 6, '+': 12, routeRefresh: 1, notification: 1 },
    digest: '626459cfcaee7f3e',
    gaps: 0,
  },
  { file: 'mrtparse.bird-mrtdump_rib.mrt', counts: { entry: 18 }, digest: '6a25357aed91a5dc', gaps: 0 },
  {
    file: 'mrtparse.bird6-mrtdump_bgp.mrt',
    counts: { state: 12, open: 2, keepalive: 5, update: 6, '+': 12, routeRefresh: 1, notification: 1 },
    digest: '8a59b4e421333541',
    gaps: 0,
  },
  { file: 'mrtparse.bird6-mrtdump_rib.mrt', counts: { entry: 10 }, digest: '7d5015f2c741f6ef', gaps: 0 },
  {
    file: 'mrtparse.bird_bgp.mrt',
    counts: { state: 12, open: 2, keepalive: 5, update: 8, '+': 14, routeRefresh: 1, notification: 1 },
    digest: '0e5e0d8ce2f7ab31',
    gaps: 0,
  },
  {
    file: 'mrtparse.openbgpd_bgp.mrt',
    counts: {
      state: 16,
      open: 4,
      keepalive: 13,
      update: 48,
      '+': 93,
      attributeDiscard: 6,
      routeRefresh: 4,
      notification: 2,
    },
    digest: '3208be2bffd5d886',
    gaps: 0,
  },
  { file: 'mrtparse.openbgpd_rib_table-v2.mrt', counts: { entry: 31 }, digest: 'eb31440f92c21b9e', gaps: 0 },
  {
    file: 'mrtparse.openbgpd_rib_table.mrt',
    counts: { entry: 31, attributeDiscard: 1 },
    digest: '5c0c3ef513ca5203',
    gaps: 0,
  },
  {
    file: 'mrtparse.quagga_bgp.mrt',
    counts: {
      state: 20,
      open: 4,
      keepalive: 10,
      update: 24,
      attributeDiscard: 12,
      '+': 18,
      routeRefresh: 7,
      notification: 2,
    },
    digest: '8ed7d596abb39912',
    gaps: 0,
  },
  {
    file: 'rrc00.updates.20000325.0345.damaged.gz',
    counts: { update: 2_082, '-': 671, keepalive: 32, '+': 4_373, '3/1': 1, state: 102 },
    digest: 'dc7588303030da40',
    gaps: 1,
  },
  {
    file: 'rrc15.updates.20100227.1600.gz',
    counts: { update: 6_546, '-': 1_318, '+': 52_468, keepalive: 47, state: 20, open: 1, notification: 1 },
    digest: 'bca428b6ba6c73fd',
    gaps: 0,
  },
  {
    file: 'updates.20071015.1505.gz',
    counts: { update: 4_222, '+': 10_111, '-': 385, keepalive: 75 },
    digest: '3261daa8e02206f6',
    gaps: 0,
  },
  {
    file: 'updates.20160811.1600.gz',
    counts: { update: 17_216, '+': 39_256, '-': 1_956, state: 22, keepalive: 168 },
    digest: 'c7a7d57ec85b62de',
    gaps: 0,
  },
  {
    file: 'updates.long_withdrawal.gz',
    counts: { update: 1, '-': 4_096 },
    digest: 'eb1d90784a014a43',
    gaps: 0,
  },
  { file: 'updates.nlri_mask_trailing_bits.gz', counts: { '3/10': 1 }, digest: '3812d2bdc512bfad', gaps: 0 },
];

describe('dumps (RFC 6396)', () => {
  it.each(FACTS)('$file', ({ file, ...facts }) => {
    expect(dumpFacts(file)).toEqual(facts);
  });

  it('host bits behind the length are masked; the octet too many behind that prefix is what costs the session', () => {
    const [item] = dumpItems('updates.nlri_mask_trailing_bits.gz').items;
    if (item?.kind !== 'message') throw new Error('the dump has one message');
    const { nlri } = decodeUpdate(item.octets.subarray(19, -1), { ...LENIENT, fourOctetAs: false });
    expect(nlri.map(formatCidr)).toEqual(['11.8.0.0/13']);
  });
});
