// Control socket of bgpd: a JSON message a line in both directions (docs/interfaces.md "agent → bgpd"). The
// configuration is always whole; bgpd finds out what has changed. Nothing here knows Calico: peers, prefixes, policies.

import { z } from 'zod';
import { issueWords } from '../model/validation/issue-words.ts';
import { canonicalCidr, isLinkLocal, isMasked, parseIp, parseScopedIp } from '../net/ip.ts';
import type { BgpdDestination, BgpdReceivedPath, BgpdSentPath, BgpdWhy } from './bgpd-routes.ts';
import type { BgpdEvent, BgpdHistory, BgpdStatus } from './bgpd-status.ts';

export const BGPD_PROTOCOL_VERSION = 1;
/** Longest line either side accepts, in octets. */
export const BGPD_MAX_LINE = 16 * 1024 * 1024;
/** Calico's default port, and BGP's. */
export const BGP_PORT = 179;

const MAX_ASN = 4294967295;
/** AS numbers of a path that is taken at all. */
const MAX_PATH_ASNS = 1000;
/** Ten operations of a BGPFilter's rule, each of ten AS numbers. */
const MAX_PREPENDED = 100;
/** As many as a message of 4,096 octets holds beside everything else. */
const MAX_COMMUNITIES = 1000;
/** A link-local address names its interface: `fe80::1%eth0`. */
const scopedAddress = z
  .string()
  .refine((text) => parseScopedIp(text) !== undefined, 'not an IP address')
  .refine((text) => !lacksZone(text), 'a link-local address needs its interface, like fe80::1%eth0');
const ipAddress = z.string().refine((text) => parseIp(text) !== undefined, 'not an IP address');
const ipv4Address = z.string().refine((text) => parseIp(text)?.family === 4, 'not an IPv4 address');
const ipv6Address = z.string().refine((text) => parseIp(text)?.family === 6, 'not an IPv6 address');
const prefix = z
  .string()
  .refine((text) => canonicalCidr(text) !== undefined, 'not a prefix')
  .refine((text) => isMasked(text) || canonicalCidr(text) === undefined, 'has bits set behind its length');
/** 23456 stands for numbers of four octets on the wire and belongs to nobody (RFC 6793 §9). */
const asn = z
  .number()
  .int()
  .min(1)
  .max(MAX_ASN)
  .refine((value) => value !== 23456, 'AS 23456 is reserved');
/** In a path anything may stand, for policies to find or to put there. */
const pathAsn = z.number().int().min(1).max(MAX_ASN);
const port = z.number().int().min(1).max(65535);
const uint32 = z.number().int().min(0).max(MAX_ASN);
/** `65001:100` or `65001:1:100` (RFC 8092). */
const community = z
  .string()
  .refine((text) => isCommunity(text), 'not a community like 65001:100 or 65001:1:100');

const policyRule = z.strictObject({
  prefix: prefix.optional(),
  operator: z.enum(['equal', 'notEqual', 'in', 'notIn']).default('in'),
  minLength: z.number().int().min(0).max(128).optional(),
  maxLength: z.number().int().min(0).max(128).optional(),
  family: z.union([z.literal(4), z.literal(6)]).optional(),
  source: z.enum(['local', 'peer']).optional(),
  community: community.optional(),
  asPathPrefix: z.array(pathAsn).min(1).max(MAX_PATH_ASNS).optional(),
  localPref: uint32.optional(),
  /** A network that holds the path's next hop; paths of our own have none. */
  nextHop: prefix.optional(),
  action: z.enum(['accept', 'reject']),
  set: z
    .strictObject({
      localPref: uint32.optional(),
      multiExitDisc: uint32.optional(),
      addCommunities: z.array(community).max(MAX_COMMUNITIES).optional(),
      prependAsns: z.array(pathAsn).max(MAX_PREPENDED).optional(),
    })
    .optional(),
});

/** The first rule that matches decides. */
const policy = z.strictObject({
  rules: z.array(policyRule).max(10_000),
  otherwise: z.enum(['accept', 'reject']),
});

const asnRange = z
  .strictObject({ from: asn, to: asn })
  .refine(({ from, to }) => from <= to, 'the first AS number is above the last');

