// Client of a Kubernetes API server, ours or a real one: the kubelet, the `kubernetes` plugin and calicoctl speak through it.
// JSON over HTTPS with a client certificate; every call has a time limit and takes an AbortSignal.

import type { IncomingMessage } from 'node:http';
import { Agent, request as httpsRequest, type RequestOptions } from 'node:https';
import type { Resource } from '../model/metadata.ts';

export interface KubeClientOptions {
  /** `https://host:port`. */
  readonly server: string;
  /** PEM. */
  readonly ca: string | Buffer;
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  /** Name that the server's certificate must carry, if not the host of `server`. */
  readonly serverName?: string;
  readonly timeoutMs?: number;
}

/** Where a kind lives in the API: `{group: '', version: 'v1', plural: 'pods'}`. */
export interface KindPath {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
}
export const PODS: KindPath = { group: '', version: 'v1', plural: 'pods' };
export const NODES: KindPath = { group: '', version: 'v1', plural: 'nodes' };
export const NAMESPACES: KindPath = { group: '', version: 'v1', plural: 'namespaces' };
export const SERVICE_ACCOUNTS: KindPath = { group: '', version: 'v1', plural: 'serviceaccounts' };
export const EVENTS: KindPath = { group: '', version: 'v1', plural: 'events' };
export const SERVICES: KindPath = { group: '', version: 'v1', plural: 'services' };
export const SECRETS: KindPath = { group: '', version: 'v1', plural: 'secrets' };
export const ENDPOINT_SLICES: KindPath = {
  group: 'discovery.k8s.io',
  version: 'v1',
  plural: 'endpointslices',
};
export const NETWORK_POLICIES: KindPath = {
  group: 'networking.k8s.io',
  version: 'v1',
  plural: 'networkpolicies',
};
export const CLUSTER_NETWORK_POLICIES: KindPath = {
  group: 'policy.networking.k8s.io',
  version: 'v1alpha2',
  plural: 'clusternetworkpolicies',
};
export const LEASES: KindPath = { group: 'coordination.k8s.io', version: 'v1', plural: 'leases' };

export type KubeErrorType =
  /** The server answered with a Status; `details` where it says which object it is about. */
  | {
      readonly code: 'status';
      readonly status: number;
      readonly reason: string;
      readonly details?: StatusObject;
    }
  | { readonly code: 'unavailable' }
  | { readonly code: 'timeout' }
  | { readonly code: 'aborted' };

/** Of `Status.details`. */
export interface StatusObject {
  /** The plural, in lower case. */
  readonly kind?: string;
  readonly name?: string;
}

export class KubeError extends Error {
  readonly type: KubeErrorType;

  constructor(type: KubeErrorType, message: string, options?: { readonly cause?: unknown }) {
    super(message, options);
    this.name = 'KubeError';
    this.type = type;
  }
}

/** Whether an error is the server's answer with that HTTP status. */
export function isStatus(error: unknown, status: number): boolean {
  return error instanceof KubeError && error.type.code === 'status' && error.type.status === status;
}

export interface KubeList {
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
  readonly items: Resource[];
}

export interface CallOptions {
  readonly query?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Milliseconds for the head of the answer, and for its body; the client's when left out. */
  readonly timeoutMs?: number;
  /** Called for each `Warning` of the answer. */
  readonly onWarning?: (text: string) => void;
}

const DEFAULT_TIMEOUT_MS = 10_000;
const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

export class KubeClient {
  readonly #options: KubeClientOptions;
  readonly #agent: Agent;
  readonly #base: URL;

  constructor(options: KubeClientOptions) {
    this.#options = options;
    this.#base = new URL(options.server);
    this.#agent = new Agent({ keepAlive: true, maxSockets: 64 });
  }

  get #timeoutMs(): number {
    return this.#options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  }

  /** Ends idle connections; calls under way end by their signals. */
  close(): void {
    this.#agent.destroy();
  }

