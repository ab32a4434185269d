// Pseudo terminals for `exec -t`, which Node does not offer: pty(7) through koffi, loaded when the first one is asked for.

import { closeSync, constants, openSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { RuntimeError } from './container-runtime.ts';

const TIOCSWINSZ = 0x5414;
const MAX_NAME = 128;
/** A terminal without a size is one of 0 by 0, which few programs bear. */
const DEFAULT_COLUMNS = 80;
const DEFAULT_ROWS = 24;

interface Libc {
  readonly posixOpenpt: (flags: number) => number;
  readonly grantpt: (fd: number) => number;
  readonly unlockpt: (fd: number) => number;
  readonly ptsname: (fd: number, name: Uint8Array, length: number) => number;
  readonly ioctl: (fd: number, request: number, argument: Uint8Array) => number;
}
let loaded: Promise<Libc> | undefined;

async function load(): Promise<Libc> {
  const { default: koffi } = await import('koffi');
  const library = koffi.load('libc.so.6');
  return {
    posixOpenpt: library.func('int posix_openpt(int)') as Libc['posixOpenpt'],
    grantpt: library.func('int grantpt(int)') as Libc['grantpt'],
    unlockpt: library.func('int unlockpt(int)') as Libc['unlockpt'],
    ptsname: library.func('int ptsname_r(int, void *, size_t)') as Libc['ptsname'],
    ioctl: library.func('int ioctl(int, unsigned long, void *)') as Libc['ioctl'],
  };
}

/** Both ends of a terminal. The caller hands `slave` to a child and closes it with `closeSlave`. */
export interface Terminal {
  readonly slave: number;
  /** What the child writes, and the way to write to it; ends when the child's side is closed. */
  readonly stream: ReadStream;
  resize(columns: number, rows: number): void;
  closeSlave(): void;
}

/** Throws RuntimeError `unsupported` where there is no /dev/ptmx. */
export async function openTerminal(): Promise<Terminal> {
  loaded ??= load();
  const libc = await loaded;
  const master = libc.posixOpenpt(constants.O_RDWR | constants.O_NOCTTY);
  if (master < 0)
    throw new RuntimeError({ code: 'unsupported', what: 'a terminal on a node without /dev/ptmx' });
  const name = new Uint8Array(MAX_NAME);
  const isReady =
    libc.grantpt(master) === 0 && libc.unlockpt(master) === 0 && libc.ptsname(master, name, MAX_NAME) === 0;
  if (!isReady) {
    closeSync(master);
    throw new RuntimeError({ code: 'unsupported', what: 'a terminal on a node without /dev/pts' });
  }
  const path = Buffer.from(name.subarray(0, name.indexOf(0))).toString('utf8');
  const slave = openSync(path, constants.O_RDWR | constants.O_NOCTTY);
  const stream = new ReadStream(master);
  let isSlaveOpen = true;
  const resize = (columns: number, rows: number): void => {
    if (stream.destroyed) return;
    // struct winsize: rows, columns, and two that nobody uses.
    const size = new Uint8Array(8);
    const view = new DataView(size.buffer);
    view.setUint16(0, rows, true);
    view.setUint16(2, columns, true);
    libc.ioctl(master, TIOCSWINSZ, size);
  };
  // The caller's own size comes over the wire after the command has begun.
  resize(DEFAULT_COLUMNS, DEFAULT_ROWS);
  return {
    slave,
    stream,
    resize,
    closeSlave: () => {
      if (isSlaveOpen) closeSync(slave);
      isSlaveOpen = false;
    },
  };
}
