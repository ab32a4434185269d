// The etcd client on a real etcd: the suite that it shares with the in-memory twin.
import { setTimeout as delay } from 'node:timers/promises';
import { EtcdDatastore } from '../../../lib/datastore/etcd/etcd-datastore.ts';
import { describeDatastore } from '../../support/datastore-compliance.ts';
import { startEtcd } from '../../support/etcd.ts';

describeDatastore('EtcdDatastore', async () => {
  const etcd = await startEtcd();
  const store = new EtcdDatastore({ endpoints: [etcd.endpoint] });
  return {
    store,
    // Leases run on etcd's own clock: real time is what is under test here.
    passTime: async (milliseconds) => {
      await delay(milliseconds);
    },
    stop: async () => {
      await store.close();
      await etcd.stop();
    },
  };
});
