// Where the scenes play: the cluster, who tells the story, and what scenes hand on to later ones. Commands that fail and
// conditions that do not come true end the scene (SceneError).

import { waitFor } from '../../lib/lifecycle/backoff.ts';
import type { RunResult } from '../../lib/process/run.ts';
import type { Cluster, ClusterHost } from './cluster.ts';
import type { Narrator } from './narrator.ts';
import { SceneError } from './scene-error.ts';

const PAUSE_MS = 100;
const DEFAULT_TIMEOUT_MS = 20_000;
/** After this long people are told what is waited for, and again each time. */
const PROGRESS_MS = 10_000;

/** A pod of the story. */
export interface PodRef {
  readonly namespace: string;
  readonly name: string;
  readonly node: string;
  readonly ip: string;
}

/** A key of etcd as it is stored. */
export interface EtcdEntry {
  readonly key: string;
  readonly value: string;
  readonly createRevision: number;
  readonly modRevision: number;
}

export class Stage {
  readonly cluster: Cluster;
  readonly narrator: Narrator;
  /** Pods by `namespace/name`. */
  readonly pods = new Map<string, PodRef>();
  /** The node that joins in one scene and leaves in another. */
  joined: ClusterHost | undefined;
  /** What is under way, in the order of its begin. */
  readonly #waits = new Set<{ readonly what: string; readonly startedAt: number }>();
  #timer: NodeJS.Timeout | undefined;

  constructor(cluster: Cluster, narrator: Narrator) {
    this.cluster = cluster;
    this.narrator = narrator;
  }

  /** Throws SceneError when a scene before has not made the pod. */
  pod(namespace: string, name: string): PodRef {
    const pod = this.pods.get(`${namespace}/${name}`);
    if (pod !== undefined) return pod;
    throw new SceneError({
      code: 'checkFailed',
      what: `pod ${namespace}/${name} runs`,
      found: 'no such pod',
    });
  }

  async kubectl(args: readonly string[], input?: string): Promise<string> {
    const command = ['kubectl', ...args];
    const work = () => this.cluster.kubectl(args, input === undefined ? {} : { input });
    return okOutput(command, await this.during(shortName(command), work));
  }

  async apply(objects: readonly object[]): Promise<void> {
    const list = { apiVersion: 'v1', kind: 'List', items: objects };
    await this.kubectl(['apply', '-f', '-'], JSON.stringify(list));
  }

  async onHost(node: string, argv: readonly [string, ...string[]]): Promise<string> {
    return okOutput([`${node}$`, ...argv], await this.cluster.onHost(node, argv));
  }

  /** Every entry below the prefix. */
  async etcd(prefix: string): Promise<readonly EtcdEntry[]> {
    const args = ['get', '--prefix', prefix, '-w', 'json'];
    const answer = JSON.parse(okOutput(['etcdctl', ...args], await this.cluster.etcdctl(args))) as {
      readonly kvs?: readonly {
        readonly key: string;
        readonly value?: string;
        readonly create_revision: number;
        readonly mod_revision: number;
      }[];
    };
    const text = (base64: string | undefined): string => Buffer.from(base64 ?? '', 'base64').toString();
    return (answer.kvs ?? []).map((kv) => ({
      key: text(kv.key),
      value: text(kv.value),
      createRevision: kv.create_revision,
      modRevision: kv.mod_revision,
    }));
  }

  /** The store's revision now. */
  async etcdRevision(): Promise<number> {
    const args = ['get', '/calico-ts/none', '-w', 'json'];
    const answer = JSON.parse(okOutput(['etcdctl', ...args], await this.cluster.etcdctl(args))) as {
      readonly header: { readonly revision: number };
    };
    return answer.header.revision;
  }

  /** The check passes or the scene ends. */
  check(isTrue: boolean, what: string, found: string): void {
    if (!isTrue) throw new SceneError({ code: 'checkFailed', what, found });
  }

  /**
   * Asks again until the answer is accepted, and gives it back. A command that fails counts as an answer that is not accepted:
   * what it asks may be on its way up.
   */
  async eventually<T>(
    what: string,
    ask: () => Promise<T>,
    accept: (answer: T) => boolean,
    timeoutMs = DEFAULT_TIMEOUT_MS,
  ): Promise<T> {
    return await this.during(what, async () => {
      const startedAt = performance.now();
      for (;;) {
        const found = await tried(ask);
        if (found.ok && accept(found.answer)) return found.answer;
        if (performance.now() - startedAt > timeoutMs)
          throw new SceneError({ code: 'timedOut', what, timeoutMs, found: describe(found) });
        await waitFor(PAUSE_MS);
      }
    });
  }

  /** Does the work; while it lasts, people are told every ten seconds what they wait for: of works side by side, the eldest. */
  async during<T>(what: string, work: () => Promise<T>): Promise<T> {
    const wait = { what, startedAt: performance.now() };
    this.#waits.add(wait);
    this.#timer ??= setInterval(() => this.#tellEldest(), PROGRESS_MS);
    try {
      return await work();
    } finally {
      this.#waits.delete(wait);
      if (this.#waits.size === 0) {
        clearInterval(this.#timer);
        this.#timer = undefined;
      }
    }
  }

  #tellEldest(): void {
    const [eldest] = this.#waits;
    if (eldest === undefined) return;
    this.narrator.waiting(eldest.what, Math.round((performance.now() - eldest.startedAt) / 1000));
  }
}

type Tried<T> = { readonly ok: true; readonly answer: T } | { readonly ok: false; readonly message: string };

async function tried<T>(ask: () => Promise<T>): Promise<Tried<T>> {
  try {
    return { ok: true, answer: await ask() };
  } catch (error) {
    if (!(error instanceof SceneError)) throw error;
    return { ok: false, message: error.message };
  }
}

/** Without the program that an exec runs: it may be a whole script. */
function shortName(command: readonly string[]): string {
  const end = command.indexOf('--');
  return (end === -1 ? command : command.slice(0, end)).join(' ');
}

function describe(found: Tried<unknown>): string {
  if (!found.ok) return found.message;
  return typeof found.answer === 'string' ? found.answer : (JSON.stringify(found.answer) ?? 'nothing');
}

function okOutput(argv: readonly string[], result: RunResult): string {
  if (result.code === 0) return result.stdout;
  const output = `${result.stdout}${result.stderr}`;
  throw new SceneError({ code: 'commandFailed', command: argv.join(' '), output });
}
