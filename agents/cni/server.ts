// Listens on the agent's CNI socket: one request line, one answer line, then closed. The socket's folder is root's alone.

import { chmod, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import type { Startable } from '../../lib/lifecycle/startable.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import {
  CNI_MAX_MESSAGE_BYTES,
  CNI_TIMEOUT_MS,
  type CniAnswer,
  CniErrorCode,
  type CniRequest,
} from '../../lib/protocol/cni.ts';
import { toCniError } from './failure.ts';
import type { CniHandler } from './handler.ts';
import { decodeRequest } from './request.ts';

export interface CniServerOptions {
  readonly socketPath: string;
  readonly handler: CniHandler;
  readonly logger: Logger;
  /** Requests at a time; the rest is told to try again. */
  readonly maxConcurrent?: number;
  /** How long a caller may take to send its one line; 10 s if left out. */
  readonly requestMs?: number;
}

const REQUEST_MS = 10_000;

export class CniServer implements Startable {
  readonly #options: CniServerOptions;
  readonly #server: Server;
  readonly #sockets = new Map<Socket, AbortController>();
  /** Commands under way: an ADD that is cut off still undoes what it did. */
  readonly #running = new Set<Promise<void>>();

  constructor(options: CniServerOptions) {
    this.#options = options;
    this.#server = createServer((socket) => this.#serve(socket));
  }

  async start(): Promise<void> {
    const { socketPath } = this.#options;
    await rm(socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(socketPath, resolve);
    });
    await chmod(socketPath, 0o600);
  }

  /** Cuts off what is under way and waits until it has been undone (bounded by the handler's own limits). */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const [socket, aborting] of this.#sockets) {
      aborting.abort();
      socket.destroy();
    }
    await closed;
    await Promise.allSettled(this.#running);
  }

  #serve(socket: Socket): void {
    const aborting = new AbortController();
    this.#sockets.set(socket, aborting);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      // The plugin went away (its runtime lost patience): what is under way is undone.
      aborting.abort();
      this.#sockets.delete(socket);
    });
    if (this.#sockets.size > (this.#options.maxConcurrent ?? 256)) {
      answer(socket, failure(CniErrorCode.tryAgainLater, 'too many CNI requests at a time'));
      return;
    }
    this.#readLine(socket, (line) => {
      const running = this.#answer(socket, line, aborting.signal);
      this.#running.add(running);
      void running.finally(() => this.#running.delete(running));
    });
  }

  #readLine(socket: Socket, onLine: (line: string) => void): void {
    let text = '';
    socket.setTimeout(this.#options.requestMs ?? REQUEST_MS, () => socket.destroy());
    socket.setEncoding('utf8');
    const onData = (chunk: string): void => {
      text += chunk;
      const end = text.indexOf('\n');
      const isTooLarge = text.length > CNI_MAX_MESSAGE_BYTES;
      if (end < 0 && !isTooLarge) return;
      socket.off('data', onData);
      socket.setTimeout(0);
      // Whatever else comes is read and dropped, so that the caller sees the answer and not a reset.
      socket.resume();
      if (isTooLarge) answer(socket, failure(CniErrorCode.decodeFailure, 'the request is too large'));
      else onLine(text.slice(0, end));
    };
    socket.on('data', onData);
  }

  async #answer(socket: Socket, line: string, closed: AbortSignal): Promise<void> {
    let request: CniRequest;
    try {
      request = decodeRequest(line);
    } catch (error) {
      answer(socket, { version: 1, error: toCniError(error, '1.0.0') });
      return;
    }
    const signal = AbortSignal.any([closed, AbortSignal.timeout(CNI_TIMEOUT_MS)]);
    answer(socket, await this.#options.handler.handle(request, signal));
  }
}

function failure(code: number, msg: string): CniAnswer {
  return { version: 1, error: { cniVersion: '1.0.0', code, msg } };
}

function answer(socket: Socket, value: CniAnswer): void {
  if (!socket.destroyed) socket.end(`${JSON.stringify(value)}\n`);
}
