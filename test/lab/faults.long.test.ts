// A cluster whose parts fail: nothing of what runs is lost, new work waits and says for what, everything catches up.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { FABRIC_PROCESSES_WITH_PLUGIN_APART } from '../../lab/processes.ts';
import { silentNarrator } from '../../lab/story/narrator.ts';
import { learnedRoutes, nodeStatus, untilProgrammed } from '../../lab/story/node-view.ts';
import { namespaceObject, podObject, reaches, runPods } from '../../lab/story/pods.ts';
import { type PodRef, Stage } from '../../lab/story/stage.ts';
import { freeze } from '../support/freeze.ts';
import {
  answersIn,
  cniAdd,
  converged,
  kernelWriterOf,
  killAndWait,
  moveTo,
  onlyFrom,
  podNetns,
  policyRevision,
} from './support/faults.ts';
import { labCluster } from './support/lab-cluster.ts';
import { type Prober, startProber, stopAll } from './support/prober.ts';
import { startTestLab, type TestLab, waitUntil } from './support/test-lab.ts';

const MINUTE_MS = 60_000;
const NS = 'faults';

let test: TestLab;
let stage: Stage;
let near: PodRef;
let far: PodRef;

beforeAll(async () => {
  test = await startTestLab({
    hosts: 2,
    isCluster: true,
    fabricProcesses: FABRIC_PROCESSES_WITH_PLUGIN_APART,
  });
  stage = new Stage(labCluster(test.lab), silentNarrator);
  await stage.apply([namespaceObject(NS)]);
  await runPods(stage, [
    { namespace: NS, name: 'near', node: 'node-1' },
    { namespace: NS, name: 'far', node: 'node-2' },
  ]);
  near = stage.pod(NS, 'near');
  far = stage.pod(NS, 'far');
}, 3 * MINUTE_MS);

afterAll(async () => {
  await test?.stop();
}, MINUTE_MS);

describe('kill -9, one after another, under 1,000 probes a second', () => {
  const lab = () => test.lab;
  const victims: readonly [string, () => Promise<number | undefined> | number | undefined][] = [
    ['agent', () => lab().host('node-1').process('agent')?.pid],
    ['kernel writer', () => kernelWriterOf(lab().host('node-1'))],
    ['bgpd', () => lab().host('node-1').process('bgpd')?.pid],
    ['kubelet', () => lab().host('node-1').process('kubelet')?.pid],
    ['controller', () => lab().fabricProcess('controller')?.pid],
    ['kubernetes plugin', () => lab().fabricProcess('plugin')?.pid],
  ];

  /** One ping comes to about 700 a second: a flow in each direction. */
  async function startProbers(): Promise<readonly Prober[]> {
    const [one, two] = [test.lab.host('node-1'), test.lab.host('node-2')];
    const [nearNetns, farNetns] = [await podNetns(one, near), await podNetns(two, far)];
    return await Promise.all([startProber(one, nearNetns, far.ip), startProber(two, farNetns, near.ip)]);
  }

  it.each(victims)(
    '%s: no probe of a live flow is lost, and everything converges again',
    async (name, pidOf) => {
      const probers = await startProbers();
      const startedAt = performance.now();
      await killAndWait(pidOf);
      const restartedMs = Math.round(performance.now() - startedAt);
      await converged(test.lab);
      const ms = Math.round(performance.now() - startedAt);
      const { sent, received, perSecond } = await stopAll(probers);
      process.stdout.write(
        `${name}: runs again after ${restartedMs} ms, converged after ${ms} ms; ${received} of ${sent} probes answered (${perSecond} a second)\n`,
      );
      expect(received).toBe(sent);
      expect(sent).toBeGreaterThan(100);
    },
    3 * MINUTE_MS,
  );

  it('the pods are the same ones, not started again', async () => {
    const list = JSON.parse(await stage.kubectl(['get', 'pods', '-n', NS, '-o', 'json'])) as {
      items: { status: { podIP: string; containerStatuses: { restartCount: number }[] } }[];
    };
    expect(list.items.map(({ status }) => status.podIP).toSorted()).toEqual([near.ip, far.ip].toSorted());
    expect(list.items.map(({ status }) => status.containerStatuses[0]?.restartCount)).toEqual([0, 0]);
  });
});

describe('etcd away', () => {
  it(
    'running workloads keep policy and routes; new work waits and says so; everything catches up',
    async () => {
      await runPods(stage, [{ namespace: NS, name: 'stranger', node: 'node-1' }]);
      const stranger = stage.pod(NS, 'stranger');
      await stage.apply([onlyFrom(NS, 'far', 'near')]);
      await untilProgrammed(stage, ['node-2'], await policyRevision(stage, `${NS}/knp.default.only-near`));
      expect(await reaches(stage, near, far)).toBe(true);
      expect(await reaches(stage, stranger, far)).toBe(false);
      const routes = await learnedRoutes(stage, 'node-1');

      const host = test.lab.host('node-1');
      await test.lab.stopEtcd();
      try {
        await waitUntil('an ADD is told to wait', async () => (await cniAdd(host)).code === 11, MINUTE_MS);
        expect((await cniAdd(host)).msg).toMatch(/datastore/);
        // Without etcd the API authorises no kubectl exec: the pods' own namespaces are entered.
        expect(await answersIn(host, near, far)).toBe(true);
        expect(await answersIn(host, stranger, far)).toBe(false);
        expect(await learnedRoutes(stage, 'node-1')).toEqual(routes);
        const pod = JSON.stringify(podObject({ namespace: NS, name: 'late', node: 'node-1' }));
        const path = `/api/v1/namespaces/${NS}/pods`;
        const refused = await stage.cluster.kubectl(['create', '--raw', path, '-f', '-'], { input: pod });
        expect(refused.code).not.toBe(0);
        expect(refused.stderr).toMatch(/etcd does not answer/);
      } finally {
        await test.lab.startEtcd();
      }
      const startedAt = performance.now();
      await converged(test.lab);
      process.stdout.write(
        `after etcd's return: converged after ${Math.round(performance.now() - startedAt)} ms\n`,
      );
      await stage.kubectl(['delete', 'networkpolicy', '-n', NS, 'only-near']);
      await runPods(stage, [{ namespace: NS, name: 'late', node: 'node-1' }]);
      await untilProgrammed(stage, ['node-2'], await stage.etcdRevision());
      expect(await reaches(stage, stage.pod(NS, 'late'), far)).toBe(true);
      await stage.kubectl(['delete', 'pod', '-n', NS, 'late', 'stranger', '--timeout=60s']);
    },
    4 * MINUTE_MS,
  );
});