/** What a session is made from, with one peer or with each of a dynamic range. */
const sessionFields = {
  /** For operators; nothing depends on it. */
  description: z.string().max(255).optional(),
  /** Instead of the speaker's own AS number, towards this peer. */
  localAsn: asn.optional(),
  /** TCP-MD5 key (RFC 2385), 1 to 80 octets. `passwordFile` keeps it out of messages and of the state on disk. */
  password: z
    .string()
    .min(1)
    .refine((text) => octetsOf(text) <= 80, 'more than 80 octets')
    .optional(),
  passwordFile: z.string().min(1).optional(),
  /**
   * Hops that the peer may be away, 1 for one on the same link (RFC 5082): packets leave with TTL 255, and what comes with
   * less than 256 minus this is dropped. Left out: any distance, and no protection.
   */
  ttlSecurity: z.number().int().min(1).max(254).optional(),
  /** 0, or at least 3. */
  holdTimeSeconds: z
    .number()
    .int()
    .min(0)
    .max(65535)
    .refine((value) => value === 0 || value >= 3, 'hold time must be 0 or at least 3')
    .default(90),
  /** More often than a third of the hold time agreed on, which is the rule where this is left out. */
  keepaliveSeconds: z.number().int().min(1).max(21845).optional(),
  /** Restart time that we offer (RFC 4724); 0 turns graceful restart off for this peer. */
  gracefulRestartSeconds: z.number().int().min(0).max(4095).default(120),
  families: z
    .array(z.enum(['ipv4Unicast', 'ipv6Unicast']))
    .min(1)
    .default(['ipv4Unicast', 'ipv6Unicast']),
  /** Several paths of a prefix in one session (RFC 7911), of every family, by direction. */
  addPaths: z
    .strictObject({ receive: z.boolean().default(false), send: z.boolean().default(false) })
    .prefault({}),
  /** IPv4 prefixes may have an IPv6 next hop (RFC 8950). */
  extendedNextHop: z.boolean().default(false),
  /** Our role towards an external peer (RFC 9234). */
  role: z.enum(['provider', 'routeServer', 'routeServerClient', 'customer', 'peer']).optional(),
  /** A peer that names no role of its own is refused (RFC 9234 §4.2). */
  strictRole: z.boolean().default(false),
  /** An external peer's paths begin with its own AS; route servers' do not. */
  enforceFirstAs: z.boolean().default(true),
  /** Of what we offer: a peer without it is refused (RFC 5492 §3). */
  requireCapabilities: z
    .array(
      z.enum([
        'multiprotocol',
        'routeRefresh',
        'extendedNextHop',
        'extendedMessage',
        'gracefulRestart',
        'fourOctetAs',
        'addPath',
        'enhancedRouteRefresh',
      ]),
    )
    .default([]),
  /**
   * Whose address is the next hop of what others told us: as RFC 4271 §5.1.3 has it, ours on paths of external peers, ours
   * always (`selfAlways`: on reflected paths too, unlike RFC 4456 §10), or never ours.
   */
  nextHopMode: z.enum(['auto', 'self', 'selfAlways', 'keep']).default('auto'),
  routeReflectorClient: z.boolean().default(false),
  /** Cluster id towards this peer, as an IPv4 address; if left out, the one that other peers have, or the router id. */
  clusterId: ipv4Address.optional(),
  /** How often our own AS may stand in a path from this peer. */
  allowOwnAs: z.number().int().min(0).max(10).default(0),
  /** Prefixes of one family that the peer may announce; with one more the session ends (Cease 6/1). */
  maxPrefixes: z.number().int().min(1).max(10_000_000).default(1_000_000),
  /** How long the session then stays down, unless it is reset or the limit raised. */
  maxPrefixesRestartSeconds: z.number().int().min(1).max(86_400).default(300),
  /** Without a policy internal peers accept everything, external ones nothing (RFC 8212). */
  importPolicy: policy.optional(),
  exportPolicy: policy.optional(),
};

type Keyed = { readonly password?: string | undefined; readonly passwordFile?: string | undefined };
const hasOneKey = ({ password, passwordFile }: Keyed): boolean =>
  password === undefined || passwordFile === undefined;
const TWO_KEYS = { message: 'password and passwordFile exclude each other', path: ['password'] };

