// Checks of single texts: names, addresses, networks, selectors, durations, patterns. Each returns undefined if the text is
// fine, else what it must be. Rules as Calico's libcalico-go validator/v3 and Kubernetes' apimachinery validation have them.

import { isMasked, parseCidr, parseIp } from '../../net/ip.ts';
import { parseSelector } from '../../selector/parser.ts';
import { SelectorError } from '../../selector/selector-error.ts';
import { parseDurationNanoseconds } from '../duration.ts';
import {
  type NumberOrName,
  type PortValue,
  parseAsNumber,
  parseNumberOrName,
  parsePort,
  protocolHasPorts,
  ScalarError,
} from '../numbers.ts';
import type { TextCheck } from './schema.ts';

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;

/** A check by pattern with a sentence for people. */
export function matching(pattern: RegExp, message: string): TextCheck {
  return (text) => (pattern.test(text) ? undefined : message);
}

export const DNS_LABEL = new RegExp(`^${LABEL}$`);
export const DNS_SUBDOMAIN = new RegExp(`^${SUBDOMAIN}$`);
/** label, or label.label, or knp.default.<subdomain>, ossg.default.<subdomain>. */
export const NETWORK_POLICY_NAME = new RegExp(
  `^(${LABEL}(\\.${LABEL})?|(knp|ossg)\\.default\\.${SUBDOMAIN})$`,
);
/** label, or label.label, or kcnp.<subdomain>: a ClusterNetworkPolicy as it is stored here. */
export const GLOBAL_NETWORK_POLICY_NAME = new RegExp(`^((${LABEL}\\.)?${LABEL}|kcnp\\.${SUBDOMAIN})$`);

export const resourceName = matching(
  DNS_SUBDOMAIN,
  "must be lower-case letters, digits, '-' and '.' (a DNS name)",
);
export const dnsLabel: TextCheck = (text) =>
  DNS_LABEL.test(text) && text.length <= 63
    ? undefined
    : "must be at most 63 lower-case letters, digits and '-' (a DNS label)";
export const containerId = matching(
  /^[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?$/,
  "must be letters, digits and '-'",
);
export const interfaceName = matching(
  /^(\*|[a-zA-Z0-9_.-]{1,15})$/,
  'must be the name of an interface (1 to 15 characters) or *',
);
export const plainInterfaceName = matching(
  /^[a-zA-Z0-9_.-]{1,15}$/,
  'must be the name of an interface (1 to 15 characters)',
);
export const interfaceWithWildcards = matching(
  /^[a-zA-Z0-9_.*-]{1,15}$/,
  'must be the name of an interface (1 to 15 characters), which may hold *',
);
export const ignoredInterface: TextCheck = (text) =>
  text === '*' ? 'must not match every interface' : interfaceWithWildcards(text);
export const interfaceFilter = matching(
  /^[a-zA-Z0-9:._+-]{1,15}$/,
  'must be a filter of interface names (1 to 15 characters)',
);

const NAME_PART = /^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)$/;
const QUALIFIED_NAME =
  "must be a name of at most 63 letters, digits, '-', '_', '.', with an optional DNS prefix and '/'";

/** Kubernetes' IsQualifiedName: keys of labels and annotations. */
export const qualifiedName: TextCheck = (text) => {
  const parts = text.split('/');
  const name = parts.at(-1) ?? '';
  const prefix = parts.length === 2 ? (parts[0] ?? '') : undefined;
  const isPrefixFine = prefix === undefined || (prefix.length <= 253 && DNS_SUBDOMAIN.test(prefix));
  return parts.length <= 2 && isPrefixFine && name.length <= 63 && NAME_PART.test(name)
    ? undefined
    : QUALIFIED_NAME;
};

/** Kubernetes' IsValidLabelValue. */
export const labelValue: TextCheck = (text) =>
  text === '' || (text.length <= 63 && NAME_PART.test(text))
    ? undefined
    : "must be at most 63 letters, digits, '-', '_', '.', and begin and end with a letter or digit";

