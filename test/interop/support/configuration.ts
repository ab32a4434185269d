// The configuration of bgpd that the tests with one bird start from.

import type { BgpdConfigurationInput } from '../../../lib/protocol/bgpd.ts';
import type { TestHost } from './network.ts';

type PeerInput = NonNullable<BgpdConfigurationInput['peers']>[number];

/** Local AS 65000, one block and one IPv6 prefix of our own, and the peer `bird`. */
export function configuration(
  local: TestHost,
  peer: TestHost,
  more: Partial<PeerInput> = {},
): BgpdConfigurationInput {
  return {
    routerId: local.ipv4,
    asn: 65000,
    nextHops: { ipv6: local.ipv6 },
    peers: [
      {
        name: 'bird',
        address: peer.ipv4,
        asn: 65000,
        localAddress: local.ipv4,
        connectRetrySeconds: 1,
        ...more,
      },
    ],
    originate: ['10.1.0.0/26', 'fd01::/64'],
    kernel: { blackholes: ['10.1.0.0/26'] },
  };
}