const peer = z
  .strictObject({
    /** Unique; what status and events call the peer. */
    name: z.string().min(1).max(320),
    address: scopedAddress,
    port: port.default(BGP_PORT),
    asn,
    /** False: administratively down, with what `shutdownText` tells the peer (RFC 9003). */
    enabled: z.boolean().default(true),
    shutdownText: z
      .string()
      .refine((text) => octetsOf(text) <= 255, 'more than 255 octets')
      .optional(),
    /** Source of the connection; the kernel's choice if left out. */
    localAddress: scopedAddress.optional(),
    /**
     * How the session ends when the peer leaves the configuration. `graceful`: without a word, so that the other end keeps
     * our routes for its restart time (RFC 4724 §4.2) and can find other ways.
     */
    removal: z.enum(['hard', 'graceful']).default('hard'),
    /** Only waits for the peer to connect. */
    passive: z.boolean().default(false),
    connectRetrySeconds: z.number().int().min(1).max(3600).default(5),
    ...sessionFields,
  })
  .refine(hasOneKey, TWO_KEYS);

/** Whoever connects from inside the prefix becomes a peer, named `NAME/ADDRESS`, until a minute after its session. */
const dynamicPeers = z
  .strictObject({
    name: z.string().min(1).max(200),
    prefix,
    asns: z
      .array(z.union([asn, asnRange]))
      .min(1)
      .max(1000),
    /** Peers of this range at a time. */
    limit: z.number().int().min(1).max(10_000).default(100),
    ...sessionFields,
  })
  .refine(hasOneKey, TWO_KEYS);

const originatedRoute = z.strictObject({
  prefix,
  communities: z.array(community).max(MAX_COMMUNITIES).optional(),
  localPref: uint32.optional(),
  multiExitDisc: uint32.optional(),
});

const kernel = z.strictObject({
  /** Whether learned routes go into the kernel. */
  enabled: z.boolean().default(true),
  /** Route protocol number that marks what is ours; every route with it is taken for ours. */
  protocol: z.number().int().min(5).max(255).default(81),
  /** Own aggregates whose unused addresses must not leave the host by its default route. */
  blackholes: z.array(prefix).max(100_000).default([]),
  /** Only routes inside these are installed; all, if left out. */
  onlyPrefixes: z.array(prefix).max(10_000).optional(),
  /** Routes inside these are never installed. */
  exceptPrefixes: z.array(prefix).max(10_000).default([]),
  /** Ways to peers that no other route leads to: `via` is a gateway of the same family. */
  staticRoutes: z
    .array(z.strictObject({ prefix, via: ipAddress }))
    .max(10_000)
    .default([]),
  /** Equal paths used at once. */
  maxPaths: z.number().int().min(1).max(64).default(16),
});

export const bgpdConfigurationSchema = z
  .strictObject({
    /** BGP identifier, written as an IPv4 address; not 0.0.0.0. */
    routerId: ipv4Address.refine((text) => text !== '0.0.0.0', 'router id must not be 0.0.0.0'),
    asn,
    listen: z
      .array(z.strictObject({ address: ipAddress, port: port.default(BGP_PORT) }))
      .max(64)
      .default([
        { address: '0.0.0.0', port: BGP_PORT },
        { address: '::', port: BGP_PORT },
      ]),
    /** Our next hop for a family that the session's own address is not of. */
    nextHops: z.strictObject({ ipv4: ipv4Address.optional(), ipv6: ipv6Address.optional() }).default({}),
    peers: z.array(peer).max(10_000).default([]),
    /** The longest prefix that an address is in counts; an address in `peers` is no dynamic one. */
    dynamicPeers: z.array(dynamicPeers).max(1000).default([]),
    /** Prefixes that we announce as our own. */
    originate: z
      .array(z.union([prefix, originatedRoute]))
      .max(100_000)
      .default([]),
    kernel: kernel.prefault({}),
    /** After a restart: how long peers that do not come back are waited for before routes are chosen (RFC 4724 §4.1). */
    selectionDeferralSeconds: z.number().int().min(1).max(3600).default(30),
    /** Prefixes whose every change is an event of its own. */
    watch: z.array(prefix).max(1000).default([]),
  })
  .superRefine((configuration, context) => {
    const report = (path: (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path, message });
    reportRepeats(
      configuration.peers.map(({ name }) => name),
      (index) => report(['peers', index, 'name'], 'name is used twice'),
    );
    reportRepeats(
      configuration.peers.map(({ address }) => address),
      (index) => report(['peers', index, 'address'], 'address is used by another peer'),
    );
    reportRepeats(
      configuration.dynamicPeers.map(({ name }) => name),
      (index) => report(['dynamicPeers', index, 'name'], 'name is used twice'),
    );
    reportRepeats(
      configuration.dynamicPeers.map(({ prefix: range }) => range),
      (index) => report(['dynamicPeers', index, 'prefix'], 'prefix is used twice'),
    );
    reportKeyConflicts(configuration.peers, (index) =>
      report(['peers', index, 'password'], 'another peer has this link-local address and another key'),
    );
    for (const [index, one] of configuration.peers.entries()) {
      const localAsn = one.localAsn ?? configuration.asn;
      judgeSession(one, one.asn === localAsn, (field, message) => report(['peers', index, field], message));
    }
    for (const [index, one] of configuration.dynamicPeers.entries()) {
      const localAsn = one.localAsn ?? configuration.asn;
      const isInternal = one.asns.every((entry) => entry === localAsn);
      judgeSession(one, isInternal, (field, message) => report(['dynamicPeers', index, field], message));
    }
  });

