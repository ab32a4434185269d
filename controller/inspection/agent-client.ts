// The controller's way to the agents' node API: HTTPS with the API's client certificate (docs/interfaces.md
// "command line → node"). Agents show the certificate of their role, known by the name `agent`.

import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { text } from 'node:stream/consumers';
import type { Resource } from '../../lib/model/metadata.ts';
import { ApiError } from '../api/api-error.ts';
import { internalAddress } from '../api/node-address.ts';

export interface AgentClientOptions {
  readonly tls: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
  readonly port: number;
  /** Milliseconds until a connection is there, TLS apart; 5,000 if left out: a host that is off is told of soon. */
  readonly connectMs?: number;
  /** Milliseconds for the head of an answer, from the start; 10,000 if left out. What follows comes when it comes. */
  readonly answerMs?: number;
}

const CONNECT_MS = 5_000;
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
    const { name } = node.metadata;
    const message = `agent of ${name}: ${words ?? `status ${status}`}`;
    throw new ApiError('ServiceUnavailable', message, { name, kind: 'nodes' });
  }

  #open(name: string, host: string, path: string, signal: AbortSignal): Promise<IncomingMessage> {
    const { tls, port, connectMs = CONNECT_MS, answerMs = ANSWER_MS } = this.#options;
    return new Promise((resolve, reject) => {
      const fail = (why: string, cause?: unknown): void => {
        clearTimeout(connecting);
        clearTimeout(limit);
        const message = `the agent of ${name} at ${host}:${port} does not answer: ${why}`;
        reject(new ApiError('ServiceUnavailable', message, { name, kind: 'nodes' }, { cause }));
      };
      const outgoing = httpsRequest({ ...tls, host, port, path, servername: 'agent', agent: false, signal });
      const giveUp = (why: string, milliseconds: number): void => {
        fail(`${why} within ${milliseconds / 1000} s`);
        outgoing.destroy();
      };
      const connecting = setTimeout(() => giveUp('no connection', connectMs), connectMs);
      const limit = setTimeout(() => giveUp('it was connected and said nothing', answerMs), answerMs);
      outgoing.on('socket', (socket) => socket.once('connect', () => clearTimeout(connecting)));
      outgoing.on('response', (answer) => {
        clearTimeout(limit);
        resolve(answer);
      });
      outgoing.on('error', (cause) => fail(reasonOf(cause), cause));
      outgoing.end();
    });
  }
}

/** What the system's code means here; of TLS and other failures the words of who found them. */
function reasonOf(error: NodeJS.ErrnoException): string {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'nobody listens there';
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return 'its host is not reached';
    case 'ECONNRESET':
      return 'it ended the connection';
    default:
      return error.message;
  }
}

function errorOf(body: string): string | undefined {
  try {
    const { error } = JSON.parse(body) as { error?: unknown };
    return typeof error === 'string' ? error : undefined;
  } catch {
    return undefined;
  }
}
