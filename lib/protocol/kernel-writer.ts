// What crosses the channel between the agent and the kernel writer (docs/interfaces.md "agent → kernel writer"): numbered
// requests, one answer each, carried by Node's process channel as JSON. The channel's end is the writer's end.

import { z } from 'zod';

/** A line of `/proc/sys`: `net/ipv4/ip_forward` and the value. */
const sysctlSchema = z.strictObject({ path: z.string(), value: z.string() });
export type Sysctl = z.infer<typeof sysctlSchema>;
export const sysctlListSchema = z.array(sysctlSchema);

/** A workload's veth pair. */
const workloadPairSchema = z.strictObject({
  hostName: z.string(),
  hostMac: z.string(),
  hostSysctls: z.array(sysctlSchema),
  mtu: z.int(),
  /** Path of the workload's network namespace. */
  netns: z.string(),
  podName: z.string(),
  podMac: z.string(),
  /** Those that the namespace has not, or does not let us write, are passed over. */
  podSysctls: z.array(sysctlSchema),
});
export type WorkloadPair = z.infer<typeof workloadPairSchema>;

/** What its end in the workload's namespace is known by. All addresses without a length but for the routes' destinations. */
const podAddressesSchema = z.strictObject({
  netns: z.string(),
  podName: z.string(),
  addresses: z.array(z.string()),
  neighbours: z.array(z.strictObject({ address: z.string(), mac: z.string() })),
  /** In order: a gateway needs its own route first. */
  routes: z.array(z.strictObject({ net: z.string(), via: z.string().optional() })),
});
export type PodAddresses = z.infer<typeof podAddressesSchema>;

export const workloadLinkStateSchema = z.strictObject({
  /** `up`: raised, and the kernel sends over it. */
  link: z.enum(['missing', 'down', 'up']),
  /** Those of the addresses asked for that are not routed to the interface by a route of ours. */
  unrouted: z.array(z.string()),
});
export type WorkloadLinkState = z.infer<typeof workloadLinkStateSchema>;

/** Fields of a set's key that elements can be encoded for. */
export const ELEMENT_FIELDS = [
  'mark',
  'classid',
  'ifname',
  'ipv4_addr',
  'ipv6_addr',
  'inet_proto',
  'inet_service',
] as const;
export type ElementField = (typeof ELEMENT_FIELDS)[number];

/** Elements of one set or map that come, or that go. Keys and values as nftables writes them, numbers as numbers. */
const elementChangeSchema = z.strictObject({
  set: z.string(),
  change: z.enum(['add', 'delete']),
  fields: z.array(z.enum(ELEMENT_FIELDS)),
  isInterval: z.boolean(),
  elements: z.array(
    z.strictObject({
      key: z.string(),
      /** A mark or `goto CHAIN`; none in a set, and none where an element goes. */
      value: z.string().optional(),
      comment: z.string().optional(),
    }),
  ),
});
export type ElementChange = z.infer<typeof elementChangeSchema>;

/** One element of a set without intervals, by its key. */
const elementQuerySchema = z.strictObject({
  set: z.string(),
  fields: z.array(z.enum(ELEMENT_FIELDS)),
  key: z.string(),
});
export type ElementQuery = z.infer<typeof elementQuerySchema>;

/** Addresses without a length. */
export const interfaceAddressesSchema = z.array(
  z.strictObject({ name: z.string(), addresses: z.array(z.string()) }),
);
export type InterfaceAddresses = z.infer<typeof interfaceAddressesSchema>;

const family = z.literal([4, 6]);
const networkQuerySchema = z.discriminatedUnion('what', [
  /** `kinds`: `vxlan` and the like; all if left out. */
  z.strictObject({
    what: z.literal('links'),
    kinds: z.array(z.string()).optional(),
    withAddresses: z.boolean(),
  }),
  /** Of the main table if none is named. */
  z.strictObject({ what: z.literal('routes'), family, protocol: z.int(), table: z.int().optional() }),
  /** Permanent ones, of both families. */
  z.strictObject({ what: z.literal('neighbours') }),
  z.strictObject({ what: z.literal('rules'), family }),
]);
export type NetworkQuery = z.infer<typeof networkQuerySchema>;

export const foreignRulesSchema = z.strictObject({
  /** `unknown`: the kernel could not tell all of it. */
  table: z.enum(['untouched', 'touched', 'unknown']),
  /** Those of the table whose rules others have changed. */
  chains: z.array(z.string()),
  /** Chains or rules of other tables may be others than they were. */
  hasOthers: z.boolean(),
});
/** What others have changed of our table, and of theirs. */
export type ForeignRules = z.infer<typeof foreignRulesSchema>;

