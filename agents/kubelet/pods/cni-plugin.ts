// Calls the CNI plugin as a container runtime does (CNI 1.1.0 "Section 2: Execution Protocol"): environment and configuration
// in, a result or an error with a code out. STATUS and GC, which no pod waits for, go to our own agent's socket at once.

import { connect } from 'node:net';
import { z } from 'zod';
import { run } from '../../../lib/process/run.ts';
import { CNI_MAX_MESSAGE_BYTES, CNI_PROTOCOL_VERSION, CNI_TIMEOUT_MS } from '../../../lib/protocol/cni.ts';
import type { Sandbox } from '../runtime/container-runtime.ts';

export interface CniPluginOptions {
  /** Command that runs the plugin; asked anew for each call. */
  readonly command: () => readonly [string, ...string[]];
  readonly network: string;
  readonly socketPath: string;
  /** False for a plugin that is not ours: then STATUS is asked of the plugin. */
  readonly asksAgent: boolean;
}

export interface Attachment {
  readonly namespace: string;
  readonly pod: string;
  readonly podUid: string;
  readonly sandbox: Sandbox;
}

class CniError extends Error {
  override readonly name = 'CniError';
  readonly type: { readonly code: 'cni'; readonly cniCode: number };

  constructor(cniCode: number, message: string) {
    super(message);
    this.type = { code: 'cni', cniCode };
  }
}

const IF_NAME = 'eth0';
const CNI_VERSION = '1.1.0';
const STATUS_TIMEOUT_MS = 5000;
const GC_TIMEOUT_MS = 30_000;

const errorSchema = z.looseObject({ code: z.number(), msg: z.string(), details: z.string().optional() });
const resultSchema = z.looseObject({ ips: z.array(z.looseObject({ address: z.string() })).default([]) });

export class CniPlugin {
  readonly #options: CniPluginOptions;

  constructor(options: CniPluginOptions) {
    this.#options = options;
  }

  /** Addresses of the pod, without prefix length. Throws CniError. */
  async add(attachment: Attachment, signal: AbortSignal): Promise<readonly string[]> {
    const answer = await this.#call('ADD', this.#environment('ADD', attachment), signal);
    const result = resultSchema.safeParse(answer);
    if (!result.success) throw new CniError(6, "the CNI plugin's result cannot be read");
    return result.data.ips.map(({ address }) => address.replace(/\/\d+$/, ''));
  }

  /** Also for an attachment that is not there. Throws CniError. */
  async del(attachment: Attachment, signal: AbortSignal): Promise<void> {
    await this.#call('DEL', this.#environment('DEL', attachment), signal);
  }

  /** Releases every attachment of the network on this node that is not one of `sandboxIds`. Throws CniError. */
  async collectGarbage(sandboxIds: ReadonlySet<string>, signal: AbortSignal): Promise<void> {
    const attachments = [...sandboxIds].map((containerID) => ({ containerID, ifname: IF_NAME }));
    const more = { 'cni.dev/valid-attachments': attachments };
    if (this.#options.asksAgent) await this.#askAgent('GC', signal, GC_TIMEOUT_MS, more);
    else await this.#call('GC', {}, signal, more);
  }

  /** Undefined when the plugin takes work, else why not. */
  async status(signal: AbortSignal): Promise<string | undefined> {
    try {
      if (this.#options.asksAgent) await this.#askAgent('STATUS', signal, STATUS_TIMEOUT_MS);
      else await this.#call('STATUS', {}, signal);
      return undefined;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  #configuration(): object {
    return { cniVersion: CNI_VERSION, name: this.#options.network, type: 'calico' };
  }

  #environment(command: string, { namespace, pod, podUid, sandbox }: Attachment): Record<string, string> {
    const args = {
      IgnoreUnknown: '1',
      K8S_POD_NAMESPACE: namespace,
      K8S_POD_NAME: pod,
      K8S_POD_INFRA_CONTAINER_ID: sandbox.id,
      K8S_POD_UID: podUid,
    };
    return {
      CNI_COMMAND: command,
      CNI_CONTAINERID: sandbox.id,
      CNI_NETNS: sandbox.netns ?? '',
      CNI_IFNAME: IF_NAME,
      CNI_ARGS: Object.entries(args)
        .map(([name, value]) => `${name}=${value}`)
        .join(';'),
    };
  }

  async #call(
    command: string,
    environment: Record<string, string>,
    signal: AbortSignal,
    more: object = {},
  ): Promise<unknown> {
    const [program, ...args] = this.#options.command();
    const env = {
      ...process.env,
      CALICO_CNI_SOCKET: this.#options.socketPath,
      CNI_PATH: '/opt/cni/bin',
      CNI_COMMAND: command,
      ...environment,
    };
    const input = JSON.stringify({ ...this.#configuration(), ...more });
    const result = await run(program, args, { env, input, signal, timeoutMs: CNI_TIMEOUT_MS });
    const answer = parseJson(result.stdout);
    if (result.code === 0) return answer;
    const error = errorSchema.safeParse(answer);
    if (!error.success) {
      const said = result.stderr.trim().slice(0, 500);
      throw new CniError(100, `the CNI plugin failed without an answer${said === '' ? '' : `: ${said}`}`);
    }
    const { code, msg, details } = error.data;
    throw new CniError(code, details === undefined || details === '' ? msg : `${msg}: ${details}`);
  }

  async #askAgent(
    command: 'STATUS' | 'GC',
    signal: AbortSignal,
    timeoutMs: number,
    more: object = {},
  ): Promise<void> {
    const request = {
      version: CNI_PROTOCOL_VERSION,
      command,
      containerId: '',
      netns: '',
      ifName: '',
      args: '',
      config: JSON.stringify({ ...this.#configuration(), ...more }),
    };
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
    const answer = parseJson(await ask(this.#options.socketPath, `${JSON.stringify(request)}\n`, limit));
    const error = errorSchema.safeParse((answer as { error?: unknown } | undefined)?.error);
    if (error.success) throw new CniError(error.data.code, error.data.msg);
    if (answer === undefined) throw new CniError(11, 'the agent ended before it answered');
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** One line out, everything back. */
function ask(path: string, line: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, signal });
    let text = '';
    const away = (why: string): void => {
      socket.destroy();
      reject(new CniError(11, `the calico-node agent ${why} (${path})`));
    };
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.length > CNI_MAX_MESSAGE_BYTES) away('says too much');
    });
    socket.on('error', () => away(signal.aborted ? 'did not answer in time' : 'is not running'));
    socket.on('close', () => resolve(text));
    socket.write(line);
  });
}
