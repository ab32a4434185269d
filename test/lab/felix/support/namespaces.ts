// Network namespaces for kernel tests. Each is held by an open file alone, so that all are gone when the test process ends, however
// it ends. Nothing is left under /run/netns.

import { closeSync, openSync, writeFileSync } from 'node:fs';
import { runOk } from '../../../../lib/process/run.ts';
import { sys } from './syscalls.ts';

const OWN_NAMESPACE = '/proc/self/ns/net';

export class Namespace {
  readonly name: string;
  readonly path: string;
  readonly #fd: number;
  #isClosed = false;

  private constructor(name: string, fd: number) {
    this.name = name;
    this.path = `/proc/${process.pid}/fd/${fd}`;
    this.#fd = fd;
  }

  static create(name: string): Namespace {
    return new Namespace(
      name,
      backAfterwards(() => {
        sys.unshareNetwork();
        return openSync(OWN_NAMESPACE, 'r');
      }),
    );
  }

  /** One that another process holds. */
  static attach(name: string, path: string): Namespace {
    return new Namespace(name, openSync(path, 'r'));
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

  /** `path` below /proc/sys: net/… */
  setSysctl(path: string, value: string): void {
    this.inside(() => writeFileSync(`/proc/sys/${path}`, value));
  }

  /** Runs synchronous code with this thread in the namespace: sockets made there stay there. */
  inside<T>(action: () => T): T {
    return backAfterwards(() => {
      sys.setns(this.#fd);
      return action();
    });
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    closeSync(this.#fd);
  }
}

/** Whatever namespace the action brings this thread to. */
function backAfterwards<T>(action: () => T): T {
  const own = openSync(OWN_NAMESPACE, 'r');
  try {
    return action();
  } finally {
    sys.setns(own);
    closeSync(own);
  }
}