  static path(kind: KindPath, namespace?: string, name?: string, subresource?: string): string {
    const root = kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
    const scope =
      namespace === undefined || namespace === '' ? '' : `/namespaces/${encodeURIComponent(namespace)}`;
    const tail = [kind.plural, name, subresource]
      .filter((part) => part !== undefined)
      .map(encodeURIComponent);
    return `${root}${scope}/${tail.join('/')}`;
  }

  async get(
    kind: KindPath,
    namespace: string | undefined,
    name: string,
    options: CallOptions = {},
  ): Promise<Resource> {
    return (await this.call('GET', KubeClient.path(kind, namespace, name), undefined, options)) as Resource;
  }

  /** Undefined where `get` would answer 404. */
  async find(
    kind: KindPath,
    namespace: string | undefined,
    name: string,
    options: CallOptions = {},
  ): Promise<Resource | undefined> {
    try {
      return await this.get(kind, namespace, name, options);
    } catch (error) {
      if (isStatus(error, 404)) return undefined;
      throw error;
    }
  }

  async list(kind: KindPath, namespace?: string, options: CallOptions = {}): Promise<KubeList> {
    return (await this.call('GET', KubeClient.path(kind, namespace), undefined, options)) as KubeList;
  }

  async create(
    kind: KindPath,
    namespace: string | undefined,
    object: object,
    options: CallOptions = {},
  ): Promise<Resource> {
    return (await this.call('POST', KubeClient.path(kind, namespace), object, options)) as Resource;
  }

  /** PUT of the whole object; with a resourceVersion a concurrent change gives 409. */
  async replace(
    kind: KindPath,
    object: Resource,
    options: CallOptions & { readonly subresource?: string } = {},
  ): Promise<Resource> {
    const { namespace, name } = object.metadata;
    return (await this.call(
      'PUT',
      KubeClient.path(kind, namespace, name, options.subresource),
      object,
      options,
    )) as Resource;
  }

  /** JSON merge patch. */
  async patch(
    kind: KindPath,
    namespace: string | undefined,
    name: string,
    patch: object,
    options: CallOptions & { readonly subresource?: string } = {},
  ): Promise<Resource> {
    const path = KubeClient.path(kind, namespace, name, options.subresource);
    return (await this.call('PATCH', path, patch, options, 'application/merge-patch+json')) as Resource;
  }

  async delete(
    kind: KindPath,
    namespace: string | undefined,
    name: string,
    body: { readonly gracePeriodSeconds?: number; readonly preconditions?: { readonly uid?: string } } = {},
    options: CallOptions = {},
  ): Promise<void> {
    await this.call('DELETE', KubeClient.path(kind, namespace, name), body, options);
  }

  /** One request with a JSON answer. Throws KubeError. */
  async call(
    method: string,
    path: string,
    body: object | undefined,
    options: CallOptions = {},
    contentType = 'application/json',
  ): Promise<unknown> {
    const response = await this.#open(method, path, body, options, contentType);
    if (options.onWarning !== undefined)
      for (const text of warningsOf(response.headers['warning'])) options.onWarning(text);
    return parseJson(await this.#answer(response, method, path, options));
  }

  /** The whole answer to a GET as text. Throws KubeError. */
  async text(path: string, options: CallOptions = {}): Promise<string> {
    const response = await this.#open('GET', path, undefined, options, 'application/json');
    return this.#answer(response, 'GET', path, options);
  }

  async #answer(
    response: IncomingMessage,
    method: string,
    path: string,
    options: CallOptions,
  ): Promise<string> {
    const chunks: Buffer[] = [];
    let size = 0;
    const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
    const limit = setTimeout(() => response.destroy(lateError(method, path)), timeoutMs);
    try {
      for await (const chunk of response as AsyncIterable<Buffer>) {
        size += chunk.length;
        if (size > MAX_ANSWER_BYTES)
          throw new KubeError({ code: 'unavailable' }, 'the answer of the API is too large');
        chunks.push(chunk);
      }
    } catch (cause) {
      throw this.#failure(cause, options.signal);
    } finally {
      clearTimeout(limit);
    }
    const text = Buffer.concat(chunks).toString('utf8');
    const status = response.statusCode ?? 0;
    if (status >= 300) throw statusError(status, text);
    return text;
  }

