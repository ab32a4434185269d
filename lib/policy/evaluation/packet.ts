// The packet that is judged: the first of a flow, as its sender sent it. Replies follow their flow and are never judged.

import { type Family, type IpAddress, parseIp } from '../../net/ip.ts';
import type { Identity } from '../compiled.ts';
import type { IdentityTable } from '../identity-table.ts';

export interface Packet {
  /** Address text. */
  readonly source: string;
  readonly destination: string;
  /** IANA protocol number. */
  readonly protocol: number;
  /** For protocols with ports. A source port that is not given matches no positive source port. */
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  /** For ICMP and ICMPv6. */
  readonly icmp?: { readonly type: number; readonly code: number };
}

/** One end of a packet with everything that selectors may ask of it. */
export interface PacketEnd {
  readonly address: IpAddress;
  readonly port: number | undefined;
  readonly identities: readonly Identity[];
}

/** A packet with its addresses read and its identities looked up. */
export interface PacketView {
  readonly family: Family;
  readonly protocol: number;
  readonly icmp: { readonly type: number; readonly code: number } | undefined;
  readonly source: PacketEnd;
  readonly destination: PacketEnd;
}

export type PacketErrorType =
  | { readonly code: 'badAddress'; readonly text: string }
  | { readonly code: 'mixedFamilies'; readonly source: string; readonly destination: string };

/** What was asked about cannot be a packet. */
export class PacketError extends Error {
  readonly type: PacketErrorType;

  constructor(type: PacketErrorType) {
    super(
      type.code === 'badAddress'
        ? `not an address: ${type.text}`
        : `addresses of two families: ${type.source}, ${type.destination}`,
    );
    this.name = 'PacketError';
    this.type = type;
  }
}

/** Throws PacketError. */
export function viewPacket(packet: Packet, identities: IdentityTable): PacketView {
  const source = readAddress(packet.source);
  const destination = readAddress(packet.destination);
  if (source.family !== destination.family) {
    throw new PacketError({
      code: 'mixedFamilies',
      source: packet.source,
      destination: packet.destination,
    });
  }
  return {
    family: source.family,
    protocol: packet.protocol,
    icmp: packet.icmp,
    source: { address: source, port: packet.sourcePort, identities: identities.identitiesOf(source) },
    destination: {
      address: destination,
      port: packet.destinationPort,
      identities: identities.identitiesOf(destination),
    },
  };
}

function readAddress(text: string): IpAddress {
  const address = parseIp(text);
  if (address === undefined) throw new PacketError({ code: 'badAddress', text });
  return address;
}
