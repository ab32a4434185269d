// The story: five scenes that play on a cluster and check themselves. `npm run demo`, `npm run lab` and the tests play them.

import type { Cluster } from './cluster.ts';
import type { Narrator } from './narrator.ts';
import { clearPods } from './pods.ts';
import { playLifeOfAPod } from './scenes/life-of-a-pod.ts';
import { playNodeJoins } from './scenes/node-joins.ts';
import { playNodeLeaves } from './scenes/node-leaves.ts';
import { playPolicy } from './scenes/policy.ts';
import { playReach } from './scenes/reach.ts';
import { Stage } from './stage.ts';

export interface Scene {
  readonly title: string;
  /** Throws SceneError where the cluster is not as told. Scenes build on those before them. */
  readonly play: (stage: Stage) => Promise<void>;
}

export const SCENES: readonly Scene[] = [
  { title: 'pods in three namespaces on three hosts reach one another, no bridge', play: playReach },
  { title: 'a policy lets only labelled pods, then only one namespace, reach a pod', play: playPolicy },
  { title: 'a pod is added: what happens, where it is seen, how long it takes', play: playLifeOfAPod },
  { title: 'a node joins', play: playNodeJoins },
  { title: 'a node leaves', play: playNodeLeaves },
];

/** Plays every scene and tidies up, also after a failure. Throws SceneError with the first thing that was not so. */
export async function playStory(cluster: Cluster, narrator: Narrator): Promise<void> {
  const stage = new Stage(cluster, narrator);
  try {
    for (const [index, scene] of SCENES.entries()) {
      narrator.scene(index + 1, scene.title);
      await scene.play(stage);
    }
  } finally {
    await clearPods(stage);
  }
}
