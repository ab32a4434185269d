// The guard of the kubernetes plugin: deny, then run. With the plugin frozen a pod that a policy selects does not start, says
// what it waits for, and no packet gets through to its address before or after.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { FABRIC_PROCESSES_WITH_PLUGIN_APART } from '../../lab/processes.ts';
import { silentNarrator } from '../../lab/story/narrator.ts';
import { namespaceObject, podObject, reaches, runPods } from '../../lab/story/pods.ts';
import { Stage } from '../../lab/story/stage.ts';
import { freeze } from '../support/freeze.ts';
import { onlyFrom, podNetns } from './support/faults.ts';
import { labCluster } from './support/lab-cluster.ts';
import { startProber } from './support/prober.ts';
import { startTestLab, type TestLab } from './support/test-lab.ts';

const MINUTE_MS = 60_000;
const NS = 'guard';
/** The pod asks for it, so that probes can be under way before there is a pod. */
const ADDRESS = '10.65.200.5';
const PROBE_EVERY_SECONDS = 0.01;

let test: TestLab;
let stage: Stage;

beforeAll(async () => {
  test = await startTestLab({
    hosts: 1,
    isCluster: true,
    fabricProcesses: FABRIC_PROCESSES_WITH_PLUGIN_APART,
  });
  stage = new Stage(labCluster(test.lab), silentNarrator);
  await stage.apply([namespaceObject(NS)]);
  await runPods(stage, [{ namespace: NS, name: 'near', node: 'node-1' }]);
}, 3 * MINUTE_MS);

afterAll(async () => {
  await test?.stop();
}, MINUTE_MS);

describe('a frozen kubernetes plugin', () => {
  it(
    'lets no pod start unpoliced: it says what it waits for, and no packet ever passes',
    async () => {
      const near = stage.pod(NS, 'near');
      const host = test.lab.host('node-1');
      const guarded = {
        namespace: NS,
        name: 'guarded',
        node: 'node-1',
        annotations: { 'cni.projectcalico.org/ipAddrs': JSON.stringify([ADDRESS]) },
      };
      const plugin = test.lab.fabricProcess('plugin');
      const prober = await startProber(host, await podNetns(host, near), ADDRESS, PROBE_EVERY_SECONDS);
      try {
        await freeze(plugin?.pid);
        await stage.apply([onlyFrom(NS, 'guarded', 'nobody'), podObject(guarded)]);
        const events = await stage.eventually(
          'the pod says what it waits for',
          () => stage.kubectl(['get', 'events', '-n', NS, '-o', 'json']),
          (text) => text.includes('waiting for the kubernetes plugin to mirror policies up to revision'),
          MINUTE_MS,
        );
        expect(events).toContain('guarded');
        const pod = JSON.parse(await stage.kubectl(['get', 'pod', '-n', NS, 'guarded', '-o', 'json'])) as {
          status: { phase: string; podIP?: string };
        };
        expect(pod.status).toMatchObject({ phase: 'Pending' });
        expect(pod.status.podIP).toBeUndefined();
      } finally {
        plugin?.kill('SIGCONT');
      }
      const [{ ip } = { ip: '' }] = await runPods(stage, [guarded]);
      expect(ip).toBe(ADDRESS);
      expect(await reaches(stage, near, stage.pod(NS, 'guarded'))).toBe(false);
      const { sent, received } = await prober.stop();
      process.stdout.write(`${sent} probes while the pod waited and began: ${received} answered\n`);
      expect(sent).toBeGreaterThan(100);
      expect(received).toBe(0);
      // And it is told who said so: agent, controller and command line together.
      const flows = await stage.eventually(
        'calicoctl flows shows the denial',
        async () =>
          (await stage.cluster.calicoctl(['flows', '--dst', `${NS}/guarded`, '--src', 'near'])).stdout,
        (text) => text.includes(`${NS}/near`),
      );
      expect(flows).toMatch(
        /denied at the end of tier default: no ingress rule matched, where NetworkPolicy guard\/knp\.default\.only-nobody is the last to apply/,
      );
      // The same probe is answered once nothing forbids it: it could have seen a hole.
      await stage.kubectl(['delete', 'networkpolicy', '-n', NS, 'only-nobody']);
      await stage.eventually(
        'without the policy it is reached',
        () => reaches(stage, near, stage.pod(NS, 'guarded')),
        (isReached) => isReached,
      );
    },
    4 * MINUTE_MS,
  );
});
