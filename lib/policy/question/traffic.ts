// The traffic that a question is about, as people write it: `tcp/5432`, `5432/tcp`, `tcp/http`, `icmp/8`, `ping`.

import {
  parseNumberOrName,
  protocolName as properName,
  protocolNumber,
  ScalarError,
} from '../../model/numbers.ts';
import type { Family } from '../../net/ip.ts';
import type { ProtocolNumber } from '../compiled.ts';
import { QuestionError } from './question-error.ts';

export type Traffic =
  /** TCP, UDP, SCTP: a port, or one that the destination names. */
  | { readonly type: 'port'; readonly protocol: ProtocolNumber; readonly port: number }
  | { readonly type: 'portName'; readonly protocol: ProtocolNumber; readonly name: string }
  /** Of one family by its protocol. */
  | { readonly type: 'icmp'; readonly family: Family; readonly icmpType: number; readonly code: number }
  /** An echo request of whichever family. */
  | { readonly type: 'ping' }
  /** Any other protocol. */
  | { readonly type: 'protocol'; readonly protocol: ProtocolNumber };

export const ICMP = 1;
export const ICMP_V6 = 58;
const ECHO_REQUEST = { 4: 8, 6: 128 } as const;
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 132, 136]);
const HOW = 'write PORT/PROTOCOL, such as 5432/tcp, http/tcp, icmp/8, ping, or protocol/47';

export function hasPorts(protocol: ProtocolNumber): boolean {
  return WITH_PORTS.has(protocol);
}

/** `tcp`, or the number of one without a name. */
export function protocolName(protocol: ProtocolNumber): string {
  return properName(protocol)?.toLowerCase() ?? `protocol ${protocol}`;
}

/** Throws QuestionError. The order of port and protocol does not matter. */
export function parseTraffic(text: string): Traffic {
  const parts = text.trim().split('/');
  const traffic = parts.length <= 3 ? readParts(parts) : undefined;
  if (traffic !== undefined) return traffic;
  throw new QuestionError({ code: 'badTraffic', text }, `${JSON.stringify(text)} is no traffic`, HOW);
}

function readParts(parts: readonly string[]): Traffic | undefined {
  const [first = '', second, third] = parts;
  if (first === 'ping') return second === undefined ? { type: 'ping' } : undefined;
  if (first === 'protocol') return second === undefined ? undefined : otherProtocol(readNumber(second, 255));
  const protocol = namedProtocol(first);
  if (protocol === ICMP || protocol === ICMP_V6) return icmpTraffic(protocol, second, third);
  if (second === undefined || third !== undefined) return undefined;
  if (protocol !== undefined) return portTraffic(protocol, second);
  const behind = namedProtocol(second);
  if (behind === ICMP || behind === ICMP_V6) return icmpTraffic(behind, first, undefined);
  return behind === undefined ? undefined : portTraffic(behind, first);
}

/** By name only: a number would be a port. */
function namedProtocol(text: string): number | undefined {
  if (/^\d+$/.test(text)) return undefined;
  try {
    return protocolNumber(parseNumberOrName(text));
  } catch (error) {
    if (error instanceof ScalarError) return undefined;
    throw error;
  }
}

function otherProtocol(protocol: number | undefined): Traffic | undefined {
  if (protocol === undefined || hasPorts(protocol) || protocol === ICMP || protocol === ICMP_V6)
    return undefined;
  return { type: 'protocol', protocol };
}

function icmpTraffic(
  protocol: number,
  type: string | undefined,
  code: string | undefined,
): Traffic | undefined {
  const family = protocol === ICMP ? 4 : 6;
  const icmpType = type === undefined ? ECHO_REQUEST[family] : readNumber(type, 255);
  const icmpCode = code === undefined ? 0 : readNumber(code, 255);
  if (icmpType === undefined || icmpCode === undefined) return undefined;
  return { type: 'icmp', family, icmpType, code: icmpCode };
}

function portTraffic(protocol: number, port: string): Traffic | undefined {
  if (!hasPorts(protocol)) return undefined;
  const number = readNumber(port, 65_535);
  if (number !== undefined) return { type: 'port', protocol, port: number };
  return /^[a-zA-Z0-9_.-]*[a-zA-Z][a-zA-Z0-9_.-]*$/.test(port)
    ? { type: 'portName', protocol, name: port }
    : undefined;
}

function readNumber(text: string, max: number): number | undefined {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : undefined;
  return number !== undefined && number <= max ? number : undefined;
}

/** `tcp/5432`, `icmp/8`, `icmp/3/1`; parsed again it is the same. */
export function formatTraffic(traffic: Traffic): string {
  switch (traffic.type) {
    case 'port':
      return `${protocolName(traffic.protocol)}/${traffic.port}`;
    case 'portName':
      return `${protocolName(traffic.protocol)}/${traffic.name}`;
    case 'icmp': {
      const name = traffic.family === 4 ? 'icmp' : 'icmpv6';
      return `${name}/${traffic.icmpType}${traffic.code === 0 ? '' : `/${traffic.code}`}`;
    }
    case 'ping':
      return 'ping';
    case 'protocol':
      return `protocol/${traffic.protocol}`;
  }
}

/** What of a packet the traffic decides, in a family; undefined if there is no such packet in it. */
export interface PacketFields {
  readonly protocol: ProtocolNumber;
  readonly destinationPort?: number;
  readonly icmp?: { readonly type: number; readonly code: number };
}

export function packetFields(
  traffic: Exclude<Traffic, { readonly type: 'portName' }>,
  family: Family,
): PacketFields | undefined {
  const protocol = family === 4 ? ICMP : ICMP_V6;
  switch (traffic.type) {
    case 'port':
      return { protocol: traffic.protocol, destinationPort: traffic.port };
    case 'protocol':
      return { protocol: traffic.protocol };
    case 'ping':
      return { protocol, icmp: { type: ECHO_REQUEST[family], code: 0 } };
    case 'icmp':
      return traffic.family === family
        ? { protocol, icmp: { type: traffic.icmpType, code: traffic.code } }
        : undefined;
  }
}
