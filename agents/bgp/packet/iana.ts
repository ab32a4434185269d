// Numbers that IANA assigned to BGP: messages, families, capabilities, attributes, errors, communities.
// Sections in brackets are those of the RFC that defines the number.

export const MessageType = { open: 1, update: 2, notification: 3, keepalive: 4, routeRefresh: 5 } as const;

/** AFI and SAFI of the two families that bgpd speaks (RFC 4760). */
export const FAMILIES = {
  ipv4Unicast: { afi: 1, safi: 1, ip: 4 },
  ipv6Unicast: { afi: 2, safi: 1, ip: 6 },
} as const;
export type AddressFamily = keyof typeof FAMILIES;
export const ADDRESS_FAMILIES: readonly AddressFamily[] = ['ipv4Unicast', 'ipv6Unicast'];

/** The one for routes of this version of IP. */
export function unicastFamily(ip: 4 | 6): AddressFamily {
  return ip === 4 ? 'ipv4Unicast' : 'ipv6Unicast';
}

/** The family with these numbers, undefined if bgpd does not speak it. */
export function familyOf(afi: number, safi: number): AddressFamily | undefined {
  if (safi !== 1) return undefined;
  return afi === 1 ? 'ipv4Unicast' : afi === 2 ? 'ipv6Unicast' : undefined;
}

export const CapabilityCode = {
  multiprotocol: 1,
  routeRefresh: 2,
  extendedNextHop: 5,
  extendedMessage: 6,
  role: 9,
  gracefulRestart: 64,
  fourOctetAs: 65,
  addPath: 69,
  enhancedRouteRefresh: 70,
  longLivedGracefulRestart: 71,
} as const;

/** What the sender is to its neighbour (RFC 9234 §4.1). */
export const Role = { provider: 0, routeServer: 1, routeServerClient: 2, customer: 3, peer: 4 } as const;

/** `customer`; a number that is not assigned stays one. */
export function roleName(role: number): string {
  return Object.entries(Role).find(([, number]) => number === role)?.[0] ?? String(role);
}

export const AttributeCode = {
  origin: 1,
  asPath: 2,
  nextHop: 3,
  multiExitDisc: 4,
  localPref: 5,
  atomicAggregate: 6,
  aggregator: 7,
  communities: 8,
  originatorId: 9,
  clusterList: 10,
  mpReachNlri: 14,
  mpUnreachNlri: 15,
  extendedCommunities: 16,
  as4Path: 17,
  as4Aggregator: 18,
  ipv6ExtendedCommunities: 25,
  largeCommunities: 32,
  onlyToCustomer: 35,
} as const;

/** Flag bits of a path attribute (RFC 4271 §4.3). */
export const AttributeFlag = {
  optional: 0x80,
  transitive: 0x40,
  partial: 0x20,
  extendedLength: 0x10,
} as const;

export const ErrorCode = {
  messageHeader: 1,
  openMessage: 2,
  updateMessage: 3,
  holdTimerExpired: 4,
  fsm: 5,
  cease: 6,
  routeRefresh: 7,
  sendHoldTimerExpired: 8,
} as const;

export const HeaderSubcode = { notSynchronised: 1, badLength: 2, badType: 3 } as const;
export const OpenSubcode = {
  unspecific: 0,
  unsupportedVersion: 1,
  badPeerAs: 2,
  badIdentifier: 3,
  unsupportedParameter: 4,
  unacceptableHoldTime: 6,
  unsupportedCapability: 7,
  roleMismatch: 11,
} as const;
export const UpdateSubcode = {
  malformedAttributeList: 1,
  unrecognisedWellKnown: 2,
  missingWellKnown: 3,
  attributeFlags: 4,
  attributeLength: 5,
  invalidOrigin: 6,
  invalidNextHop: 8,
  optionalAttribute: 9,
  invalidNetwork: 10,
  malformedAsPath: 11,
} as const;
/** RFC 7313 §5 */
export const RouteRefreshSubcode = { invalidMessageLength: 1 } as const;
/** RFC 7313 §3.2 */
export const RouteRefreshSubtype = { request: 0, beginning: 1, end: 2 } as const;
/** RFC 6608 */
export const FsmSubcode = { inOpenSent: 1, inOpenConfirm: 2, inEstablished: 3 } as const;
/** RFC 4486, RFC 8538 (hard reset) */
export const CeaseSubcode = {
  maxPrefixes: 1,
  administrativeShutdown: 2,
  peerDeconfigured: 3,
  administrativeReset: 4,
  connectionRejected: 5,
  otherConfigurationChange: 6,
  collisionResolution: 7,
  outOfResources: 8,
  hardReset: 9,
  bfdDown: 10,
} as const;

/** Stands for a large AS number where only two octets fit (RFC 6793 §9). */
export const AS_TRANS = 23456;

/** Well-known communities (RFC 1997, RFC 8326). */
export const Community = {
  gracefulShutdown: 0xffff0000,
  noExport: 0xffffff01,
  noAdvertise: 0xffffff02,
  noExportSubconfed: 0xffffff03,
} as const;

const ERROR_NAMES: Readonly<Record<number, readonly [string, Readonly<Record<number, string>>]>> = {
  1: [
    'message header error',
    { 1: 'connection not synchronised', 2: 'bad message length', 3: 'bad message type' },
  ],
  2: [
    'OPEN message error',
    {
      1: 'unsupported version number',
      2: 'bad peer AS',
      3: 'bad BGP identifier',
      4: 'unsupported optional parameter',
      6: 'unacceptable hold time',
      7: 'unsupported capability',
      11: 'role mismatch',
    },
  ],
  3: [
    'UPDATE message error',
    {
      1: 'malformed attribute list',
      2: 'unrecognised well-known attribute',
      3: 'missing well-known attribute',
      4: 'attribute flags error',
      5: 'attribute length error',
      6: 'invalid ORIGIN attribute',
      8: 'invalid NEXT_HOP attribute',
      9: 'optional attribute error',
      10: 'invalid network field',
      11: 'malformed AS_PATH',
    },
  ],
  4: ['hold timer expired', {}],
  5: [
    'finite state machine error',
    {
      1: 'unexpected message in OpenSent',
      2: 'unexpected message in OpenConfirm',
      3: 'unexpected message in Established',
    },
  ],
  6: [
    'Cease',
    {
      1: 'maximum number of prefixes reached',
      2: 'administrative shutdown',
      3: 'peer de-configured',
      4: 'administrative reset',
      5: 'connection rejected',
      6: 'other configuration change',
      7: 'connection collision resolution',
      8: 'out of resources',
      9: 'hard reset',
      10: 'BFD down',
    },
  ],
  7: ['ROUTE-REFRESH message error', { 1: 'invalid message length' }],
  8: ['send hold timer expired', {}],
};

/** `Cease: administrative shutdown`; unknown numbers stay numbers. */
export function errorName(code: number, subcode: number): string {
  const [name, subcodes] = ERROR_NAMES[code] ?? [`error ${code}`, {}];
  const detail = subcodes[subcode] ?? (subcode === 0 ? undefined : `subcode ${subcode}`);
  return detail === undefined ? name : `${name}: ${detail}`;
}
