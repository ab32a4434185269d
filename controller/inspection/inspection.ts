// What only this project's controller answers, beside the Kubernetes-shaped API: nodes by their agents, the cluster's events,
// address management, sources of rules. `/apis/calico-ts.dev/v1/…`, for administrators; not in discovery, so that kubectl does not see it.

import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import type { Datastore } from '../../lib/datastore/datastore.ts';
import type { CalicoEvent } from '../../lib/events/event.ts';
import type { EventLog } from '../../lib/events/event-log.ts';
import type { RingRecord } from '../../lib/events/record-ring.ts';
import type { RedisAddress } from '../../lib/events/redis-stream.ts';
import { IpamError } from '../../lib/ipam/errors.ts';
import { type IpamInspection, inspectIpam } from '../../lib/ipam/inspection.ts';
import type { IpamSettings } from '../../lib/ipam/types.ts';
import type { Logger } from '../../lib/logging/logger.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { eventMatcher, readEventFilter } from '../../lib/protocol/event-filter.ts';
import { flowFilterParameters, flowMatcher, readFlowFilter } from '../../lib/protocol/flow-filter.ts';
import type { FlowRecord } from '../../lib/protocol/flow-record.ts';
import {
  EVENT_RECORDS,
  encodeRecordLine,
  FLOW_RECORDS,
  type RecordKind,
} from '../../lib/protocol/record-lines.ts';
import { ApiError } from '../api/api-error.ts';
import { parseBody } from '../api/body.ts';
import { contentType, isTrue, numberParameter, readBody } from '../api/request.ts';
import { sendJson } from '../api/responder.ts';
import type { AgentClient } from './agent-client.ts';
import { ClusterRecords } from './cluster-records.ts';
import type { RecordQuery } from './redis-records.ts';
import { RuleSourceRoutes } from './rule-sources.ts';

export interface InspectionOptions {
  readonly datastore: Datastore;
  readonly agents: AgentClient;
  /** The controller's own events. */
  readonly log: EventLog;
  readonly listNodes: () => Promise<readonly Resource[]>;
  readonly redis: RedisAddress | undefined;
  readonly logger: Logger;
  /** Throws ApiError `NotFound`. */
  readonly getNode: (name: string) => Promise<Resource>;
}

const settingsSchema = z.strictObject({
  strictAffinity: z.boolean(),
  autoAllocateBlocks: z.boolean(),
  maxBlocksPerHost: z.number(),
  kubeVirtVMAddressPersistence: z.enum(['Enabled', 'Disabled']),
  ipCooldownSeconds: z.number(),
});

const PATH = /^\/apis\/calico-ts\.dev\/v1\/(nodes|events|flows|ipam|rulesources)(?:\/(.*))?$/;
const NODE_VIEWS = new Set([
  ...['status', 'rules', 'events', 'flows', 'flow-status', 'metrics'],
  ...['rib', 'rib-in', 'rib-out', 'why', 'history'],
]);
const MAX_UNREAD_BYTES = 8 * 1024 * 1024;
const DEFAULT_LAST = 1000;
const MAX_LAST = 100_000;

export function isInspectionPath(path: string): boolean {
  return PATH.test(path);
}

export class Inspection {
  readonly #options: InspectionOptions;
  readonly #events: ClusterRecords<CalicoEvent>;
  readonly #flows: ClusterRecords<FlowRecord>;
  readonly #ipam: IpamInspection;
  readonly #ruleSources: RuleSourceRoutes;

  constructor(options: InspectionOptions) {
    this.#options = options;
    this.#events = new ClusterRecords({ ...options, kind: EVENT_RECORDS, own: options.log.ring });
    this.#flows = new ClusterRecords({ ...options, kind: FLOW_RECORDS, own: undefined });
    this.#ipam = inspectIpam(options.datastore);
    this.#ruleSources = new RuleSourceRoutes(options.datastore);
  }

  /** Answers a request that `isInspectionPath`, whose caller may ask. Throws ApiError. */
  async handle(url: URL, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const [, area, rest = ''] = PATH.exec(url.pathname) ?? [];
    const parts = rest
      .split('/')
      .filter((part) => part !== '')
      .map(decodePart);
    if (area === 'ipam') return this.#answerIpam(parts, request, response);
    if (area === 'rulesources') return this.#ruleSources.handle(parts, url, request, response);
    if (request.method !== 'GET') throw new ApiError('MethodNotAllowed', 'this is only read');
    const ended = new AbortController();
    response.on('close', () => ended.abort());
    // Without a matcher the stream need not be read whole.
    if (area === 'events' && parts.length === 0) {
      const filter = filterOf(readEventFilter, url.searchParams);
      const wanted = wantedRecords(eventMatcher(filter), filter.host);
      return this.#sendRecords(this.#events, EVENT_RECORDS, wanted, url, response, ended.signal);
    }
    if (area === 'flows' && parts.length === 0) {
      const filter = filterOf(readFlowFilter, url.searchParams);
      const matcher = flowFilterParameters(filter).length === 0 ? undefined : flowMatcher(filter);
      const wanted = wantedRecords(matcher, filter.node);
      return this.#sendRecords(this.#flows, FLOW_RECORDS, wanted, url, response, ended.signal);
    }
    const [name, view, ...more] = parts;
    if (area !== 'nodes' || name === undefined || !NODE_VIEWS.has(view ?? '') || more.length > 0)
      throw notServed(url.pathname);
    await this.#relay(name, `/v1/${view ?? ''}${url.search}`, response, ended.signal);
  }