describe('Redis away', () => {
  it(
    'nothing changes but the event stream, and the source of events is said',
    async () => {
      const source = async (): Promise<string> =>
        (await stage.kubectl(['get', '--raw', '/apis/calico-ts.dev/v1/events?last=1'])).split('\n')[0] ?? '';
      await stage.eventually('events come from Redis', source, (line) => line.includes('"redis"'), MINUTE_MS);
      const redis = test.lab.fabricProcess('redis');
      try {
        await freeze(redis?.pid);
        await runPods(stage, [{ namespace: NS, name: 'quiet', node: 'node-1' }]);
        expect(await reaches(stage, stage.pod(NS, 'quiet'), far)).toBe(true);
        expect((await nodeStatus(stage, 'node-1')).ready).toBe(true);
        expect(await source()).toMatch(/"source":"hosts","reason":"Redis does not answer/);
      } finally {
        redis?.kill('SIGCONT');
      }
      await stage.eventually(
        'what happened meanwhile is in the stream',
        () => stage.kubectl(['get', '--raw', '/apis/calico-ts.dev/v1/events?last=500']),
        (text) => text.startsWith('{"source":"redis"') && text.includes(`Pod/${NS}/quiet`),
        MINUTE_MS,
      );
      await stage.kubectl(['delete', 'pod', '-n', NS, 'quiet', '--timeout=60s']);
    },
    4 * MINUTE_MS,
  );
});

describe('an exhausted pool', () => {
  it(
    'is named with its limit and with who holds the addresses',
    async () => {
      const pool = {
        apiVersion: 'projectcalico.org/v3',
        kind: 'IPPool',
        metadata: { name: 'tiny' },
        spec: { cidr: '10.67.0.0/31', blockSize: 31, assignmentMode: 'Manual' },
      };
      await stage.apply([pool]);
      const annotations = { 'cni.projectcalico.org/ipv4pools': '["tiny"]' };
      const spec = { namespace: NS, node: 'node-1', annotations };
      await runPods(stage, [
        { ...spec, name: 'holder-a' },
        { ...spec, name: 'holder-b' },
      ]);
      await stage.apply([podObject({ ...spec, name: 'third' })]);
      const answer = await stage.eventually(
        'the third pod says why it has no address',
        () =>
          stage.kubectl([
            'get',
            'events',
            '-n',
            NS,
            '-o',
            'jsonpath={range .items[*]}{.message}{"\\n"}{end}',
          ]),
        (text) => text.includes('pool tiny (10.67.0.0/31): 2 of 2 in use'),
        MINUTE_MS,
      );
      expect(answer).toContain('holder-a');
      expect(answer).toContain('holder-b');
      await stage.kubectl(['delete', 'pod', '-n', NS, 'holder-a', '--timeout=60s']);
      await runPods(stage, [{ ...spec, name: 'third' }]);
      await stage.kubectl(['delete', 'pod', '-n', NS, 'holder-b', 'third', '--timeout=60s']);
      await stage.kubectl(['delete', 'ippool', 'tiny']);
    },
    4 * MINUTE_MS,
  );
});

describe("two hosts that come back with each other's address", () => {
  it(
    'keep their names and pods; sessions and routes follow the new addresses',
    async () => {
      const [one, two] = [test.lab.host('node-1'), test.lab.host('node-2')];
      const startedAt = performance.now();
      await Promise.all([moveTo(test.lab, one, two.address), moveTo(test.lab, two, one.address)]);
      await stage.eventually(
        'the routes go to the other address',
        async () => (await learnedRoutes(stage, 'node-1')).map(({ gateway }) => gateway),
        (gateways) => gateways.length > 0 && gateways.every((gateway) => gateway === one.address),
        MINUTE_MS,
      );
      await stage.eventually(
        'the pods reach each other',
        () => answersIn(one, near, far),
        (isAnswered) => isAnswered,
        MINUTE_MS,
      );
      process.stdout.write(
        `addresses swapped: reachable again after ${Math.round(performance.now() - startedAt)} ms\n`,
      );
      const nodes = await stage.etcd('/calico/resources/v3/projectcalico.org/nodes/');
      const addresses = nodes.map(
        ({ value }) => (JSON.parse(value) as { spec: { bgp: { ipv4Address: string } } }).spec.bgp.ipv4Address,
      );
      expect(addresses).toEqual([`${two.address}/24`, `${one.address}/24`]);
    },
    4 * MINUTE_MS,
  );
});
