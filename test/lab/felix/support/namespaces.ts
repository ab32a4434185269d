// Network namespaces for kernel tests. Each is held by a `cat` that ends when its input closes, so that all are gone when the
// test process ends, however it ends. Nothing is left under /run/netns.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readlinkSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { runOk } from '../../../../lib/process/run.ts';
import { sys } from './syscalls.ts';

const OWN_NAMESPACE = '/proc/self/ns/net';

export class Namespace {
  readonly name: string;
  readonly path: string;
  /** Undefined: another process holds it. */
  readonly #holder: ChildProcess | undefined;
  readonly #fd: number;
  #isClosed = false;

  private constructor(name: string, path: string, holder: ChildProcess | undefined) {
    this.name = name;
    this.path = path;
    this.#holder = holder;
    this.#fd = openSync(path, 'r');
  }

  static async create(name: string): Promise<Namespace> {
    const holder = spawn('unshare', ['-n', 'cat'], { stdio: ['pipe', 'ignore', 'inherit'] });
    const path = `/proc/${holder.pid}/ns/net`;
    const ours = readlinkSync(OWN_NAMESPACE);
    const deadline = Date.now() + 5_000;
    while (linkOf(path) === ours) {
      if (Date.now() > deadline) throw new Error(`no namespace for ${name}`);
      await delay(1);
    }
    return new Namespace(name, path, holder);
  }

  /** One that another process holds. */
  static attach(name: string, path: string): Namespace {
    return new Namespace(name, path, undefined);
  }

  /** What goes before a command to run it in here. */
  get commandPrefix(): readonly string[] {
    return ['nsenter', `--net=${this.path}`];
  }

  async exec(command: string, ...args: string[]): Promise<string> {
    // Started from inside: one program less than by a command prefix.
    return (await this.inside(() => runOk(command, args))).stdout;
  }

  async ip(...lines: string[]): Promise<void> {
    await this.inside(() => runOk('ip', ['-batch', '-'], { input: `${lines.join('\n')}\n` }));
  }

  /** Runs synchronous code with this thread in the namespace: sockets made there stay there. */
  inside<T>(action: () => T): T {
    const own = openSync(OWN_NAMESPACE, 'r');
    try {
      sys.setns(this.#fd);
      return action();
    } finally {
      sys.setns(own);
      closeSync(own);
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#fd);
    this.#holder?.stdin?.end();
  }
}

/** Until `unshare` has run, the child is in our namespace; very early, there is no such process. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return readlinkSync(OWN_NAMESPACE);
  }
}
