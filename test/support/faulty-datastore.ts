// A datastore whose operations wait for their turn and whose writes sometimes fail: refused, answer lost before or after
// they were applied, applied long after their answer was lost, or the client dies on the way.

import {
  type Datastore,
  DatastoreError,
  type Transaction,
  type TransactionResult,
} from '../../lib/datastore/datastore.ts';
import type { TurnScheduler } from './turn-scheduler.ts';

/** Chances in [0, 1] for each write. */
export interface Faults {
  /** Refused as if somebody had been ahead. */
  readonly refused: number;
  readonly requestLost: number;
  readonly answerLost: number;
  /** Applied a number of turns after the caller was told that the outcome is unknown. */
  readonly late: number;
  /** The client ends before or after the write, and every later call of it fails. */
  readonly crash: number;
}

export interface FaultyDatastore {
  readonly datastore: Datastore;
  /** Writes that are still under way; they need turns to end. */
  readonly late: Promise<unknown>[];
  isCrashed(): boolean;
}

export function createFaultyDatastore(
  store: Datastore,
  scheduler: TurnScheduler,
  random: () => number,
  faults: Faults,
): FaultyDatastore {
  let isCrashed = false;
  const late: Promise<unknown>[] = [];
  const enter = async (operation: string): Promise<void> => {
    await scheduler.turn();
    if (isCrashed) throw new DatastoreError({ code: 'unavailable', operation });
  };
  const draw = (): keyof Faults | 'none' => {
    let rest = random();
    for (const name of ['refused', 'requestLost', 'answerLost', 'late', 'crash'] as const) {
      if (rest < faults[name]) return name;
      rest -= faults[name];
    }
    return 'none';
  };
  const transact = async (transaction: Transaction): Promise<TransactionResult> => {
    await enter('txn');
    const isWrite = transaction.success.some(({ type }) => type !== 'get');
    switch (isWrite ? draw() : 'none') {
      case 'none':
        return store.transact(transaction);
      case 'refused':
        return { succeeded: false, revision: 0, results: [] };
      case 'requestLost':
        break;
      case 'answerLost':
        await store.transact(transaction);
        break;
      case 'late':
        late.push(applyLate(store, transaction, scheduler, random));
        break;
      case 'crash':
        isCrashed = true;
        if (random() < 0.5) await store.transact(transaction);
        throw new DatastoreError({ code: 'unavailable', operation: 'txn' });
    }
    throw new DatastoreError({ code: 'outcomeUnknown', operation: 'txn' });
  };
  const datastore: Datastore = {
    get: async (key, options) => {
      await enter('get');
      return store.get(key, options);
    },
    list: async (prefix, options) => {
      await enter('list');
      return store.list(prefix, options);
    },
    transact,
    watch: (prefix, options) => store.watch(prefix, options),
    grantLease: (ttlSeconds, options) => store.grantLease(ttlSeconds, options),
    compact: (revision) => store.compact(revision),
    close: () => Promise.resolve(),
  };
  return { datastore, late, isCrashed: () => isCrashed };
}

async function applyLate(
  store: Datastore,
  transaction: Transaction,
  scheduler: TurnScheduler,
  random: () => number,
): Promise<void> {
  for (let turns = Math.floor(random() * 20); turns >= 0; turns--) await scheduler.turn();
  await store.transact(transaction);
}
