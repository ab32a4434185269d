// Plays the story on a running lab, from within it. Arguments: --state-dir DIR --calicoctl PROGRAM (a file for Node).

import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ProcessError } from '../../lib/process/process-error.ts';
import { callControl } from '../control.ts';
import { etcdctlEnvironment } from '../etcd.ts';
import { LabCluster } from './lab-cluster.ts';
import { textNarrator } from './narrator.ts';
import { SceneError, StoryError } from './scene-error.ts';
import { playStory } from './story.ts';

const NEXT = `Again: npm run lab -- story; what went on: npm run lab -- calicoctl events, npm run lab -- logs; end it: npm run lab -- --down`;

async function main(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: { 'state-dir': { type: 'string' }, calicoctl: { type: 'string' } },
  });
  const { 'state-dir': stateDir, calicoctl } = values;
  if (stateDir === undefined || calicoctl === undefined) throw new Error('--state-dir, --calicoctl: needed');
  const { etcdEndpoint } = await callControl(stateDir, { op: 'status' });
  const cluster = new LabCluster({
    stateDir,
    etcdctlEnvironment: etcdctlEnvironment(etcdEndpoint, join(stateDir, 'certificates/etcd-root')),
    kubeconfig: join(stateDir, 'kubeconfig'),
    calicoctl: [process.execPath, calicoctl],
    env: process.env,
    hosts: async () => (await callControl(stateDir, { op: 'status' })).hosts,
    addHost: async (name) => {
      await callControl(stateDir, { op: 'addHost', name, kind: 'node' });
    },
    removeHost: async (name) => {
      await callControl(stateDir, { op: 'removeHost', name, how: 'shut-down' });
    },
  });
  const startedAt = performance.now();
  await playStory(
    cluster,
    textNarrator((line) => console.log(line)),
  );
  console.log(`\nevery scene checked out, after ${((performance.now() - startedAt) / 1000).toFixed(1)} s`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (![StoryError, SceneError, ProcessError].some((kind) => error instanceof kind)) throw error;
  console.error(`\n${(error as Error).message}`);
  if (error instanceof StoryError) console.error(NEXT);
  process.exitCode = 1;
}