const id = z.int().positive();
export const kernelRequestSchema = z.discriminatedUnion('op', [
  /**
   * One nftables transaction, all or nothing; or list and get commands, whose output is the answer's. `terse` leaves out
   * the elements of sets. `isCheck`: the kernel is asked whether it would take it, and changes nothing.
   */
  z.strictObject({
    id,
    op: z.literal('nft'),
    text: z.string(),
    output: z.enum(['text', 'json', 'terseJson']),
    isCheck: z.boolean(),
  }),
  /** One nftables transaction of elements of an `inet` table alone, all or nothing. */
  z.strictObject({ id, op: z.literal('elements'), table: z.string(), changes: z.array(elementChangeSchema) }),
  /** Whether an `inet` table has all of these elements; the output is `true` or `false`. */
  z.strictObject({
    id,
    op: z.literal('hasElements'),
    table: z.string(),
    queries: z.array(elementQuerySchema),
  }),
  /** Lines for the long-lived `ip -force -batch -`; each line is tried, failures are named by their index. */
  z.strictObject({ id, op: z.literal('ip'), lines: z.array(z.string()) }),
  /** The same with `-6`, for lines in which no address tells the family. */
  z.strictObject({ id, op: z.literal('ip6'), lines: z.array(z.string()) }),
  /** The same for `bridge`: forwarding entries of tunnels. */
  z.strictObject({ id, op: z.literal('bridge'), lines: z.array(z.string()) }),
  /** What the kernel has of these; the output is JSON in the form of `ip -N -d -j`, with what of it is read here. */
  z.strictObject({ id, op: z.literal('list'), query: networkQuerySchema }),
  /** One reading `bridge` command; the answer's output is what it printed. */
  z.strictObject({ id, op: z.literal('bridgeQuery'), args: z.array(z.string()) }),
  /** The public key of the private one in the file, which is made where there is none; fails where there is no `wg`. */
  z.strictObject({ id, op: z.literal('wireguardKey'), keyFile: z.string() }),
  /** All of a device's configuration but the private key, which is read from the file. */
  z.strictObject({
    id,
    op: z.literal('configureWireguard'),
    device: z.string(),
    keyFile: z.string(),
    configuration: z.string(),
  }),
  /** The output is that of `wg show DEVICE dump`, without secrets. */
  z.strictObject({ id, op: z.literal('showWireguard'), device: z.string() }),
  z.strictObject({ id, op: z.literal('sysctl'), entries: z.array(sysctlSchema) }),
  /** Which of these are not as they should be; the output is JSON, a list of what stands there. Those that are not there count as right. */
  z.strictObject({ id, op: z.literal('wrongSysctls'), entries: z.array(sysctlSchema) }),
  /**
   * The pair of interfaces of a workload, its end in the workload's namespace up. One of the host's name is replaced. A
   * failure names its step; what was made until then stays.
   */
  z.strictObject({ id, op: z.literal('makePair'), pair: workloadPairSchema }),
  /** Addresses of an end that has none yet, and what they reach. A failure names its step; what was made until then stays. */
  z.strictObject({ id, op: z.literal('addressPod'), parts: podAddressesSchema }),
  /** What of a workload the kernel has, asked by name and address; the output is a `WorkloadLinkState` as JSON. */
  z.strictObject({
    id,
    op: z.literal('linkState'),
    interfaceName: z.string(),
    /** Single addresses that must be routed to the interface. */
    addresses: z.array(z.string()),
    routeProtocol: z.int(),
  }),
  /** The interfaces that have any of these addresses now; the output is `InterfaceAddresses` as JSON, these addresses only. */
  z.strictObject({ id, op: z.literal('interfacesWith'), addresses: z.array(z.string()) }),
  /** One that is not there is gone as well. */
  z.strictObject({ id, op: z.literal('deleteLink'), interfaceName: z.string() }),
  /** The id that the kernel counts up with every change of any nftables table of the namespace. */
  z.strictObject({ id, op: z.literal('rulesetGeneration') }),
  /** The same; the output is `ForeignRules` as JSON, of what others have done since this was asked last. */
  z.strictObject({ id, op: z.literal('foreignRules') }),
  /** Chains of every table but an `inet` one, and what of their rules counts; the output is JSON as nft's. Rules with this comment count. */
  z.strictObject({ id, op: z.literal('othersRuleset'), except: z.string(), comment: z.string() }),
  /** The distinct values that conntrack entries carry in these bits of their marks, as decimal numbers, one a line. */
  z.strictObject({ id, op: z.literal('conntrackMarks'), mask: z.int() }),
  /** Clears these bits of every conntrack mark, and sees a dump in which no entry carries any of them but `keep`. */
  z.strictObject({ id, op: z.literal('clearConntrackMarks'), mask: z.int(), keep: z.int() }),
  /** Takes away every conntrack entry that has one of these addresses as an end: who has it next is somebody else. */
  z.strictObject({ id, op: z.literal('forgetFlows'), addresses: z.array(z.string()) }),
]);
export type KernelRequest = z.infer<typeof kernelRequestSchema>;

const lineFailureSchema = z.strictObject({ line: z.int(), message: z.string() });

const errorSchema = z.discriminatedUnion('code', [
  /** The transaction was refused: nothing of it happened. */
  z.strictObject({ code: z.literal('refused'), message: z.string() }),
  z.strictObject({ code: z.literal('linesFailed'), failures: z.array(lineFailureSchema) }),
  z.strictObject({ code: z.literal('commandFailed'), command: z.string(), message: z.string() }),
  z.strictObject({ code: z.literal('libraryMissing'), library: z.string(), message: z.string() }),
]);
export type KernelErrorType = z.infer<typeof errorSchema>;

export const kernelAnswerSchema = z.discriminatedUnion('ok', [
  z.strictObject({
    id,
    ok: z.literal(true),
    output: z.string(),
    /** `nft` and `elements`: the ruleset's generation id after the transaction. */
    rulesetGeneration: z.int().optional(),
    durationMs: z.number(),
  }),
  z.strictObject({ id, ok: z.literal(false), error: errorSchema, durationMs: z.number() }),
]);
export type KernelAnswer = z.infer<typeof kernelAnswerSchema>;

/** The first message of a writer: it has its library and its namespace. */
export const kernelReadySchema = z.strictObject({
  ready: z.literal(true),
  pid: z.int(),
  version: z.string(),
});
