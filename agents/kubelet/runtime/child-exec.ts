// A command in a container as a child process of the kubelet, with pipes or a terminal of its own.

import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { Duplex, Readable } from 'node:stream';
import { type ExecProcess, type ExecRequest, MAX_PENDING_INPUT_BYTES } from './container-runtime.ts';
import { openTerminal, type Terminal } from './terminal.ts';

type Ended = Awaited<ExecProcess['ended']>;

/** Of util-linux. */
const SETSID = 'setsid';

/** `argv` enters the container and runs the command; it finds the file open as descriptor 3. */
export async function startChildExec(
  argv: readonly string[],
  request: ExecRequest,
  environmentFile: string,
): Promise<ExecProcess> {
  const terminal = request.tty ? await openTerminal() : undefined;
  const environment = openSync(environmentFile, 'r');
  try {
    return terminal === undefined
      ? new PipedExec(argv, request, environment)
      : new TerminalExec(argv, terminal, environment);
  } finally {
    closeSync(environment);
  }
}

class PipedExec implements ExecProcess {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;

  constructor([program = '', ...args]: readonly string[], request: ExecRequest, environment: number) {
    this.#child = spawn(program, args, {
      // A group of its own, so that a hang-up reaches all that the command started.
      detached: true,
      stdio: [
        request.stdin ? 'pipe' : 'ignore',
        request.stdout ? 'pipe' : 'ignore',
        request.stderr ? 'pipe' : 'ignore',
        environment,
      ],
    });
    // A command that ends without reading its input closes the pipe under us.
    for (const stream of this.#child.stdio) stream?.on('error', () => undefined);
    this.ended = endOf(this.#child);
  }

  onStdout(listener: (chunk: Buffer) => void): void {
    this.#child.stdout?.on('data', listener);
  }

  onStderr(listener: (chunk: Buffer) => void): void {
    this.#child.stderr?.on('data', listener);
  }

  write(chunk: Buffer): void {
    const { stdin } = this.#child;
    if (stdin === null || stdin.destroyed) return;
    stdin.write(chunk);
    if (stdin.writableLength > MAX_PENDING_INPUT_BYTES) this.hangUp();
  }

  endInput(): void {
    this.#child.stdin?.end();
  }

  resize(): void {}

  pause(): void {
    for (const stream of this.#outputs()) stream.pause();
  }

  resume(): void {
    for (const stream of this.#outputs()) stream.resume();
  }

  hangUp(): void {
    hangUpGroup(this.#child);
  }

  #outputs(): readonly Readable[] {
    return [this.#child.stdout, this.#child.stderr].filter((stream) => stream !== null);
  }
}

class TerminalExec implements ExecProcess {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcess;
  readonly #terminal: Terminal;
  readonly #stream: Duplex;

  constructor(argv: readonly string[], terminal: Terminal, environment: number) {
    const { slave, stream } = terminal;
    this.#terminal = terminal;
    this.#stream = stream;
    // setsid makes the terminal (its standard input) the controlling one and runs the command in its own place.
    this.#child = spawn(SETSID, ['-c', ...argv], { stdio: [slave, slave, slave, environment] });
    // EIO is how a terminal says that the other side has been closed.
    const closed = new Promise<void>((resolve) => {
      stream.once('error', () => resolve());
      stream.once('end', () => resolve());
      stream.once('close', () => resolve());
    });
    stream.on('error', () => stream.destroy());
    this.#child.once('spawn', () => terminal.closeSlave());
    this.#child.once('error', () => terminal.closeSlave());
    this.ended = this.#end(closed);
  }

  async #end(closed: Promise<void>): Promise<Ended> {
    const ended = await endOf(this.#child);
    // What was written last is read first; something in the background may hold the terminal open.
    const limit = new Promise<void>((resolve) => setTimeout(resolve, LAST_OUTPUT_MS));
    await Promise.race([closed, limit]);
    this.#stream.destroy();
    return ended;
  }

  onStdout(listener: (chunk: Buffer) => void): void {
    this.#stream.on('data', listener);
  }

  onStderr(): void {}

  write(chunk: Buffer): void {
    if (this.#stream.destroyed) return;
    this.#stream.write(chunk);
    if (this.#stream.writableLength > MAX_PENDING_INPUT_BYTES) this.hangUp();
  }

  /** End of transmission, as a person would type it. */
  endInput(): void {
    this.write(Buffer.from([4]));
  }

  resize(columns: number, rows: number): void {
    this.#terminal.resize(columns, rows);
  }

  pause(): void {
    this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  hangUp(): void {
    hangUpGroup(this.#child);
    this.#stream.destroy();
  }
}

const LAST_OUTPUT_MS = 500;

function endOf(child: ChildProcess): Promise<Ended> {
  return new Promise((resolve) => {
    child.once('error', (error) => resolve({ exitCode: 126, message: error.message }));
    const isPiped = child.stdout !== null || child.stderr !== null;
    // With pipes 'close' comes after the last output.
    child.once(isPiped ? 'close' : 'exit', (code: number | null, signal: NodeJS.Signals | null) =>
      resolve({ exitCode: code ?? (signal === 'SIGHUP' ? 129 : 137) }),
    );
  });
}

/** Hang-up first; a command that does not listen is killed. */
function hangUpGroup(child: ChildProcess): void {
  const { pid } = child;
  if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const send = (name: NodeJS.Signals): void => {
    try {
      process.kill(-pid, name);
    } catch {
      // ESRCH: it has ended.
    }
  };
  send('SIGHUP');
  const timer = setTimeout(() => send('SIGKILL'), 2000);
  child.once('exit', () => clearTimeout(timer));
}
