// What crosses the channel between the agent and the kernel writer (docs/interfaces.md "agent → kernel writer"): numbered
// requests, one answer each, carried by Node's process channel as JSON. The channel's end is the writer's end.

import { z } from 'zod';

/** A line of `/proc/sys`: `net/ipv4/ip_forward` and the value. */
const sysctlSchema = z.strictObject({ path: z.string(), value: z.string() });
export type Sysctl = z.infer<typeof sysctlSchema>;

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
  /** Lines for the long-lived `ip -force -batch -`; each line is tried, failures are named by their index. */
  z.strictObject({ id, op: z.literal('ip'), lines: z.array(z.string()) }),
  /** One reading `ip` command; the answer's output is what it printed. */
  z.strictObject({ id, op: z.literal('ipQuery'), args: z.array(z.string()) }),
  z.strictObject({ id, op: z.literal('sysctl'), entries: z.array(sysctlSchema) }),
  /** Sysctls and then `ip` lines inside another network namespace; stops at the first line that fails. */
  z.strictObject({
    id,
    op: z.literal('inNamespace'),
    netns: z.string(),
    sysctls: z.array(sysctlSchema),
    lines: z.array(z.string()),
  }),
  /** The id that the kernel counts up with every change of any nftables table of the namespace. */
  z.strictObject({ id, op: z.literal('rulesetGeneration') }),
  /** The distinct values that conntrack entries carry in these bits of their marks, as decimal numbers, one a line. */
  z.strictObject({ id, op: z.literal('conntrackMarks'), mask: z.int() }),
  /** Clears these bits of every conntrack mark, and sees a dump in which no entry carries any of them but `keep`. */
  z.strictObject({ id, op: z.literal('clearConntrackMarks'), mask: z.int(), keep: z.int() }),
]);
export type KernelRequest = z.infer<typeof kernelRequestSchema>;

const lineFailureSchema = z.strictObject({ line: z.int(), message: z.string() });
/** A line of an `ip` batch, by its index from 0, and what `ip` said of it. */
export type LineFailure = z.infer<typeof lineFailureSchema>;

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
    /** nft only: the ruleset's generation id after the transaction. */
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
