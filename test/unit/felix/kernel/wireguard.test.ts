// WireGuard's keys and its tool, as the kernel writer uses them: real files, and a `wg` that writes down how it was called.

import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Wireguard } from '../../../../agents/felix/kernel/wireguard.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'calico-wireguard-'));
  file = join(folder, 'keys', 'ipv4');
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** Stands in for wg(8): it says `output`, and keeps its arguments and what it was given to read. */
function standIn(output: string): {
  readonly wireguard: Wireguard;
  readonly args: () => string;
  readonly input: () => string;
} {
  const script = join(folder, 'wg');
  writeFileSync(join(folder, 'output'), output);
  writeFileSync(
    script,
    `#!/bin/sh\necho "$*" >>${folder}/args\n[ "$3" = /dev/stdin ] && cat /dev/stdin >${folder}/input\ncat ${folder}/output\n`,
  );
  chmodSync(script, 0o755);
  return {
    wireguard: new Wireguard(script),
    args: () => readFileSync(join(folder, 'args'), 'utf8'),
    input: () => readFileSync(join(folder, 'input'), 'utf8'),
  };
}

describe('a key', () => {
  it('is made once, for its owner alone to read, and kept', async () => {
    const { wireguard } = standIn('');
    const publicKey = await wireguard.key(file);
    expect(Buffer.from(publicKey, 'base64')).toHaveLength(32);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(folder, 'keys')).mode & 0o777).toBe(0o700);
    const privateKey = readFileSync(file, 'utf8');
    // RFC 7748 5: clamped, as the kernel shows it.
    const octets = Buffer.from(privateKey, 'base64');
    expect(octets.readUInt8(0) & 7).toBe(0);
    expect(octets.readUInt8(31) >> 6).toBe(1);
    expect(privateKey.trim()).not.toBe(publicKey);
    expect(await wireguard.key(file)).toBe(publicKey);
    expect(readFileSync(file, 'utf8')).toBe(privateKey);
    expect(await wireguard.key(join(folder, 'keys', 'ipv6'))).not.toBe(publicKey);
  });

  it('RFC 7748 6.1: has the public key of the private one', async () => {
    const { wireguard } = standIn('');
    const hex = (text: string): Buffer => Buffer.from(text, 'hex');
    const bob = hex('5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb');
    writeFileSync(join(folder, 'bob'), bob.toString('base64'));
    expect(await wireguard.key(join(folder, 'bob'))).toBe(
      hex('de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f').toString('base64'),
    );
  });

  it('is not made anew over what is no key', async () => {
    const { wireguard } = standIn('');
    writeFileSync(join(folder, 'other'), 'secret notes\n');
    await expect(wireguard.key(join(folder, 'other'))).rejects.toThrow('holds no private key');
    expect(readFileSync(join(folder, 'other'), 'utf8')).toBe('secret notes\n');
  });

  it('is not made where nothing could use it', async () => {
    const wireguard = new Wireguard(join(folder, 'wg'));
    await expect(wireguard.key(file)).rejects.toThrow('the program wg is not there: package wireguard-tools');
    expect(() => statSync(file)).toThrow();
  });
});

describe('the tool', () => {
  it('reads the private key from standard input, before the rest, and has none in its arguments', async () => {
    const { wireguard, ...tool } = standIn('');
    await wireguard.key(file);
    await wireguard.configure('wireguard.cali', file, '[Interface]\nListenPort = 51820\n');
    const key = readFileSync(file, 'utf8').trim();
    expect(tool.args()).toBe('--version\nsyncconf wireguard.cali /dev/stdin\n');
    expect(tool.input()).toBe(`[Interface]\nPrivateKey = ${key}\n[Interface]\nListenPort = 51820\n`);
  });

  it('has its secrets taken out of what it says', async () => {
    const { wireguard } = standIn(
      'PRIVATE\tPUBLIC\t51820\toff\nPEER\tPRESHARED\t172.30.0.12:51820\t10.65.2.0/26\t0\t0\t0\toff\n',
    );
    expect(await wireguard.show('wireguard.cali')).toBe(
      '(hidden)\tPUBLIC\t51820\toff\nPEER\t(hidden)\t172.30.0.12:51820\t10.65.2.0/26\t0\t0\t0\toff',
    );
  });
});
