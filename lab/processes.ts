// The programs of a lab: which run on every node and which on the fabric beside etcd, how each is called and how one sees
// that it is ready. Adding a program to the lab is adding a row here.

import { join } from 'node:path';
import { hostPaths } from '../lib/config/paths.ts';
import type { ReadyWhen } from '../lib/process/service.ts';

/** What a row may use to build its command. */
export interface ProcessContext {
  /** The host's name; "fabric" for programs that run beside etcd. */
  readonly host: string;
  readonly address: string;
  readonly address6: string;
  /** The host's state directory; all of a program's paths derive from it. */
  readonly stateDir: string;
  readonly etcdEndpoint: string;
  /** Redis with the cluster's event stream. */
  readonly redisUrl: string;
  /** `https://address:port` of the controller's API. */
  readonly apiServer: string;
  /** Folder of certificates, one folder a role (lib/certificates). */
  readonly certificates: string;
  /** Command that runs one of the repository's programs, e.g. `program('agents/node/main')`. */
  readonly program: (path: string) => readonly [string, ...string[]];
}

export interface ProcessRow {
  readonly name: string;
  readonly argv: (context: ProcessContext) => readonly [string, ...string[]];
  readonly env?: (context: ProcessContext) => Readonly<Record<string, string>>;
  readonly readyWhen: (context: ProcessContext) => ReadyWhen;
  readonly readyTimeoutMs?: number;
}

/** Under the names that each program gives its settings, e.g. ca-file or etcd-cert-file. */
function certificateFlags(context: ProcessContext, role: string, prefix = ''): readonly string[] {
  const folder = join(context.certificates, role);
  const ca = prefix === 'etcd-' ? 'ca-cert-file' : 'ca-file';
  return [
    ...[`--${prefix}${ca}`, join(folder, 'ca.pem')],
    ...[`--${prefix}cert-file`, join(folder, 'cert.pem')],
    ...[`--${prefix}key-file`, join(folder, 'key.pem')],
  ];
}

function etcdFlags(context: ProcessContext, role: string): readonly string[] {
  return [
    ...['--etcd-endpoints', context.etcdEndpoint, '--etcd-server-name', 'etcd'],
    ...certificateFlags(context, role, 'etcd-'),
  ];
}

function redisFlags(context: ProcessContext): readonly string[] {
  return ['--redis-url', context.redisUrl, ...certificateFlags(context, 'redis-client', 'redis-')];
}

/** On a machine that is busy with something else; a quiet one needs a second. */
const READY_MS = 60_000;

/** Ready when it says so in its log. */
function logs(message: string): ReadyWhen {
  return { kind: 'line', matches: (line) => line.includes(`"message":"${message}"`) };
}

const BGPD: ProcessRow = {
  name: 'bgpd',
  argv: ({ program, stateDir, host }) => [
    ...program('agents/bgp/main'),
    ...['--state-dir', stateDir, '--host', host],
  ],
  readyWhen: () => logs('ready'),
  readyTimeoutMs: READY_MS,
};

/**
 * As in images (docker/services/agent/run). By itself V8 lets the room for young objects grow to 128 MB over the garbage of a start,
 * and keeps it; a start takes no longer with less.
 */
export const AGENT_NODE_OPTIONS = ['--max-semi-space-size=8'];

function withNodeOptions(
  [node, ...args]: readonly [string, ...string[]],
  options: readonly string[],
): readonly [string, ...string[]] {
  return [node, ...options, ...args];
}

const AGENT: ProcessRow = {
  name: 'agent',
  argv: (context) => [
    ...withNodeOptions(context.program('agents/node/main'), AGENT_NODE_OPTIONS),
    ...['--node-name', context.host, '--state-dir', context.stateDir],
    ...['--api-server', context.apiServer, '--ipv4-pool-cidr', LAB_POOL],
    ...etcdFlags(context, 'etcd-agent'),
    ...redisFlags(context),
    ...certificateFlags(context, 'node'),
  ],
  readyWhen: () => logs('agent started'),
  readyTimeoutMs: READY_MS,
};

