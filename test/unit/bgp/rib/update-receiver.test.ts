// UPDATEs that are taken in by their octets are refused as the decoder refuses the whole message.

import { expect, it } from '@jest/globals';
import { frame, HEADER_LENGTH } from '../../../../agents/bgp/packet/header.ts';
import { MessageType } from '../../../../agents/bgp/packet/iana.ts';
import { decodeUpdate } from '../../../../agents/bgp/packet/update.ts';
import { resetBy, updateBody } from '../packet/codec-support.ts';
import { newRib, ribPeer } from './rib-support.ts';

/** A well-known attribute that nobody knows, then an MP_REACH_NLRI whose next hop has 48 octets. */
const UNKNOWN_WELL_KNOWN = '407f0100';
const ODD_NEXT_HOP = `800e3600020130${'20'.repeat(48)}0000`;

it.each([
  ['the first fault of the list counts', `${UNKNOWN_WELL_KNOWN}${ODD_NEXT_HOP}`, { code: 3, subcode: 2 }],
  [
    'with the attribute as it came, its NLRI too',
    `${ODD_NEXT_HOP}${UNKNOWN_WELL_KNOWN}`,
    { code: 3, subcode: 9 },
  ],
])('%s', (_what, attributes, expected) => {
  const rib = newRib();
  const peer = ribPeer(2);
  rib.peerUp(peer);
  const octets = frame(MessageType.update, updateBody(attributes, ''));
  const byOctets = resetBy(() => rib.receive('p2', octets));
  const whole = resetBy(() => decodeUpdate(octets.subarray(HEADER_LENGTH), peer.session.context));
  expect(byOctets).toEqual(whole);
  expect(byOctets).toMatchObject(expected);
});
