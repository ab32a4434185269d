// What a host reports of itself and its workloads: a real etcd, Calico's keys and values.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { DEFAULT_FELIX_SETTINGS } from '../../agents/felix/calc/felix-settings.ts';
import type { ReportSettings } from '../../agents/felix/calc/network-settings.ts';
import { type ReportedEndpoint, StatusReports } from '../../agents/node/status-reports.ts';
import { EtcdDatastore } from '../../lib/datastore/etcd/etcd-datastore.ts';
import { silentLogger } from '../../lib/logging/logger.ts';
import { type EtcdServer, startEtcd } from '../support/etcd.ts';
import { until } from '../support/until.ts';

const ROOT = '/calico/felix/';
const WEB = '/calico/felix/v2/no-region/host/n1/workload/k8s/red%2fweb/endpoint/eth0';
const DB = '/calico/felix/v2/no-region/host/n1/workload/k8s/red%2fdb/endpoint/eth0';
const ALIVE = '/calico/felix/v2/no-region/host/n1/status';
const LAST = '/calico/felix/v2/no-region/host/n1/last_reported_status';
const OTHERS = '/calico/felix/v2/no-region/host/n11/workload/k8s/red%2fweb/endpoint/eth0';

let etcd: EtcdServer;
let datastore: EtcdDatastore;
let reports: StatusReports;
let endpoints: readonly ReportedEndpoint[] | undefined;

beforeAll(async () => {
  etcd = await startEtcd();
  datastore = new EtcdDatastore({ endpoints: [etcd.endpoint] });
}, 30_000);

afterAll(async () => {
  await datastore.close();
  await etcd.stop();
});

beforeEach(async () => {
  await datastore.transact({ compare: [], success: [{ type: 'deletePrefix', prefix: ROOT }] });
  endpoints = undefined;
  reports = create();
});

afterEach(() => reports.stop());

function create(): StatusReports {
  return new StatusReports({
    node: 'n1',
    datastore,
    logger: silentLogger(),
    endpoints: () => endpoints,
    now: () => new Date('2026-01-02T03:04:05Z'),
    uptimeSeconds: () => 12.5,
  });
}

const settings = (change: Partial<ReportSettings>): ReportSettings => ({
  ...DEFAULT_FELIX_SETTINGS.reports,
  endpointDelayMs: 100,
  ...change,
});
const endpoint = (name: string, isUp: boolean): ReportedEndpoint => ({
  id: { host: 'n1', orchestrator: 'k8s', workload: `red/${name}`, endpoint: 'eth0' },
  isUp,
});
const stored = async (): Promise<Readonly<Record<string, string>>> =>
  Object.fromEntries((await datastore.list(ROOT)).items.map(({ key, value }) => [key, value]));
const become = (what: string, wanted: Readonly<Record<string, string>>): Promise<void> =>
  until(what, async () => JSON.stringify(await stored()) === JSON.stringify(wanted));

const UP = '{"status":"up"}';
const DOWN = '{"status":"down"}';

describe('of each workload', () => {
  it('says whether it is up, and follows it', async () => {
    endpoints = [endpoint('web', false), endpoint('db', true)];
    reports.change(settings({ endpoints: true }));
    await become('both are there', { [DB]: UP, [WEB]: DOWN });
    endpoints = [endpoint('web', true), endpoint('db', true)];
    await become('one has come up', { [DB]: UP, [WEB]: UP });
    endpoints = [endpoint('web', true)];
    await become('one has gone', { [WEB]: UP });
  });

  it('writes nothing that is there already, and takes an earlier agent’s away once workloads are known', async () => {
    const put = (key: string, value: string): { type: 'put'; key: string; value: string } => ({
      ...{ type: 'put', key, value },
    });
    await datastore.transact({ compare: [], success: [put(WEB, UP), put(DB, UP), put(OTHERS, UP)] });
    const before = (await datastore.get(WEB)).kv?.modRevision;
    reports.change(settings({ endpoints: true }));
    endpoints = [endpoint('web', true)];
    await become('the one that is gone', { [WEB]: UP, [OTHERS]: UP });
    expect((await datastore.get(WEB)).kv?.modRevision).toBe(before);
  });

  it('stays with the agent’s end, and goes with the setting', async () => {
    endpoints = [endpoint('web', true)];
    reports.change(settings({ endpoints: true }));
    await become('it is there', { [WEB]: UP });
    await reports.stop();
    expect(await stored()).toEqual({ [WEB]: UP });
    reports = create();
    reports.change(settings({ endpoints: true }));
    reports.change(settings({ endpoints: false }));
    await become('it is gone', {});
  });

  it('moves with the region', async () => {
    endpoints = [endpoint('web', true)];
    reports.change(settings({ endpoints: true }));
    await become('it is there', { [WEB]: UP });
    reports.change(settings({ endpoints: true, region: 'region-east' }));
    await become('it is there', { [WEB.replace('no-region', 'region-east')]: UP });
  });
});

describe('a sign of life', () => {
  it('is given under a lease, and stays without it as the last one', async () => {
    reports.change(settings({ intervalMs: 200, ttlMs: 2000 }));
    await until('the second one is there', async () => (await stored())[ALIVE]?.includes('false') === true);
    const value = '{"time":"2026-01-02T03:04:05.000Z","uptime":12.5,"first_update":false}';
    expect(await stored()).toEqual({ [ALIVE]: value, [LAST]: value });
    await reports.stop();
    await until('it ends', async () => (await stored())[ALIVE] === undefined, 15_000);
    expect(await stored()).toEqual({ [LAST]: value });
  });
});

it('nothing is reported that was not asked for', async () => {
  endpoints = [endpoint('web', true)];
  reports.change(settings({}));
  await reports.stop();
  expect(await stored()).toEqual({});
});
