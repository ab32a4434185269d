// The controller's way to the agents' node API: HTTPS with the API's client certificate (docs/interfaces.md
// "command line → node"). Agents show the certificate of their role, known by the name `agent`.

import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { text } from 'node:stream/consumers';
import type { Resource } from '../../lib/model/metadata.ts';
import { ApiError } from '../api/api-error.ts';
import { at } from '../api/columns.ts';

export interface AgentClientOptions {
  readonly tls: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
  readonly port: number;
}

/** For the head of an answer; what follows comes when it comes. */
const ANSWER_MS = 10_000;

export class AgentClient {
  readonly #options: AgentClientOptions;

  constructor(options: AgentClientOptions) {
    this.#options = options;
  }

  /** The answer's head and its body to be read. Throws ApiError: away, or the agent's own words. */
  async get(node: Resource, path: string, signal: AbortSignal): Promise<IncomingMessage> {
    const host = internalAddress(node);
    const answer = await this.#open(node.metadata.name, host, path, signal);
    const status = answer.statusCode ?? 0;
    if (status === 200) return answer;
    const words = errorOf(await text(answer));
    throw new ApiError(
      'ServiceUnavailable',
      `agent of ${node.metadata.name}: ${words ?? `status ${status}`}`,
    );
  }

  #open(name: string, host: string, path: string, signal: AbortSignal): Promise<IncomingMessage> {
    const { tls, port } = this.#options;
    return new Promise((resolve, reject) => {
      const fail = (cause?: unknown): void =>
        reject(
          new ApiError(
            'ServiceUnavailable',
            `the agent of ${name} at ${host}:${port} does not answer`,
            undefined,
            {
              cause,
            },
          ),
        );
      const outgoing = httpsRequest({ ...tls, host, port, path, servername: 'agent', agent: false, signal });
      const limit = setTimeout(() => {
        fail();
        outgoing.destroy();
      }, ANSWER_MS);
      outgoing.on('response', (answer) => {
        clearTimeout(limit);
        resolve(answer);
      });
      outgoing.on('error', (cause) => {
        clearTimeout(limit);
        fail(cause);
      });
      outgoing.end();
    });
  }
}

function internalAddress(node: Resource): string {
  const addresses = (at(node, 'status.addresses') ?? []) as { type?: string; address?: string }[];
  const host = addresses.find(({ type }) => type === 'InternalIP')?.address;
  if (host !== undefined) return host;
  throw new ApiError('ServiceUnavailable', `node ${node.metadata.name} has not said its address yet`);
}

function errorOf(body: string): string | undefined {
  try {
    const { error } = JSON.parse(body) as { error?: unknown };
    return typeof error === 'string' ? error : undefined;
  } catch {
    return undefined;
  }
}
