// The Kubernetes-shaped API server: HTTPS with client certificates, discovery, the verbs on objects, and the relay to
// nodes (docs/api.md). An unmodified kubectl is its measure.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request as httpsRequest, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Logger } from '../../lib/logging/logger.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { type Inspection, isInspectionPath } from '../inspection/inspection.ts';
import type { ControllerMetrics } from '../metrics.ts';
import { ApiError } from './api-error.ts';
import type { ApiKind, Verb } from './api-kind.ts';
import { parseBody } from './body.ts';
import { at } from './columns.ts';
import {
  AGGREGATED_TYPE,
  aggregatedDiscovery,
  coreVersions,
  findGroup,
  groupList,
  resourceList,
} from './discovery.ts';
import {
  type Attributes,
  authenticate,
  authorize,
  authorizePodWrite,
  isNode,
  type User,
} from './identity.ts';
import { joinSockets, kubeletAddress, openToNode } from './node-relay.ts';
import { findApiKind } from './registry.ts';
import { contentType, isTrue, parseResourcePath, type ResourceRequest, readBody } from './request.ts';
import {
  type Call,
  type HandlerContext,
  handleBinding,
  handleCreate,
  handleDelete,
  handleEviction,
  handleGet,
  handlePatch,
  handleUpdate,
} from './resource-handlers.ts';
import { sendError, sendJson, sendText, toApiError } from './responder.ts';
import { reviewSelf } from './reviews.ts';
import { authorizeSecretRead } from './secret-access.ts';

export interface ApiServerOptions extends HandlerContext {
  readonly logger: Logger;
  readonly address: string;
  /** 0: any free port. */
  readonly port: number;
  readonly tls: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
  readonly version: string;
  readonly metrics: ControllerMetrics;
  /** Answers under `calico-ts.dev`. */
  readonly inspection: Inspection;
  /** Whether it can do its work: etcd answers and the watches are up. */
  readonly isReady: () => Promise<boolean>;
}

const MAX_CONNECTIONS = 10_000;
const KEEP_ALIVE_MS = 120_000;
const NODE_SUBRESOURCES = new Set(['log', 'exec', 'attach', 'portforward']);
const REVIEW = /^\/apis\/(authentication|authorization)\.k8s\.io\/v1\/(selfsubject\w*reviews)$/;
const REVIEW_KINDS: Readonly<Record<string, string>> = {
  selfsubjectreviews: 'SelfSubjectReview',
  selfsubjectaccessreviews: 'SelfSubjectAccessReview',
  selfsubjectrulesreviews: 'SelfSubjectRulesReview',
};

export class ApiServer {
  readonly #options: ApiServerOptions;
  readonly #server: Server;
  readonly #sockets = new Set<Socket | Duplex>();

