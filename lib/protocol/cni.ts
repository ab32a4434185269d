// CNI plugin → agent: one JSON request and one JSON answer over the agent's unix socket, each a line (docs/interfaces.md).
// Spec: CNI 1.1.0 (commands, result, error codes); versions below are answered in their own form.

import { z } from 'zod';

export const CNI_PROTOCOL_VERSION = 1;
export const CNI_SPEC_VERSIONS = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;
/** A request or an answer longer than this is refused. */
export const CNI_MAX_MESSAGE_BYTES = 1024 * 1024;
/** The plugin gives up after so long; runtimes give a plugin minutes. */
export const CNI_TIMEOUT_MS = 90_000;

/** Error codes of the specification, and Calico's use of those above 100. */
export const CniErrorCode = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  ioFailure: 5,
  decodeFailure: 6,
  invalidConfiguration: 7,
  tryAgainLater: 11,
  pluginNotAvailable: 50,
  pluginLimited: 51,
  internal: 100,
} as const;

export const networkConfigurationSchema = z.looseObject({
  cniVersion: z.string().default('0.2.0'),
  name: z.string().regex(/^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/),
  type: z.string().optional(),
  mtu: z.number().int().min(0).max(65535).optional(),
  ipam: z
    .looseObject({
      type: z.string().optional(),
      assign_ipv4: z.enum(['true', 'false']).optional(),
      assign_ipv6: z.enum(['true', 'false']).optional(),
      ipv4_pools: z.array(z.string()).optional(),
      ipv6_pools: z.array(z.string()).optional(),
    })
    .optional(),
  policy: z.looseObject({ type: z.string().optional() }).optional(),
  prevResult: z.unknown().optional(),
  'cni.dev/valid-attachments': z
    .array(z.looseObject({ containerID: z.string(), ifname: z.string() }))
    .optional(),
});
export type NetworkConfiguration = z.infer<typeof networkConfigurationSchema>;

/** As it crosses the socket: what the plugin was given, untouched, so that the plugin need not understand it. */
export const cniRequestSchema = z.object({
  version: z.literal(CNI_PROTOCOL_VERSION),
  command: z.enum(['ADD', 'DEL', 'CHECK', 'GC', 'STATUS', 'VERSION']),
  /** Empty where the command is about none. It becomes part of names and keys. */
  containerId: z
    .string()
    .max(128)
    .regex(/^([a-zA-Z0-9][a-zA-Z0-9_.-]*)?$/),
  /** Path of the network namespace; empty on some DELs. */
  netns: z.string().max(4096),
  /** What the kernel takes as a name of an interface; empty where the command is about none. */
  ifName: z
    .string()
    .max(15)
    .regex(/^[^\s/:]*$/),
  /** `K8S_POD_NAME=web-1;K8S_POD_NAMESPACE=shop`, as CNI_ARGS is written. */
  args: z.string(),
  /** The network configuration: the text of a JSON object. */
  config: z.string(),
});

/** A request understood. */
export type CniRequest = Omit<z.infer<typeof cniRequestSchema>, 'args' | 'config'> & {
  readonly args: Readonly<Record<string, string>>;
  readonly config: unknown;
};

export interface CniResult {
  readonly cniVersion: string;
  readonly interfaces: readonly {
    readonly name: string;
    readonly mac: string;
    readonly mtu?: number;
    readonly sandbox: string;
  }[];
  readonly ips: readonly {
    readonly address: string;
    readonly interface: number;
    readonly version?: '4' | '6';
  }[];
  readonly routes?: readonly { readonly dst: string; readonly gw?: string }[];
  readonly dns: Readonly<Record<string, never>>;
}

export interface CniError {
  readonly cniVersion: string;
  readonly code: number;
  readonly msg: string;
  readonly details?: string;
}

/** `result` undefined: success without an answer (DEL, CHECK, GC, STATUS). */
export type CniAnswer =
  | { readonly version: 1; readonly result: CniResult | undefined }
  | { readonly version: 1; readonly error: CniError };