/** Kubernetes' IsValidPortName (RFC 6335 service name). */
export const portName: TextCheck = (text) =>
  text.length <= 15 && /^[a-z0-9]+(-[a-z0-9]+)*$/.test(text) && /[a-z]/.test(text)
    ? undefined
    : "must be a port name: at most 15 lower-case letters, digits and single '-', with at least one letter";

export const ipAddress: TextCheck = (text) =>
  parseIp(text) === undefined ? 'must be an IP address' : undefined;
export const ipv4Address: TextCheck = (text) =>
  parseIp(text)?.family === 4 ? undefined : 'must be an IPv4 address';
export const ipv6Address: TextCheck = (text) =>
  parseIp(text)?.family === 6 ? undefined : 'must be an IPv6 address';

/** A network or address; bits behind the prefix length are allowed. */
export const looseCidr: TextCheck = (text) =>
  parseCidr(text) === undefined ? 'must be a network (CIDR) or an IP address' : undefined;
export const looseCidrV4: TextCheck = (text) =>
  parseCidr(text)?.family === 4 ? undefined : 'must be an IPv4 network (CIDR) or address';
export const looseCidrV6: TextCheck = (text) =>
  parseCidr(text)?.family === 6 ? undefined : 'must be an IPv6 network (CIDR) or address';

/** A network without bits behind its length, or an address. */
export const maskedNet: TextCheck = (text) =>
  isMasked(text)
    ? undefined
    : 'must be a network (CIDR) with no bits set behind its length, or an IP address';
export const maskedNetV4: TextCheck = (text) => looseCidrV4(text) ?? maskedNet(text);
export const maskedNetV6: TextCheck = (text) => looseCidrV6(text) ?? maskedNet(text);
/** Networks of rules: an address alone is not enough, it needs its /32 or /128. */
export const ruleNet: TextCheck = (text) =>
  text.includes('/') ? maskedNet(text) : 'must be a network with a length (CIDR), such as 10.0.0.1/32';

const MAC_PATTERNS = [
  /^[0-9a-f]{2}(([:-])[0-9a-f]{2})(\2[0-9a-f]{2}){4}$/i,
  /^[0-9a-f]{2}(([:-])[0-9a-f]{2})(\2[0-9a-f]{2}){6}$/i,
  /^[0-9a-f]{2}(([:-])[0-9a-f]{2})(\2[0-9a-f]{2}){18}$/i,
  /^[0-9a-f]{4}(\.[0-9a-f]{4}){2}$/i,
  /^[0-9a-f]{4}(\.[0-9a-f]{4}){3}$/i,
  /^[0-9a-f]{4}(\.[0-9a-f]{4}){9}$/i,
];
export const macAddress: TextCheck = (text) =>
  MAC_PATTERNS.some((pattern) => pattern.test(text)) ? undefined : 'must be a MAC address';

/** A selector that parses. */
export const selector: TextCheck = (text) => {
  try {
    parseSelector(text);
    return undefined;
  } catch (error) {
    if (error instanceof SelectorError) return `must be a selector (${error.message})`;
    throw error;
  }
};

/** Whether a selector's text holds `global()`, as Calico looks for it. */
export function hasGlobal(text: string | undefined): boolean {
  return text?.includes('global(') ?? false;
}

/** Any Go duration. */
export const goDuration: TextCheck = (text) =>
  parseDurationNanoseconds(text) === undefined ? 'must be a duration such as 1m30s' : undefined;
/** A Go duration that is not negative, and whole milliseconds or more if not zero. */
export const interval: TextCheck = (text) => {
  const nanoseconds = parseDurationNanoseconds(text);
  const isFine = nanoseconds !== undefined && (nanoseconds === 0n || nanoseconds >= 1_000_000n);
  return isFine ? undefined : 'must be a duration such as 90s or 1m30s, not negative';
};
export const notNegativeDuration: TextCheck = (text) => {
  const nanoseconds = parseDurationNanoseconds(text);
  return nanoseconds !== undefined && nanoseconds >= 0n
    ? undefined
    : 'must be a duration such as 90s, not negative';
};