  constructor(options: ApiServerOptions) {
    this.#options = options;
    this.#server = createServer({
      ...options.tls,
      requestCert: true,
      // Unknown callers get a Status with 401 and a sentence, not a broken handshake.
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
    });
    this.#server.maxConnections = MAX_CONNECTIONS;
    // Longer than clients keep theirs: so the client closes, and never writes to one that is just being closed.
    this.#server.keepAliveTimeout = KEEP_ALIVE_MS;
    this.#server.on('request', (request, response) => void this.#handle(request, response));
    this.#server.on('upgrade', (request, socket, head) => void this.#upgrade(request, socket, head));
    this.#server.on('connection', (socket) => this.#track(socket));
    this.#server.on('secureConnection', (socket) => this.#track(socket));
    this.#server.on('tlsClientError', (error, socket) => {
      options.logger.debug('tls handshake failed', { error });
      socket.destroy();
    });
  }

  async start(): Promise<{ readonly port: number }> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.#options.port, this.#options.address, () => {
        this.#server.off('error', reject);
        resolve();
      });
    });
    return { port: (this.#server.address() as AddressInfo).port };
  }

  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #track(socket: Socket | Duplex): void {
    this.#sockets.add(socket);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
  }

  get connections(): number {
    return this.#server.listening ? this.#sockets.size : 0;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.on('error', () => response.destroy());
    response.on('close', () =>
      this.#options.metrics.countRequest(request.method ?? 'GET', response.statusCode),
    );
    try {
      await this.#dispatch(request, response);
    } catch (error) {
      const apiError = toApiError(error);
      if (apiError.code >= 500) this.#options.logger.warn('request failed', { path: request.url, error });
      sendError(response, apiError);
    }
  }

  async #dispatch(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = urlOf(request);
    if (await this.#answerOpenPath(url.pathname, response)) return;
    const user = this.#authenticate(request);
    if (url.pathname === '/metrics') return this.#answerMetrics(response);
    if (this.#answerDiscovery(url.pathname, request, response)) return;
    if (REVIEW.test(url.pathname)) return this.#answerReview(url.pathname, request, response, user);
    if (isInspectionPath(url.pathname)) {
      authorize(user, inspectionAttributes(url.pathname, request.method ?? 'GET'));
      return this.#options.inspection.handle(url, request, response);
    }
    const resource = parseResourcePath(url.pathname);
    if (resource === undefined)
      throw new ApiError('NotFound', 'the server could not find the requested resource');
    const call: Call = { ...resource, user, request, response, query: url.searchParams };
    authorize(user, attributesOf(call, request.method ?? 'GET'));
    const isPodWrite = call.kind.kind === 'Pod' && call.name !== undefined && request.method !== 'GET';
    if (isPodWrite && isNode(user))
      authorizePodWrite(user, await this.#options.store.get(call.kind, call.namespace, call.name ?? ''));
    if (call.kind.kind === 'Secret' && isNode(user))
      await authorizeSecretRead(this.#options.store.datastore, call.name ?? '');
    await this.#serve(call);
  }

  async #answerOpenPath(path: string, response: ServerResponse): Promise<boolean> {
    if (path === '/version') {
      const [major = '0', minor = '0'] = this.#options.version.split('.');
      sendJson(response, 200, {
        major,
        minor,
        gitVersion: `v${this.#options.version}`,
        platform: `linux/${process.arch}`,
      });
      return true;
    }
    if (path === '/livez') sendText(response, 200, 'ok');
    else if (path === '/healthz' || path === '/readyz') {
      const ready = await this.#options.isReady();
      sendText(response, ready ? 200 : 503, ready ? 'ok' : 'etcd does not answer');
    } else return false;
    return true;
  }

  #authenticate(request: IncomingMessage): User {
    const user = authenticate(request.socket as TLSSocket);
    if (user === undefined) throw new ApiError('Unauthorized', 'Unauthorized');
    if (Object.keys(request.headers).some((name) => name.startsWith('impersonate-')))
      throw new ApiError(
        'Forbidden',
        'impersonation is not served: commands run with the rights of the caller only',
      );
    return user;
  }

  #answerDiscovery(path: string, request: IncomingMessage, response: ServerResponse): boolean {
    const accept = request.headers.accept ?? '';
    const aggregated = /as=APIGroupDiscoveryList/.test(accept) && /v=v2(?![a-z0-9])/.test(accept);
    if (path === '/api' || path === '/apis') {
      const root = path === '/api' ? 'api' : 'apis';
      if (aggregated) sendJson(response, 200, aggregatedDiscovery(root), AGGREGATED_TYPE);
      else sendJson(response, 200, root === 'api' ? coreVersions() : groupList());
      return true;
    }
    if (path === '/openapi/v2') {
      // Zero bytes parse as an empty document, after which kubectl leaves checking to the server.
      response.writeHead(200, {
        'content-type': 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf',
        vary: 'Accept',
      });
      response.end();
      return true;
    }
    const found = groupDiscovery(path);
    if (found !== undefined) sendJson(response, 200, found);
    return found !== undefined;
  }

  async #answerMetrics(response: ServerResponse): Promise<void> {
    const { type, text } = await this.#options.metrics.render();
    response.writeHead(200, { 'content-type': type });
    response.end(text);
  }

  async #answerReview(
    path: string,
    request: IncomingMessage,
    response: ServerResponse,
    user: User,
  ): Promise<void> {
    if (request.method !== 'POST') throw new ApiError('MethodNotAllowed', 'reviews are only posted');
    const [, area, plural = ''] = REVIEW.exec(path) ?? [];
    const kind = REVIEW_KINDS[plural];
    if (kind === undefined)
      throw new ApiError('NotFound', 'the server could not find the requested resource');
    const body = parseBody(await readBody(request), contentType(request), `api.${area ?? ''}.v1.${kind}`);
    sendJson(response, 201, reviewSelf(kind, body as Record<string, unknown>, user));
  }

  async #serve(call: Call): Promise<void> {
    const { subresource, request } = call;
    const method = request.method ?? 'GET';
    if (subresource !== undefined && NODE_SUBRESOURCES.has(subresource)) return this.#relay(call);
    if (subresource === 'binding' && method === 'POST') return handleBinding(this.#options, call);
    if (subresource === 'eviction' && method === 'POST') return handleEviction(this.#options, call);
    if (subresource !== undefined && !isStoreSubresource(call.kind, subresource))
      throw new ApiError('NotFound', 'the server could not find the requested resource');
    switch (method) {
      case 'GET':
        return handleGet(this.#options, call);
      case 'POST':
        if (call.name === undefined) return handleCreate(this.#options, call);
        break;
      case 'PUT':
        return handleUpdate(this.#options, call);
      case 'PATCH':
        return handlePatch(this.#options, call);
      case 'DELETE':
        if (call.name !== undefined && subresource === undefined) return handleDelete(this.#options, call);
        break;
    }
    throw new ApiError('MethodNotAllowed', 'the server does not allow this method on the requested resource');
  }

  /** Plain HTTP to the node: logs, and the answers of refused upgrades. */
  async #relay(call: Call): Promise<void> {
    const { request, response } = call;
    const node = await this.#nodeOf(call);
    const { host, port } = kubeletAddress(node);
    const { ca, cert, key } = this.#options.tls;
    const headers = { accept: request.headers.accept ?? '*/*' };
    await new Promise<void>((resolve, reject) => {
      const options = {
        host,
        port,
        path: request.url,
        method: request.method,
        headers,
        ca,
        cert,
        key,
        servername: 'kubelet',
      };
      const outgoing = httpsRequest(options, (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
        answer.on('error', () => response.destroy());
        answer.on('close', resolve);
      });
      outgoing.setTimeout(10_000, () => {
        if (!response.headersSent) outgoing.destroy();
      });
      outgoing.on('error', (cause) =>
        reject(
          new ApiError(
            'ServiceUnavailable',
            `the kubelet of ${node.metadata.name} does not answer`,
            undefined,
            { cause },
          ),
        ),
      );
      response.on('close', () => outgoing.destroy());
      outgoing.end();
    });
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => socket.destroy());
    try {
      const url = urlOf(request);
      const user = this.#authenticate(request);
      const resource = parseResourcePath(url.pathname);
      if (resource?.subresource === undefined || !NODE_SUBRESOURCES.has(resource.subresource))
        throw new ApiError('NotFound', 'the server could not find the requested resource');
      authorize(user, attributesOf({ ...resource, query: url.searchParams }, 'POST'));
      const node = await this.#nodeOf(resource);
      joinSockets(socket, await openToNode(this.#options, node, request), head);
    } catch (error) {
      const apiError = toApiError(error);
      const body = JSON.stringify(apiError.toStatus());
      socket.end(
        `HTTP/1.1 ${apiError.code} ${apiError.reason}\r\nContent-Type: application/json\r\n` +
          `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
      );
    }
  }

  async #nodeOf({ kind, namespace, name }: ResourceRequest): Promise<Resource> {
    const pod = await this.#options.store.get(kind, namespace, name ?? '');
    const nodeName = at(pod, 'spec.nodeName');
    const nodes = findApiKind('', 'v1', 'nodes');
    if (typeof nodeName !== 'string' || nodeName === '' || nodes === undefined)
      throw new ApiError('BadRequest', `pod ${name ?? ''} does not have a host assigned`);
    return this.#options.store.get(nodes, undefined, nodeName);
  }
}

function urlOf(request: IncomingMessage): URL {
  const url = URL.parse(request.url ?? '/', 'https://api');
  if (url === null) throw new ApiError('BadRequest', 'the path is not well formed');
  return url;
}

/** `/api/v1`, `/apis/G`, `/apis/G/V`. */
function groupDiscovery(path: string): object | undefined {
  const [, root, first, second, ...more] = path.split('/');
  if (more.length > 0 || first === undefined) return undefined;
  if (root === 'api') return second === undefined ? resourceList('', first) : undefined;
  if (root !== 'apis') return undefined;
  return second === undefined ? findGroup(first) : resourceList(first, second);
}

function isStoreSubresource(kind: ApiKind, subresource: string): boolean {
  return (
    (subresource === 'status' && kind.hasStatus) || (subresource === 'finalize' && kind.kind === 'Namespace')
  );
}

/** As a subresource, which readers and nodes may not read: administrators only. */
function inspectionAttributes(path: string, method: string): Attributes {
  const [, , group = '', , resource = '', name] = path.split('/');
  const verb = method === 'GET' ? 'get' : 'update';
  return { verb, group, resource, subresource: 'inspect', namespace: undefined, name };
}

function attributesOf(
  call: ResourceRequest & { readonly query: URLSearchParams },
  method: string,
): Attributes {
  return {
    verb: verbOf(call, method),
    group: call.kind.group,
    resource: call.kind.plural,
    subresource: call.subresource,
    namespace: call.namespace,
    name: call.name,
  };
}

function verbOf(call: ResourceRequest & { readonly query: URLSearchParams }, method: string): Verb {
  switch (method) {
    case 'GET':
      if (isTrue(call.query.get('watch'))) return 'watch';
      return call.name === undefined ? 'list' : 'get';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return call.name === undefined ? 'deletecollection' : 'delete';
    default:
      return 'create';
  }
}
