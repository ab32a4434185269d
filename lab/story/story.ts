// The story: five scenes that play on a cluster and check themselves. `npm run demo`, `npm run lab` and the tests play them.

import { ProcessError } from '../../lib/process/process-error.ts';
import type { Cluster } from './cluster.ts';
import type { Narrator } from './narrator.ts';
import { clearPods } from './pods.ts';
import { SceneError, StoryError } from './scene-error.ts';
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

/**
 * Plays every scene and tidies up, also after a failure. Throws StoryError with the first thing that was not so, and SceneError
 * or ProcessError where only the tidying failed.
 */
export async function playStory(
  cluster: Cluster,
  narrator: Narrator,
  scenes: readonly Scene[] = SCENES,
): Promise<void> {
  const stage = new Stage(cluster, narrator);
  try {
    for (const [index, scene] of scenes.entries()) {
      narrator.scene(index + 1, scene.title);
      await scene.play(stage).catch((error: unknown) => {
        if (!isOutcome(error)) throw error;
        throw new StoryError({ number: index + 1, title: scene.title }, cluster.name, error);
      });
    }
  } catch (error) {
    // What ended the story is what is told; a cluster that does so badly may not be tidied either.
    await clearPods(stage).catch((failure: unknown) => {
      if (!isOutcome(failure)) throw failure;
    });
    throw error;
  }
  await clearPods(stage);
}

/** No bug of ours: the cluster did not do as told. */
function isOutcome(error: unknown): error is SceneError | ProcessError {
  return error instanceof SceneError || error instanceof ProcessError;
}
