// A pod's way through its worker, with the real API server: what keeps it waiting is said at the pod, and ends by itself.

import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { CniPlugin } from '../../../agents/kubelet/pods/cni-plugin.ts';
import type { PodContext } from '../../../agents/kubelet/pods/pod-context.ts';
import { PodRecords } from '../../../agents/kubelet/pods/pod-record.ts';
import { PodWorker } from '../../../agents/kubelet/pods/pod-worker.ts';
import { ProcessRuntime } from '../../../agents/kubelet/runtime/process-runtime.ts';
import { EventLog } from '../../../lib/events/event-log.ts';
import { type KubeClient, NAMESPACES, PODS } from '../../../lib/kube-client/client.ts';
import { EventRecorder } from '../../../lib/kube-client/event-recorder.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import type { Pod } from '../../../lib/model/kubernetes-pod-types.ts';
import { startTestApi, type TestApi } from '../../support/api-server.ts';
import { until } from '../../support/until.ts';

let api: TestApi;
let client: KubeClient;
let stateDir: string;
const events = new EventLog({ host: 'node-1' });

beforeAll(async () => {
  api = await startTestApi();
  client = api.client();
  await client.create(NAMESPACES, undefined, { metadata: { name: 'default' } });
  stateDir = mkdtempSync(join(tmpdir(), 'calico-ts-kubelet-'));
}, 60_000);
afterAll(async () => {
  await api?.stop();
  rmSync(stateDir, { recursive: true, force: true });
});

function context(): PodContext {
  const logger = silentLogger();
  const programs = { BUSYBOX: 'busybox', UNSHARE: 'unshare', NSENTER: 'nsenter', SETPRIV: 'setpriv' };
  const now = (): Date => new Date();
  return {
    nodeName: 'node-1',
    hostIp: '127.0.0.1',
    hostLife: 'first',
    client,
    recorder: new EventRecorder({ client, component: 'kubelet', host: 'node-1', logger, now }),
    events,
    logger,
    cni: new CniPlugin({ command: () => ['false'], network: 'n', socketPath: '', asksAgent: false }),
    records: new PodRecords(join(stateDir, 'pods')),
    processRuntime: new ProcessRuntime({ stateDir, programs, version: 'test', logger }),
    dockerRuntime: undefined,
    collectAttachments: async () => {},
    now,
  };
}

async function pod(): Promise<Pod> {
  return (await client.get(PODS, 'default', 'web')) as Pod;
}

it('a disk that takes no record keeps a pod waiting, with the reason, until it takes one', async () => {
  const spec = { containers: [{ name: 'main', image: 'no-such-image' }] };
  const created = (await client.create(PODS, 'default', { metadata: { name: 'web' }, spec })) as Pod;
  const records = join(stateDir, 'pods');
  const whole = context();
  // No folder can be made in what is a file.
  rmSync(records, { recursive: true });
  writeFileSync(records, '');
  const worker = new PodWorker(whole, created, created, Promise.resolve());
  try {
    await until('it says why', async () => JSON.stringify((await pod()).status).includes('ENOTDIR'), 20_000);
    expect(events.read().events).not.toContainEqual(expect.objectContaining({ kind: 'podAdmitted' }));
    rmSync(records);
    await until('it is on disk', () => existsSync(join(records, worker.uid, 'pod.json')), 20_000);
    await until(
      'it goes on',
      async () => {
        const [main] = (await pod()).status?.containerStatuses ?? [];
        return main?.state?.waiting?.reason === 'ErrImagePull';
      },
      20_000,
    );
    expect(events.read().events).toContainEqual(expect.objectContaining({ kind: 'podAdmitted' }));
  } finally {
    await worker.stop();
  }
}, 60_000);