/** A regular expression of RE2; flags in front, `(?i)`, are translated. */
export const regularExpression: TextCheck = (text) => {
  const flagged = /^\(\?([imsU]+)\)(.*)$/s.exec(text);
  const flags = [...(flagged?.[1] ?? '')].filter((flag) => flag !== 'U');
  try {
    new RegExp(flagged?.[2] ?? text, [...new Set(flags)].join(''));
    return undefined;
  } catch {
    return 'must be a regular expression';
  }
};

/** `aa:nn` of two 16-bit numbers, or `aa:nn:mm` of three 32-bit ones; undefined if it does not look like one. */
export function communityParts(text: string): number[] | undefined {
  return /^\d+:\d+(:\d+)?$/.test(text) ? text.split(':').map(Number) : undefined;
}
export const communityValue: TextCheck = (text) => {
  const parts = communityParts(text);
  const limit = parts?.length === 3 ? 2 ** 32 : 2 ** 16;
  return parts?.every((part) => part < limit)
    ? undefined
    : 'must be a community: aa:nn of two 16-bit numbers, or aa:nn:mm of three 32-bit ones';
};

/** The parsed port or protocol, or undefined if the value is none. */
export function portOf(value: unknown): PortValue | undefined {
  return parsed(() => parsePort(value));
}
export function protocolOf(value: unknown): NumberOrName | undefined {
  return value === undefined || value === null ? undefined : parsed(() => parseNumberOrName(value));
}
function parsed<Value>(parse: () => Value): Value | undefined {
  try {
    return parse();
  } catch (error) {
    if (error instanceof ScalarError) return undefined;
    throw error;
  }
}

/** A port from 1, a range, or a name. */
export function checkPort(value: number | string): string | undefined {
  const port = portOf(value);
  if (port === undefined) return 'must be a port, a range min:max, or the name of a port';
  if ('name' in port) return portName(port.name);
  return port.min < 1 ? 'must be a port from 1 to 65535' : undefined;
}

export function checkNumericPort(value: number | string): string | undefined {
  const port = portOf(value);
  return port !== undefined && 'min' in port
    ? checkPort(value)
    : 'must be a port or a range min:max of numbers';
}

const PROTOCOL_NAME = /^(TCP|UDP|ICMP|ICMPv6|SCTP|UDPLite)$/;

/** A number from 1 to 255, or a known name, spelled exactly. */
export function checkProtocol(value: number | string): string | undefined {
  const protocol = protocolOf(value);
  const isFine =
    protocol !== undefined &&
    ('number' in protocol ? protocol.number > 0 : PROTOCOL_NAME.test(protocol.name));
  return isFine ? undefined : 'must be TCP, UDP, ICMP, ICMPv6, SCTP, UDPLite or a number from 1 to 255';
}

export function checkProtocolWithPorts(value: number | string): string | undefined {
  const protocol = protocolOf(value);
  return protocol !== undefined && protocolHasPorts(protocol)
    ? undefined
    : 'must be a protocol with ports: TCP, UDP or SCTP';
}

export function checkAsNumber(value: number | string): string | undefined {
  return parsed(() => parseAsNumber(value)) === undefined
    ? 'must be an AS number: 0 to 4294967295, or two halves as in 1.10'
    : undefined;
}

/** The address and port of `ip`, `ip:port` or `[ip6]:port`; undefined if the text is none of them. */
export function parsePeerAddress(text: string): { address: string; port?: number } | undefined {
  const withPort = /^(?:(\d+\.\d+\.\d+\.\d+)|\[([0-9a-fA-F:.]+)\]):(\d+)$/.exec(text);
  if (withPort === null) return parseIp(text) === undefined ? undefined : { address: text };
  const address = withPort[1] ?? withPort[2] ?? '';
  const port = Number(withPort[3]);
  return parseIp(address) !== undefined && port >= 1 && port <= 65535 ? { address, port } : undefined;
}
export const peerAddress: TextCheck = (text) =>
  parsePeerAddress(text) === undefined ? 'must be an IP address, ip:port or [ip6]:port' : undefined;

/** Base64 of 32 bytes. */
export const wireguardKey = matching(
  /^[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=$/,
  'must be a WireGuard public key (base64 of 32 bytes)',
);
