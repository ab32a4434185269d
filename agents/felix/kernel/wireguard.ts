// WireGuard through wg(8): it reads its configuration from standard input, so no key is ever on a command line, and it speaks to the kernel's
// devices and to userspace ones (wireguard-go) alike. A host's private keys are made here, once, and leave neither their files nor this process.

import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ProcessError } from '../../../lib/process/process-error.ts';
import { runOk } from '../../../lib/process/run.ts';

const TIMEOUT_MS = 10_000;
const HIDDEN = '(hidden)';
/** PKCS #8 of an X25519 key (RFC 8410 7), up to the key's own 32 octets. */
const PKCS8_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex');
const KEY_LENGTH = 32;

export class Wireguard {
  readonly #program: string;

  constructor(program = 'wg') {
    this.#program = program;
  }

  /** The public key of the private one in the file, which is made where there is none. Throws an Error where there is no `wg` to use it. */
  async key(file: string): Promise<string> {
    await this.#run([this.#program, '--version']);
    return publicKeyOf(await readOrMake(file));
  }

  /**
   * Brings the device to the configuration and nothing else. Throws an Error with the words of `wg`. What Node gives a child to read is a
   * socket, and `wg` opens its input by name, which only a pipe or a file bears: hence `cat`.
   */
  async configure(device: string, file: string, configuration: string): Promise<void> {
    const key = (await readOrMake(file)).toString('base64');
    await this.#run(
      ['sh', '-c', 'cat | "$0" syncconf "$1" /dev/stdin', this.#program, device],
      `[Interface]\nPrivateKey = ${key}\n${configuration}`,
    );
  }

  /** `wg show DEVICE dump` without its secrets. */
  async show(device: string): Promise<string> {
    const lines = (await this.#run([this.#program, 'show', device, 'dump']))
      .split('\n')
      .filter((line) => line !== '');
    return lines.map((line, at) => withoutSecret(line, at === 0 ? 0 : 1)).join('\n');
  }

  async #run([program, ...args]: readonly [string, ...string[]], input?: string): Promise<string> {
    try {
      const { stdout } = await runOk(program, args, {
        timeoutMs: TIMEOUT_MS,
        ...(input === undefined ? {} : { input }),
      });
      return stdout;
    } catch (error) {
      if (!(error instanceof ProcessError)) throw error;
      if (error.type.code === 'spawnFailed' && error.type.errno === 'ENOENT')
        throw new Error('the program wg is not there: package wireguard-tools', { cause: error });
      const said = error.type.code === 'failed' ? error.type.output.trim() : error.message;
      throw new Error(said, { cause: error });
    }
  }
}

function withoutSecret(line: string, secret: number): string {
  return line
    .split('\t')
    .map((field, at) => (at === secret ? HIDDEN : field))
    .join('\t');
}

async function readOrMake(file: string): Promise<Buffer> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    return await make(file);
  }
  const key = Buffer.from(text.trim(), 'base64');
  // Not made anew: whoever put something else there must say so.
  if (key.length !== KEY_LENGTH) throw new Error(`${file} holds no private key`);
  return key;
}

/** On disk before anybody hears of it: a key that is lost with a crash would be another node's peer. */
async function make(file: string): Promise<Buffer> {
  const { privateKey } = generateKeyPairSync('x25519');
  const key = Buffer.from(privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-KEY_LENGTH));
  clamp(key);
  await mkdir(dirname(file), { recursive: true, mode: 0o700 });
  const unfinished = `${file}.unfinished`;
  const handle = await open(unfinished, 'w', 0o600);
  try {
    await handle.writeFile(`${key.toString('base64')}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(unfinished, file);
  return key;
}

/** RFC 7748 5: so that the file holds what the kernel uses. */
function clamp(key: Buffer): void {
  key.writeUInt8(key.readUInt8(0) & 0xf8, 0);
  key.writeUInt8((key.readUInt8(KEY_LENGTH - 1) & 0x7f) | 0x40, KEY_LENGTH - 1);
}

function publicKeyOf(key: Buffer): string {
  const privateKey = createPrivateKey({
    key: Buffer.concat([PKCS8_HEAD, key]),
    format: 'der',
    type: 'pkcs8',
  });
  const spki = createPublicKey(privateKey).export({ format: 'der', type: 'spki' });
  return spki.subarray(-KEY_LENGTH).toString('base64');
}