  async #relay(name: string, path: string, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const node = await this.#options.getNode(name);
    const answer = await this.#options.agents.get(node, path, signal);
    response.writeHead(200, { 'content-type': answer.headers['content-type'] ?? 'application/json' });
    // Whichever side ends early ends the other.
    await pipeline(answer, response).catch(() => response.destroy());
  }

  async #sendRecords<T extends RingRecord>(
    records: ClusterRecords<T>,
    kind: RecordKind<T>,
    filter: Pick<RecordQuery<T>, 'isWanted' | 'hosts'>,
    url: URL,
    response: ServerResponse,
    signal: AbortSignal,
  ): Promise<void> {
    const after = url.searchParams.get('after') ?? undefined;
    const afterMs = after === undefined ? undefined : Date.parse(after);
    if (Number.isNaN(afterMs))
      throw new ApiError('BadRequest', `invalid after: ${JSON.stringify(after)} is no time`);
    const last = Math.min(numberParameter(url.searchParams, 'last') ?? DEFAULT_LAST, MAX_LAST);
    records.claimReader();
    response.writeHead(200, { 'content-type': 'application/x-ndjson' });
    response.flushHeaders();
    const query = { ...filter, afterMs, last, follow: isTrue(url.searchParams.get('follow')) };
    try {
      await records.send(
        query,
        (line) => {
          // A reader that does not read is cut off rather than kept in memory.
          if (query.follow && response.writableLength > MAX_UNREAD_BYTES) response.destroy();
          else response.write(`${JSON.stringify(encodeRecordLine(kind, line))}\n`);
        },
        signal,
      );
    } finally {
      response.end();
    }
  }

  async #answerIpam(
    [area, ip, ...more]: readonly string[],
    request: IncomingMessage,
    response: ServerResponse,
  ): Promise<void> {
    const isAddress = area === 'addresses';
    if (area === undefined || isAddress === (ip === undefined) || more.length > 0)
      throw notServed(`ipam/${area ?? ''}`);
    try {
      sendJson(response, 200, await this.#ipamAnswer(`${request.method ?? ''} ${area}`, ip ?? '', request));
    } catch (error) {
      if (error instanceof IpamError)
        throw new ApiError('BadRequest', error.message, undefined, { cause: error });
      throw error;
    }
  }

  async #ipamAnswer(call: string, ip: string, request: IncomingMessage): Promise<unknown> {
    switch (call) {
      case 'GET usage':
        return this.#ipam.usage();
      case 'GET audit':
        return this.#ipam.audit();
      case 'GET settings':
        return this.#ipam.settings();
      case 'PUT settings': {
        const settings = parseSettings(parseBody(await readBody(request), contentType(request), undefined));
        await this.#ipam.setSettings(settings);
        return settings;
      }
      case 'GET addresses':
        return this.#ipam.address(ip);
      case 'DELETE addresses':
        return { released: await this.#ipam.release(ip) };
      default:
        throw new ApiError('MethodNotAllowed', `ipam does not serve ${call}`);
    }
  }
}

function decodePart(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (cause) {
    throw new ApiError('BadRequest', 'the path is not well formed', undefined, { cause });
  }
}

function wantedRecords<T>(
  isWanted: RecordQuery<T>['isWanted'],
  hosts: readonly string[],
): Pick<RecordQuery<T>, 'isWanted' | 'hosts'> {
  return { ...(isWanted === undefined ? {} : { isWanted }), ...(hosts.length === 0 ? {} : { hosts }) };
}

/** Throws ApiError for what is no filter. */
function filterOf<T>(read: (parameters: URLSearchParams) => T, parameters: URLSearchParams): T {
  try {
    return read(parameters);
  } catch (cause) {
    throw new ApiError('BadRequest', String((cause as Error).message), undefined, { cause });
  }
}

function parseSettings(body: unknown): IpamSettings {
  const parsed = settingsSchema.safeParse(body);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
  throw new ApiError('BadRequest', problems.join('; '));
}

function notServed(path: string): ApiError {
  return new ApiError('NotFound', `there is no ${path} in calico-ts.dev/v1`);
}