/** What depends on the kind of peer. */
function judgeSession(
  one: {
    readonly routeReflectorClient: boolean;
    readonly role?: string | undefined;
    readonly strictRole: boolean;
  },
  isInternal: boolean,
  report: (field: string, message: string) => void,
): void {
  if (one.routeReflectorClient && !isInternal)
    report('routeReflectorClient', 'only an internal peer can be a client');
  if (one.role !== undefined && isInternal) report('role', 'only towards an external peer there are roles');
  if (one.role === undefined && one.strictRole) report('strictRole', 'needs a role of ours');
}

/** What is wrong with one peer, apart from what it has to do with others; the same as for it in a whole configuration. */
export function bgpdPeerProblems(
  document: NonNullable<BgpdConfigurationInput['peers']>[number],
): readonly BgpdFieldError[] {
  const result = peer.safeParse(document, { error: issueWords });
  return result.success ? [] : fieldErrors(result.error);
}

/** Every problem, each by its field. */
export function fieldErrors({ issues }: z.ZodError): BgpdFieldError[] {
  return issues.map(({ path, message }) => ({ field: fieldPath(path), message }));
}

/** As written: defaults may be left out. */
export type BgpdConfigurationInput = z.input<typeof bgpdConfigurationSchema>;
export type BgpdConfiguration = z.output<typeof bgpdConfigurationSchema>;
export type BgpdPeerConfiguration = BgpdConfiguration['peers'][number];
export type BgpdDynamicPeersConfiguration = BgpdConfiguration['dynamicPeers'][number];
export type BgpdPolicy = z.output<typeof policy>;

const id = z.union([z.string(), z.number()]).optional();

/** `prefix` for one destination alone; else a part of all, which begins behind `after`, the `next` of the answer before. */
const pageFields = {
  prefix: prefix.optional(),
  after: z
    .string()
    .regex(/^(ipv4Unicast|ipv6Unicast):\d{1,9}$/, 'not the "next" of an earlier answer')
    .optional(),
  limit: z.number().int().min(1).max(100_000).default(1000),
};
const prefixOrAddress = z
  .string()
  .refine((text) => canonicalCidr(text) !== undefined, 'neither a prefix nor an address');

/** What bgpd is asked. `id` comes back in the answer. */
export const bgpdRequestSchema = z.discriminatedUnion('type', [
  /** `number` is the caller's own count; the answer repeats it. Judged by bgpdConfigurationSchema. */
  z.strictObject({ type: z.literal('configure'), id, number: z.number().int(), configuration: z.unknown() }),
  z.strictObject({ type: z.literal('status'), id }),
  /** Destinations with all their paths (Loc-RIB). */
  z.strictObject({ type: z.literal('rib'), id, ...pageFields }),
  /** What the peer has announced, before and after the import policy (Adj-RIB-In). */
  z.strictObject({ type: z.literal('ribIn'), id, peer: z.string(), ...pageFields }),
  /** What the peer has been told (Adj-RIB-Out). */
  z.strictObject({ type: z.literal('ribOut'), id, peer: z.string(), ...pageFields }),
  /** One destination explained; without it the nearest ones that cover it. */
  z.strictObject({ type: z.literal('why'), id, prefix: prefixOrAddress }),
  /** Numbers in the text form of Prometheus. */
  z.strictObject({ type: z.literal('metrics'), id }),
  /** The events after this number, then each one as it happens. */
  z.strictObject({ type: z.literal('events'), id, afterSeq: z.number().int().min(0).default(0) }),
  /** Ends the session with Cease, administrative reset, and starts it again. */
  z.strictObject({ type: z.literal('reset'), id, peer: z.string() }),
  /** What has happened to the sessions with the peer; `raw` with the octets of its malformed messages. */
  z.strictObject({ type: z.literal('history'), id, peer: z.string(), raw: z.boolean().default(false) }),
  /** Asks the peer for its routes again (RFC 2918). */
  z.strictObject({ type: z.literal('refresh'), id, peer: z.string() }),
  /** Leaves: peers drop our routes, the kernel's are withdrawn. As SIGTERM does. */
  z.strictObject({ type: z.literal('shutdown'), id }),
  /** Ends the process for a graceful restart: routes stay, here and at the peers. */
  z.strictObject({ type: z.literal('restart'), id }),
]);
export type BgpdRequest = z.output<typeof bgpdRequestSchema>;
export type BgpdRequestInput = z.input<typeof bgpdRequestSchema>;

