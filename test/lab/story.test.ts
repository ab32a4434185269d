// The story, played on a lab: the same scenes as `npm run demo` and `npm run lab` show, each checking itself.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Narrator } from '../../lab/story/narrator.ts';
import { clearPods } from '../../lab/story/pods.ts';
import { Stage } from '../../lab/story/stage.ts';
import { SCENES } from '../../lab/story/story.ts';
import { labCluster } from './support/lab-cluster.ts';
import { startTestLab, type TestLab } from './support/test-lab.ts';

const START_MS = 120_000;
const SCENE_MS = 120_000;

describe('the story', () => {
  const told: string[] = [];
  const narrator: Narrator = {
    scene: () => told.splice(0),
    step: (text) => told.push(text),
    artefact: (source, text) => told.push(`${source}\n${text}`),
    waiting: () => undefined,
  };
  let test: TestLab;
  let stage: Stage;

  beforeAll(async () => {
    test = await startTestLab({ hosts: 3, isCluster: true });
    stage = new Stage(labCluster(test.lab), narrator);
  }, START_MS);

  afterAll(async () => {
    await test.stop();
  }, START_MS);

  for (const [index, scene] of SCENES.entries()) {
    it(
      `${index + 1}: ${scene.title}`,
      async () => {
        narrator.scene(index + 1, scene.title);
        await scene.play(stage);
        // A scene that tells nothing has shown nothing.
        expect(told.length).toBeGreaterThan(3);
      },
      SCENE_MS,
    );
  }

  it(
    'leaves nothing of itself when it is over',
    async () => {
      await clearPods(stage);
      expect(await stage.etcd('/registry/pods/story-')).toEqual([]);
      expect(await stage.etcd('/calico/resources/v3/projectcalico.org/workloadendpoints/story-')).toEqual([]);
      expect(await stage.etcd('/calico/ipam/v2/handle/')).toEqual([]);
    },
    SCENE_MS,
  );
});
