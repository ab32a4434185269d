// Scalars that are numbers or names in JSON: ports, protocols, AS numbers, DSCP (Calico's api/pkg/lib/numorstring).

/** A port, a range of ports (`min` = `max` for one), or a port that endpoints name. */
export type PortValue = { readonly min: number; readonly max: number } | { readonly name: string };
/** A protocol or a DSCP: a number of 8 bits, or a name. */
export type NumberOrName = { readonly number: number } | { readonly name: string };

/** A scalar's text does not fit its type. */
export class ScalarError extends Error {
  readonly type: { readonly code: 'badScalar'; readonly scalar: string; readonly value: string };

  constructor(scalar: string, value: string) {
    super(`not ${scalar}: ${value}`);
    this.name = 'ScalarError';
    this.type = { code: 'badScalar', scalar, value };
  }
}

const PORT_NAME = /^[a-zA-Z0-9_.-]{1,128}$/;

/** An unsigned decimal number of that many bits, or undefined; leading zeros are allowed. */
function parseUnsigned(text: string, bits: 8 | 16 | 32): number | undefined {
  if (!/^[0-9]+$/.test(text)) return undefined;
  const value = BigInt(text);
  return value < 1n << BigInt(bits) ? Number(value) : undefined;
}

/** A JSON value as a number of that many bits, or undefined. */
function unsignedValue(value: unknown, bits: 8 | 16 | 32): number | undefined {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value < 2 ** bits
    ? value
    : undefined;
}

function describe(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}

/** From the JSON value: `80`, `"80"`, `"1:10"`, `"http"`. Throws ScalarError. */
export function parsePort(value: unknown): PortValue {
  const port = typeof value === 'string' ? portFromText(value) : singlePort(unsignedValue(value, 16));
  if (port === undefined) throw new ScalarError('a port', describe(value));
  return port;
}

function singlePort(port: number | undefined): PortValue | undefined {
  return port === undefined ? undefined : { min: port, max: port };
}

function portFromText(text: string): PortValue | undefined {
  if (/^[0-9]+$/.test(text)) return singlePort(parseUnsigned(text, 16));
  const range = /^([0-9]+):([0-9]+)$/.exec(text);
  if (range === null) return PORT_NAME.test(text) ? { name: text } : undefined;
  const min = parseUnsigned(range[1] ?? '', 16);
  const max = parseUnsigned(range[2] ?? '', 16);
  return min === undefined || max === undefined || min > max ? undefined : { min, max };
}

/** A named port, also one of digits only. Throws ScalarError. */
export function namedPort(text: string): PortValue {
  if (!PORT_NAME.test(text)) throw new ScalarError('a port name', describe(text));
  return { name: text };
}

/** The plain text: `20`, `10:20` or the name. */
export function formatPort(port: PortValue): string {
  if ('name' in port) return port.name;
  return port.min === port.max ? String(port.min) : `${port.min}:${port.max}`;
}

/** The JSON value: a number for one port, else text. */
export function portToJson(port: PortValue): number | string {
  return 'min' in port && port.min === port.max ? port.min : formatPort(port);
}

/** From the JSON value of a protocol or DSCP: texts of 0 to 255 are numbers, other names keep their case. */
export function parseNumberOrName(value: unknown): NumberOrName {
  if (typeof value === 'string') {
    const number = parseUnsigned(value, 8);
    return number === undefined ? { name: value } : { number };
  }
  const number = unsignedValue(value, 8);
  if (number === undefined) throw new ScalarError('a number of 8 bits or a name', describe(value));
  return { number };
}

export function formatNumberOrName(value: NumberOrName): string {
  return 'number' in value ? String(value.number) : value.name;
}

/** The JSON value: a number also where the name is one. */
export function numberOrNameToJson(value: NumberOrName): number | string {
  return 'number' in value ? value.number : (parseUnsigned(value.name, 8) ?? value.name);
}

const PROTOCOL_NAMES = ['UDP', 'TCP', 'ICMP', 'ICMPv6', 'SCTP', 'UDPLite', 'any'];
/** IANA protocol numbers of the names that a policy may use. */
const PROTOCOL_NUMBERS: Readonly<Record<string, number>> = {
  icmp: 1,
  tcp: 6,
  udp: 17,
  icmpv6: 58,
  sctp: 132,
  udplite: 136,
};