  /** Lines of a watch as they come; ends when the server ends it. Idle time is not limited here. */
  async *stream(path: string, options: CallOptions): AsyncGenerator<unknown> {
    const response = await this.#open('GET', path, undefined, options, 'application/json');
    const status = response.statusCode ?? 0;
    let pending = '';
    try {
      for await (const chunk of response.setEncoding('utf8') as AsyncIterable<string>) {
        pending += chunk;
        if (status >= 300) continue;
        if (pending.length > MAX_ANSWER_BYTES)
          throw new KubeError({ code: 'unavailable' }, 'a line of the watch is too long');
        const lines = pending.split('\n');
        pending = lines.pop() ?? '';
        for (const line of lines) if (line !== '') yield parseJson(line);
      }
    } catch (cause) {
      throw this.#failure(cause, options.signal);
    } finally {
      response.destroy();
    }
    if (status >= 300) throw statusError(status, pending);
  }

  async #open(
    method: string,
    path: string,
    body: object | undefined,
    options: CallOptions,
    contentType: string,
  ): Promise<IncomingMessage> {
    const query = new URLSearchParams(options.query).toString();
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const { ca, cert, key, serverName } = this.#options;
    const requestOptions: RequestOptions = {
      method,
      host: this.#base.hostname,
      port: this.#base.port,
      path: query === '' ? path : `${path}?${query}`,
      agent: this.#agent,
      ca,
      cert,
      key,
      ...(serverName === undefined ? {} : { servername: serverName }),
      headers: {
        accept: 'application/json',
        ...(payload === undefined ? {} : { 'content-type': contentType, 'content-length': payload.length }),
      },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    };
    return new Promise((resolve, reject) => {
      const request = httpsRequest(requestOptions);
      // The answer's head has a limit; what a watch says after it comes when it comes.
      const timeoutMs = options.timeoutMs ?? this.#timeoutMs;
      const limit = setTimeout(() => request.destroy(lateError(method, path)), timeoutMs);
      request.on('response', (response) => {
        clearTimeout(limit);
        resolve(response);
      });
      request.on('error', (cause) => {
        clearTimeout(limit);
        reject(this.#failure(cause, options.signal));
      });
      request.end(payload);
    });
  }

  #failure(cause: unknown, signal: AbortSignal | undefined): KubeError {
    if (cause instanceof KubeError) return cause;
    if (signal?.aborted === true)
      return new KubeError({ code: 'aborted' }, 'the request was aborted', { cause });
    return new KubeError({ code: 'unavailable' }, `the API at ${this.#options.server} does not answer`, {
      cause,
    });
  }
}

/** Of a header `299 - "text", 299 - "another"` (RFC 9110 5.6.4: a quoted character has a backslash). */
function warningsOf(header: string | undefined): readonly string[] {
  const quoted = header?.match(/"(?:[^"\\]|\\.)*"/g) ?? [];
  return quoted.map((text) => text.slice(1, -1).replaceAll(/\\(.)/g, '$1'));
}

function lateError(method: string, path: string): KubeError {
  return new KubeError({ code: 'timeout' }, `the API did not answer ${method} ${path} in time`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new KubeError({ code: 'unavailable' }, 'the answer of the API is not JSON', { cause });
  }
}

function statusError(status: number, text: string): KubeError {
  let body: { reason?: string; message?: string; details?: StatusObject } = {};
  try {
    body = JSON.parse(text) as typeof body;
  } catch {
    // Something on the way answered in its own words.
  }
  const { reason = 'Unknown', message = `the API answered ${status}`, details } = body;
  return new KubeError(
    { code: 'status', status, reason, ...(details === undefined ? {} : { details }) },
    message,
  );
}