export interface BgpdFieldError {
  /** `peers[1].holdTimeSeconds` */
  readonly field: string;
  readonly message: string;
}

type More = { readonly next?: string };

/** `failed`: it could not be done, and might be later; `stopping`: bgpd is about to end. */
export type BgpdErrorCode = 'badRequest' | 'unknownPeer' | 'notConfigured' | 'failed' | 'stopping';

/** What bgpd says. `hello` comes first on every connection. */
export type BgpdResponse = { readonly id?: string | number | undefined } & (
  | {
      readonly type: 'hello';
      readonly version: number;
      readonly host: string;
      readonly configurationNumber?: number;
    }
  | { readonly type: 'acknowledged'; readonly number?: number }
  | { readonly type: 'refused'; readonly number: number; readonly errors: readonly BgpdFieldError[] }
  | { readonly type: 'status'; readonly status: BgpdStatus }
  /** With `next` there is more; `total` counts the destinations of all parts. */
  | ({
      readonly type: 'rib';
      readonly destinations: readonly BgpdDestination[];
      readonly total: number;
    } & More)
  | ({ readonly type: 'ribIn'; readonly paths: readonly BgpdReceivedPath[] } & More)
  | ({ readonly type: 'ribOut'; readonly paths: readonly BgpdSentPath[] } & More)
  | { readonly type: 'why'; readonly destinations: readonly BgpdWhy[] }
  | { readonly type: 'metrics'; readonly text: string }
  | { readonly type: 'history'; readonly history: BgpdHistory }
  | { readonly type: 'event'; readonly event: BgpdEvent }
  /** Events that were overwritten before they could be sent. */
  | { readonly type: 'eventsLost'; readonly count: number }
  | {
      readonly type: 'error';
      readonly code: BgpdErrorCode;
      readonly message: string;
    }
);

/** Path of an issue as operators write it. */
function fieldPath(path: readonly PropertyKey[]): string {
  return path
    .map((part, index) =>
      typeof part === 'number' ? `[${part}]` : index === 0 ? String(part) : `.${String(part)}`,
    )
    .join('');
}

/** Numbers of a community text: two of 16 bits, or three of 32. */
export function parseCommunity(text: string): readonly number[] | undefined {
  if (!/^[0-9]{1,10}(:[0-9]{1,10}){1,2}$/.test(text)) return undefined;
  const parts = text.split(':').map(Number);
  const limit = parts.length === 2 ? 0xffff : MAX_ASN;
  return parts.every((part) => part <= limit) ? parts : undefined;
}

/** The kernel finds a key by the address alone, whatever the interface. */
function reportKeyConflicts(
  peers: readonly (Keyed & { readonly address: string })[],
  report: (index: number) => void,
): void {
  const keyByAddress = new Map<string, string>();
  for (const [index, { address, password, passwordFile }] of peers.entries()) {
    const [text = ''] = address.split('%');
    const key = JSON.stringify([password, passwordFile]);
    if ((keyByAddress.get(text) ?? key) !== key) report(index);
    keyByAddress.set(text, key);
  }
}

function lacksZone(text: string): boolean {
  const address = parseIp(text);
  return address !== undefined && isLinkLocal(address);
}

function octetsOf(text: string): number {
  return new TextEncoder().encode(text).length;
}

function isCommunity(text: string): boolean {
  return parseCommunity(text) !== undefined;
}

function reportRepeats(values: readonly string[], report: (index: number) => void): void {
  const seen = new Set<string>();
  for (const [index, value] of values.entries()) {
    if (seen.has(value)) report(index);
    seen.add(value);
  }
}
