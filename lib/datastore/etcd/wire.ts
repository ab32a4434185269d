// Between the datastore's types and etcd's messages (etcd api/etcdserverpb/rpc.proto): ranges, transactions, events.

import {
  CompareTarget,
  type ICompare,
  type IEvent,
  type IKeyValue,
  type IRequestOp,
  type IResponseOp,
  type ITxnRequest,
} from 'etcd3';
import type { Compare, KeyValue, Operation, OperationResult, Transaction, WatchEvent } from '../datastore.ts';

export interface KeyRange {
  readonly key: Buffer;
  readonly range_end: Buffer;
}

const ZERO = Buffer.of(0);

/** All keys with a prefix; greater than `after` if given. */
export function prefixRange(prefix: string, after?: string): KeyRange {
  const start = Buffer.from(prefix);
  const range_end = prefixEnd(start);
  if (after !== undefined && after >= prefix) return { key: Buffer.from(`${after}\0`), range_end };
  return { key: start.length === 0 ? ZERO : start, range_end };
}

/** The smallest key that is greater than all with the prefix; one zero octet, etcd's "no end", for the empty prefix. */
function prefixEnd(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix);
  for (let index = end.length - 1; index >= 0; index -= 1) {
    const octet = end[index] ?? 0;
    if (octet === 0xff) continue;
    end[index] = octet + 1;
    return end.subarray(0, index + 1);
  }
  return ZERO;
}

export function fromKeyValue(kv: IKeyValue): KeyValue {
  return {
    key: kv.key.toString('utf8'),
    value: kv.value.toString('utf8'),
    modRevision: Number(kv.mod_revision),
    createRevision: Number(kv.create_revision),
  };
}

export function toTransaction(transaction: Transaction): ITxnRequest {
  return {
    compare: transaction.compare.map(toCompare),
    success: transaction.success.map(toRequest),
    failure: (transaction.failure ?? []).map(toRequest),
  };
}

/** Results in the order of the operations that were executed. */
export function fromResponses(
  operations: readonly Operation[],
  responses: readonly IResponseOp[],
): OperationResult[] {
  return operations.map((operation, index) => fromResponse(operation, responses[index]));
}

function fromResponse(operation: Operation, response: IResponseOp | undefined): OperationResult {
  switch (operation.type) {
    case 'put':
      return { type: 'put' };
    case 'delete':
    case 'deletePrefix':
      return { type: 'delete', deleted: (response?.response_delete_range.prev_kvs ?? []).map(fromKeyValue) };
    case 'get': {
      const kv = response?.response_range.kvs[0];
      return { type: 'get', kv: kv === undefined ? undefined : fromKeyValue(kv) };
    }
  }
}

export function fromEvent(event: IEvent): WatchEvent {
  // Absent messages are null on the wire library's side, whatever its types say.
  const previousKv = event.prev_kv as IKeyValue | null;
  const previous = previousKv === null ? undefined : fromKeyValue(previousKv);
  if (event.type === 'Delete') {
    return {
      type: 'delete',
      key: event.kv.key.toString('utf8'),
      revision: Number(event.kv.mod_revision),
      previous,
    };
  }
  return { type: 'put', kv: fromKeyValue(event.kv), previous };
}

export function revisionOf(event: WatchEvent): number {
  return event.type === 'put' ? event.kv.modRevision : event.revision;
}

function toCompare(compare: Compare): ICompare {
  const key = Buffer.from(compare.key);
  if ('modRevision' in compare) {
    return { key, result: 0, target: CompareTarget.Mod, mod_revision: compare.modRevision };
  }
  return { key, result: 0, target: CompareTarget.Create, create_revision: compare.createRevision };
}

function toRequest(operation: Operation): IRequestOp {
  switch (operation.type) {
    case 'put': {
      const put = { key: Buffer.from(operation.key), value: Buffer.from(operation.value) };
      return { request_put: operation.lease === undefined ? put : { ...put, lease: operation.lease } };
    }
    case 'delete':
      return { request_delete_range: { key: Buffer.from(operation.key), prev_kv: true } };
    case 'deletePrefix':
      return { request_delete_range: { ...prefixRange(operation.prefix), prev_kv: true } };
    case 'get':
      return { request_range: { key: Buffer.from(operation.key) } };
  }
}
