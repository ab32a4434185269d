// The agent's end of the reader thread: one request at a time; a thread that ends or does not answer is started again with the
// next request.

import { Worker } from 'node:worker_threads';
import type { FlowReading } from './flow-deltas.ts';

export interface ReaderThreadData {
  /** Path of a network namespace, for tests; the process's own if left out. */
  readonly networkNamespace: string | undefined;
}

export interface ReadRequest {
  readonly id: number;
  readonly epochs: readonly number[];
  /** Of epochs up to this one somebody may have told already. */
  readonly repeatedUpTo: number;
  /** Ends of allowed flows, with what they have sent, are wanted from now on. */
  readonly withEnds: boolean;
}

export type ReadResponse =
  | { readonly id: number; readonly reading: FlowReading }
  | { readonly id: number; readonly error: string };

export interface FlowReaderOptions {
  /** Path of the thread's program (reader-thread.ts beside this file, or what it was compiled to). */
  readonly program: string;
  readonly networkNamespace?: string;
  /** Milliseconds for one reading; 10 s if left out. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 10_000;

export class FlowReader {
  readonly #options: FlowReaderOptions;
  /** Made by the first reading. */
  #worker: Worker | undefined;
  #nextId = 1;
  /** The thread now has read before: it tells differences. */
  #hasRead = false;
  #isFirstThread = true;
  #isStopped = false;
  /** Ends the request under way. */
  #fail: (error: Error) => void = () => {};

  constructor(options: FlowReaderOptions) {
    this.#options = options;
  }

  /** `adoptedUpTo`: the last epoch of earlier agents. Rejects with an Error; the next call tries anew. */
  async read(epochs: readonly number[], adoptedUpTo: number, withEnds: boolean): Promise<FlowReading> {
    if (this.#isStopped) throw new Error('the flow reader is stopped');
    this.#worker ??= this.#create();
    const worker = this.#worker;
    const id = this.#nextId++;
    const newest = Math.max(0, ...epochs);
    const repeatedUpTo = this.#hasRead ? 0 : this.#isFirstThread ? adoptedUpTo : newest;
    const { timeoutMs = TIMEOUT_MS } = this.#options;
    const response = await new Promise<ReadResponse>((resolve, reject) => {
      const limit = setTimeout(() => this.#fail(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
      const onMessage = (message: ReadResponse): void => {
        if (message.id === id) settle(() => resolve(message));
      };
      const settle = (end: () => void): void => {
        clearTimeout(limit);
        worker.off('message', onMessage);
        this.#fail = () => {};
        end();
      };
      this.#fail = (error) => {
        void this.#drop();
        settle(() => reject(error));
      };
      worker.on('message', onMessage);
      worker.postMessage({ id, epochs, repeatedUpTo, withEnds } satisfies ReadRequest);
    });
    if ('error' in response) throw new Error(response.error);
    this.#hasRead = true;
    return response.reading;
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#fail(new Error('the flow reader is stopped'));
    await this.#drop();
  }

  #create(): Worker {
    const data: ReaderThreadData = { networkNamespace: this.#options.networkNamespace };
    const worker = new Worker(this.#options.program, { workerData: data });
    worker.unref();
    const ended = (error: Error): void => {
      if (this.#worker === worker) this.#fail(error);
      if (this.#worker === worker) void this.#drop();
    };
    worker.on('error', ended);
    worker.on('exit', (code) => ended(new Error(`the reader thread ended with code ${code}`)));
    return worker;
  }

  async #drop(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#hasRead = false;
    this.#isFirstThread = false;
    await worker?.terminate();
  }
}