/** A name in any case to its proper one (`tcp` → `TCP`); unknown names stay unchanged. */
export function protocolFromText(text: string): NumberOrName {
  const proper = PROTOCOL_NAMES.find((name) => name.toLowerCase() === text.toLowerCase());
  return { name: proper ?? text };
}

/** The lower-case form of the internal model. */
export function protocolFromTextV1(text: string): NumberOrName {
  return { name: text.toLowerCase() };
}

export function protocolToV1(protocol: NumberOrName): NumberOrName {
  return 'number' in protocol ? protocol : protocolFromTextV1(protocol.name);
}

/** The protocol's number, for a name in any case; undefined for an unknown name. */
export function protocolNumber(protocol: NumberOrName): number | undefined {
  if ('number' in protocol) return protocol.number;
  return parseUnsigned(protocol.name, 8) ?? PROTOCOL_NUMBERS[protocol.name.toLowerCase()];
}

/** `TCP` of 6; undefined for a number that policies have no name for. */
export function protocolName(number: number): string | undefined {
  return PROTOCOL_NAMES.find((name) => PROTOCOL_NUMBERS[name.toLowerCase()] === number);
}

const NAMES_WITH_PORTS = ['TCP', 'UDP', 'SCTP', 'tcp', 'udp', 'sctp'];

/** Whether rules of this protocol may name ports: TCP, UDP, SCTP, all upper or all lower case, or their numbers. */
export function protocolHasPorts(protocol: NumberOrName): boolean {
  const number = 'number' in protocol ? protocol.number : parseUnsigned(protocol.name, 8);
  if (number !== undefined) return number === 6 || number === 17 || number === 132;
  return 'name' in protocol && NAMES_WITH_PORTS.includes(protocol.name);
}

/** From the JSON value: a number, decimal text, or `"hi.lo"` of two halves of 16 bits. Throws ScalarError. */
export function parseAsNumber(value: unknown): number {
  const asNumber = typeof value === 'string' ? asNumberFromText(value) : unsignedValue(value, 32);
  if (asNumber === undefined) throw new ScalarError('an AS number', describe(value));
  return asNumber;
}

function asNumberFromText(text: string): number | undefined {
  const plain = parseUnsigned(text, 32);
  const halves = text.split('.');
  if (plain !== undefined || halves.length !== 2) return plain;
  const high = parseUnsigned(halves[0] ?? '', 16);
  const low = parseUnsigned(halves[1] ?? '', 16);
  return high === undefined || low === undefined ? undefined : high * 65536 + low;
}

/** RFC 2474, 2597, 3246: names of differentiated services code points. */
const DSCP_NUMBERS: Readonly<Record<string, number>> = {
  ...{
    DF: 0,
    EF: 46,
    AF11: 10,
    AF12: 12,
    AF13: 14,
    AF21: 18,
    AF22: 20,
    AF23: 22,
    AF31: 26,
    AF32: 28,
    AF33: 30,
  },
  ...{ AF41: 34, AF42: 36, AF43: 38, CS0: 0, CS1: 8, CS2: 16, CS3: 24, CS4: 32, CS5: 40, CS6: 48 },
};

function knownDscp(name: string): number | undefined {
  return parseUnsigned(name, 8) ?? DSCP_NUMBERS[name.trim().toUpperCase()];
}

/** A name in any case to its proper one; unknown names stay unchanged. */
export function dscpFromText(text: string): NumberOrName {
  const upper = text.toUpperCase();
  return { name: upper in DSCP_NUMBERS ? upper : text };
}

/** Whether it is a number from 0 to 63 or a known name, case and blanks around it aside. */
export function isValidDscp(dscp: NumberOrName): boolean {
  const number = 'number' in dscp ? dscp.number : knownDscp(dscp.name);
  return number !== undefined && number <= 63;
}

/** The code point; an unknown name is 0. */
export function dscpNumber(dscp: NumberOrName): number {
  return 'number' in dscp ? dscp.number : (knownDscp(dscp.name) ?? 0);
}
