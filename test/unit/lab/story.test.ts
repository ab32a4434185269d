// What people are told of a story that fails, and while they wait.
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { startCapture } from '../../../lab/story/bgp-capture.ts';
import type { Cluster } from '../../../lab/story/cluster.ts';
import { type Narrator, silentNarrator } from '../../../lab/story/narrator.ts';
import { SceneError } from '../../../lab/story/scene-error.ts';
import { Stage } from '../../../lab/story/stage.ts';
import { playStory, type Scene } from '../../../lab/story/story.ts';
import type { RunResult } from '../../../lib/process/run.ts';

/** Nothing but a kubectl. */
function cluster(kubectl: Cluster['kubectl']): Cluster {
  return { name: 'the cluster', kubectl } as unknown as Cluster;
}

const OK = { code: 0, signal: null, stdout: '', stderr: '' } as RunResult;
const passes = async (): Promise<void> => undefined;
const fails = async (): Promise<void> => {
  throw new SceneError({ code: 'timedOut', what: 'a route is there', timeoutMs: 20, found: 'none' });
};

describe('a story that fails', () => {
  const scenes: readonly Scene[] = [
    { title: 'one', play: passes },
    { title: 'two', play: passes },
    { title: 'a pod is added', play: fails },
    { title: 'never', play: passes },
  ];

  it('names the scene, what passed and how the cluster is left', async () => {
    const told = playStory(
      cluster(async () => OK),
      silentNarrator,
      scenes,
    );
    await expect(told).rejects.toMatchObject({
      name: 'StoryError',
      message: [
        'Scene 3 failed: a pod is added',
        'not within 20 ms: a route is there',
        'found: none',
        '',
        'Scenes 1 to 2 passed; the cluster is still up.',
      ].join('\n'),
    });
  });

  it('tells of the scene also where the tidying fails too', async () => {
    const told = playStory(
      cluster(async () => ({ ...OK, code: 1 })),
      silentNarrator,
      scenes,
    );
    await expect(told).rejects.toThrow('Scene 3 failed: a pod is added');
  });
});

describe('a capture', () => {
  it('that never listens is told in words, not as the command', async () => {
    const argv = ['sh', '-c', 'echo no such device >&2; exec sleep 60'] as const;
    const told = startCapture('node-2', { argv, readyTimeoutMs: 300 });
    await expect(told).rejects.toThrow('not within 300 ms: tcpdump listens on node-2\nfound: no such device');
  });

  it('is ready with the line that says that it listens, however late', async () => {
    const argv = ['sh', '-c', 'sleep 0.2; echo tcpdump: listening on eth0 >&2; exec sleep 60'] as const;
    const service = await startCapture('node-2', { argv });
    expect(service.output()).toContain('listening on');
    await service.stop();
  });
});

describe('while works last side by side', () => {
  afterEach(() => {
    jest.useRealTimers();
  });

  it('tells every ten seconds of the eldest, without the script that it runs', async () => {
    jest.useFakeTimers();
    const told: string[] = [];
    const narrator: Narrator = {
      ...silentNarrator,
      waiting: (what, seconds) => told.push(`${seconds} s: ${what}`),
    };
    const ends: (() => void)[] = [];
    const stage = new Stage(
      cluster(() => new Promise((resolve) => ends.push(() => resolve(OK)))),
      narrator,
    );
    const script = ['--', 'sh', '-c', 'echo "$(wget …)"'];
    const works = ['a', 'b', 'c', 'd'].map((pod) => stage.kubectl(['exec', '-n', 'blue', pod, ...script]));
    await jest.advanceTimersByTimeAsync(21_000);
    expect(told).toEqual(['10 s: kubectl exec -n blue a', '20 s: kubectl exec -n blue a']);
    for (const end of ends) end();
    await Promise.all(works);
    expect(jest.getTimerCount()).toBe(0);
  });
});
