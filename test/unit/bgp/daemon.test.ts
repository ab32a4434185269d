// bgpd without a kernel to write to: which configuration wins while it starts and ends, and what it says when its folder
// cannot be written to. A FIFO in the saved configuration's place holds the start up for as long as a test wants.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Daemon } from '../../../agents/bgp/daemon.ts';
import { EventLog } from '../../../lib/events/event-log.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import { runOk } from '../../../lib/process/run.ts';
import type { BgpdConfigurationInput } from '../../../lib/protocol/bgpd.ts';
import { BgpdClient } from '../../../lib/protocol/bgpd-client.ts';
import { until } from '../../support/until.ts';
import { freePort } from './session/raw-peer.ts';

let stateDir: string;
let port: number;
let events: EventLog;
let daemon: Daemon;
let stop: () => Promise<void>;
const clients: BgpdClient[] = [];

beforeEach(async () => {
  stateDir = mkdtempSync(join(tmpdir(), 'bgpd-'));
  port = await freePort();
  events = new EventLog({ host: 'test' });
  daemon = new Daemon({
    stateDir,
    host: 'test',
    log: silentLogger(),
    events,
    onEnd: () => undefined,
    saveRetryMs: 20,
  });
  stop = () => daemon.stop('shutdown');
});
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await stop();
  rmSync(stateDir, { recursive: true, force: true });
});

const configuration = (routerId: string): BgpdConfigurationInput => ({
  routerId,
  asn: 65000,
  listen: [{ address: '127.0.0.1', port }],
  kernel: { enabled: false },
});

async function client(): Promise<BgpdClient> {
  const path = join(stateDir, 'bgpd.sock');
  await until('bgpd listens', () => existsSync(path));
  const one = await BgpdClient.connect(path);
  clients.push(one);
  return one;
}

/** Starts on a saved configuration that cannot be read before `release()`. */
async function startHeldUp(): Promise<{ started: Promise<void>; release: () => Promise<void> }> {
  const fifo = join(stateDir, 'bgpd.json');
  await runOk('mkfifo', [fifo]);
  const started = daemon.start();
  // The reader's end is open in any case: a test that fails must not leave a thread in open().
  const held = await open(fifo, 'r+');
  const release = async (): Promise<void> => {
    await held.write(`${JSON.stringify({ number: 1, configuration: configuration('10.9.0.1') })}\n`);
    await held.close();
  };
  return { started, release };
}

const kinds = (): string[] => events.read().events.map(({ kind }) => kind);

describe('while it starts', () => {
  it('keeps a configuration that comes before the saved one was read', async () => {
    const { started, release } = await startHeldUp();
    const agent = await client();
    const configured = agent.configure(2, configuration('10.9.0.2'));
    await until('the start has begun', () => kinds().includes('bgpdStarted'));
    await release();
    await started;
    expect(await configured).toEqual({ ok: true });
    expect(await (await client()).status()).toMatchObject({ configurationNumber: 2, routerId: '10.9.0.2' });
    expect(JSON.parse(readFileSync(join(stateDir, 'bgpd.json'), 'utf8'))).toMatchObject({ number: 2 });
  });

  it('makes no speaker any more once it is told to end', async () => {
    const { started, release } = await startHeldUp();
    await until('the start has begun', () => kinds().includes('bgpdStarted'));
    const stopped = daemon.stop('shutdown');
    stop = () => stopped;
    await release();
    await Promise.all([started, stopped]);
    expect(kinds()).toEqual(['bgpdStarted', 'bgpdStopping']);
    await expect(isListening()).resolves.toBe(false);
  });
});

describe('where its folder cannot be written to', () => {
  it('puts a configuration in force all the same, says why it is not saved, and saves it later', async () => {
    await daemon.start();
    const inTheWay = join(stateDir, 'bgpd.json.new');
    mkdirSync(inTheWay);
    const agent = await client();
    expect(await agent.configure(7, configuration('10.9.0.1'))).toEqual({ ok: true });
    expect(await agent.configure(8, configuration('10.9.0.1'))).toEqual({ ok: true });
    const { configurationNumber, configurationNotSaved } = await agent.status();
    expect([configurationNumber, configurationNotSaved]).toEqual([8, expect.stringContaining('EISDIR')]);
    expect(kinds().filter((kind) => kind === 'configurationNotSaved')).toHaveLength(1);
    rmdirSync(inTheWay);
    await until('saved', async () => (await agent.status()).configurationNotSaved === undefined);
    expect(JSON.parse(readFileSync(join(stateDir, 'bgpd.json'), 'utf8'))).toMatchObject({ number: 8 });
  });

  it('starts without the mark of its run', async () => {
    mkdirSync(join(stateDir, 'bgpd.running'));
    await daemon.start();
    expect(await (await client()).configure(1, configuration('10.9.0.1'))).toEqual({ ok: true });
    rmdirSync(join(stateDir, 'bgpd.running'));
  });
});

describe('a password file', () => {
  it('is read for peers and for ranges, and named by its field where it cannot be', async () => {
    await daemon.start();
    const agent = await client();
    const passwordFile = join(stateDir, 'key');
    const document: BgpdConfigurationInput = {
      ...configuration('10.9.0.1'),
      peers: [{ name: 'a', address: '127.0.0.2', asn: 65000, passive: true, passwordFile }],
      dynamicPeers: [{ name: 'r', prefix: '127.0.1.0/24', asns: [65001], passwordFile }],
    };
    const problem = { message: 'cannot be read, or does not hold 1 to 80 octets' };
    expect(await agent.configure(1, document)).toEqual({
      ok: false,
      errors: [
        { field: 'peers[0].passwordFile', ...problem },
        { field: 'dynamicPeers[0].passwordFile', ...problem },
      ],
    });
    writeFileSync(passwordFile, 's3cret\n');
    expect(await agent.configure(2, document)).toEqual({ ok: true });
  });
});

describe('its socket', () => {
  it('is its owner’s alone, in a folder that others may look into and with any umask', async () => {
    const umask = process.umask(0);
    try {
      rmSync(stateDir, { recursive: true });
      mkdirSync(stateDir, { mode: 0o755 });
      await daemon.start();
      await (await client()).configure(1, configuration('10.9.0.1'));
    } finally {
      process.umask(umask);
    }
    const modeOf = (name: string): string => (statSync(join(stateDir, name)).mode & 0o777).toString(8);
    expect([modeOf('.'), modeOf('bgpd.sock'), modeOf('bgpd.json')]).toEqual(['755', '600', '600']);
  });
});

function isListening(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => socket.destroy());
  });
}