const KUBELET: ProcessRow = {
  name: 'kubelet',
  argv: (context) => [
    ...context.program('agents/kubelet/main'),
    ...['--node-name', context.host, '--state-dir', join(context.stateDir, 'kubelet')],
    ...['--cni-socket', hostPaths(context.stateDir).cniSocket],
    ...['--event-socket', hostPaths(context.stateDir).eventSocket],
    ...['--api-server', context.apiServer],
    ...certificateFlags(context, 'node'),
  ],
  readyWhen: () => logs('kubelet started'),
  readyTimeoutMs: READY_MS,
};

/** `flags` are added to those of the lab, e.g. to leave a part to a process of its own. */
function controllerRow(
  name: string,
  flags: (context: ProcessContext) => readonly string[],
  readyWhen: ReadyWhen,
): ProcessRow {
  return {
    name,
    argv: (context) => [
      ...context.program('controller/main'),
      ...['--name', name, '--listen-address', context.address],
      ...['--node-grace-seconds', '10', '--node-removal-seconds', '60'],
      ...etcdFlags(context, 'etcd-controller'),
      ...redisFlags(context),
      ...certificateFlags(context, 'api'),
      ...['--client-cert-file', join(context.certificates, 'controller/cert.pem')],
      ...['--client-key-file', join(context.certificates, 'controller/key.pem')],
      ...flags(context),
    ],
    readyWhen: () => readyWhen,
    readyTimeoutMs: READY_MS,
  };
}

const CONTROLLER = controllerRow('controller', () => [], logs('api listens'));

/** The kubernetes plugin in a process of its own, so that it can be frozen alone. */
const PARTS = ['namespaces', 'scheduler', 'nodes', 'endpoints', 'hostendpoints', 'gc'];
const CONTROLLER_WITHOUT_PLUGIN = controllerRow(
  'controller',
  () => ['--enabled-controllers', PARTS.join(',')],
  logs('api listens'),
);
const PLUGIN = controllerRow(
  'plugin',
  ({ apiServer }) => [
    ...['--no-serve-api', '--api-server', apiServer],
    ...['--election', 'plugin', '--enabled-controllers', 'kubernetes'],
  ],
  logs('elected leader'),
);

/** Keeps nothing on disk: what it holds is a copy of what hosts have said. */
const REDIS: ProcessRow = {
  name: 'redis',
  argv: (context) => {
    const folder = join(context.certificates, 'redis');
    return [
      'redis-server',
      ...['--port', '0', '--tls-port', new URL(context.redisUrl).port, '--bind', context.address],
      ...['--tls-ca-cert-file', join(folder, 'ca.pem')],
      ...['--tls-cert-file', join(folder, 'cert.pem'), '--tls-key-file', join(folder, 'key.pem')],
      ...['--save', '', '--appendonly', 'no', '--dir', context.stateDir],
      // Certificates keep others out; without a password "protected mode" would let nobody in.
      ...['--protected-mode', 'no'],
    ];
  },
  readyWhen: () => ({ kind: 'line', matches: (line) => line.includes('Ready to accept connections') }),
};

/** The pool that the first node makes. */
const LAB_POOL = '10.65.0.0/16';

/** Run on every node; started side by side, stopped one by one, the last one first. */
export const NODE_PROCESSES: readonly ProcessRow[] = [BGPD, AGENT, KUBELET];

/** Run once, on the fabric's service address, after etcd. */
export const FABRIC_PROCESSES: readonly ProcessRow[] = [REDIS, CONTROLLER];

/** As FABRIC_PROCESSES, with the kubernetes plugin as a process called `plugin`. */
export const FABRIC_PROCESSES_WITH_PLUGIN_APART: readonly ProcessRow[] = [
  REDIS,
  CONTROLLER_WITHOUT_PLUGIN,
  PLUGIN,
];

/** Whether the repository's programs run compiled (as in images) or straight from their sources. */
export type ProgramForm = 'dist' | 'source';

/** Builds `ProcessContext.program` for a package root and form. */
export function programCommand(
  packageRoot: string,
  form: ProgramForm,
  node: string,
): ProcessContext['program'] {
  return (path) =>
    form === 'dist'
      ? [node, join(packageRoot, 'dist', `${path}.js`)]
      : [node, join(packageRoot, `${path}.ts`)];
}
