// What a client is told of an error of the datastore.

import { describe, expect, it } from '@jest/globals';
import { toApiError } from '../../../../controller/api/responder.ts';
import { DatastoreError } from '../../../../lib/datastore/datastore.ts';

describe('an error of the datastore', () => {
  it.each([
    ['unavailable', 503, 'ServiceUnavailable'],
    ['timeout', 503, 'ServiceUnavailable'],
    ['aborted', 503, 'ServiceUnavailable'],
    ['outcomeUnknown', 504, 'Timeout'],
    ['permissionDenied', 403, 'Forbidden'],
    ['leaseNotFound', 500, 'InternalError'],
  ] as const)('%s is a %i', (code, status, reason) => {
    const error = toApiError(new DatastoreError({ code, operation: 'txn' }));
    expect([error.code, error.reason]).toEqual([status, reason]);
  });
});
