// A datastore that loses answers: the transaction is applied (or not) and its caller does not hear of it.
import {
  type Datastore,
  DatastoreError,
  type Transaction,
  type TransactionResult,
} from '../../lib/datastore/datastore.ts';

export type Loss = 'answerLost' | 'requestLost' | 'none';

/** `losses` are taken one for each transaction; then none. `beforeReadBack` runs before the next get. */
export function lossyDatastore(
  store: Datastore,
  losses: Loss[],
  beforeReadBack?: () => Promise<unknown>,
): Datastore {
  let hasLost = false;
  const transact = async (transaction: Transaction): Promise<TransactionResult> => {
    const loss = losses.shift() ?? 'none';
    if (loss === 'none') return store.transact(transaction);
    if (loss === 'answerLost') await store.transact(transaction);
    hasLost = true;
    throw new DatastoreError({ code: 'outcomeUnknown', operation: 'txn' });
  };
  const get: Datastore['get'] = async (key, options) => {
    if (hasLost) {
      hasLost = false;
      await beforeReadBack?.();
    }
    return store.get(key, options);
  };
  return new Proxy(store, {
    get(target, property) {
      if (property === 'transact') return transact;
      if (property === 'get') return get;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
