// A real etcd for one test file: free ports, data in a temporary folder, gone at the end.
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Service, spawnService } from '../../lib/process/service.ts';

export interface EtcdServer {
  /** `http://127.0.0.1:port` (https with `tls`). */
  readonly endpoint: string;
  readonly port: number;
  readonly process: Service;
  stop(): Promise<void>;
}

export interface EtcdServerOptions {
  /** Arguments added to the command line. */
  readonly args?: readonly string[];
  /** A folder that already exists is not removed at the end: for a second start on the same data. */
  readonly dataDir?: string;
  readonly port?: number;
  readonly scheme?: 'http' | 'https';
}

const DATA_DIR_PREFIX = 'calico-ts-etcd-';
const LEFTOVER_AGE_MS = 3_600_000;

export async function startEtcd(options: EtcdServerOptions = {}): Promise<EtcdServer> {
  await sweepLeftovers();
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), DATA_DIR_PREFIX)));
  const port = options.port ?? (await freePort());
  const peerPort = await freePort();
  const scheme = options.scheme ?? 'http';
  const endpoint = `${scheme}://127.0.0.1:${port}`;
  const etcd = await spawnService({
    argv: [
      // It must not outlive a test run that was killed.
      'setpriv',
      ...['--pdeathsig', 'KILL', 'etcd'],
      ...['--name', 'test', '--data-dir', dataDir, '--log-level', 'warn', '--unsafe-no-fsync'],
      ...['--listen-client-urls', endpoint, '--advertise-client-urls', endpoint],
      ...['--listen-peer-urls', `http://127.0.0.1:${peerPort}`],
      ...['--initial-advertise-peer-urls', `http://127.0.0.1:${peerPort}`],
      ...['--initial-cluster', `test=http://127.0.0.1:${peerPort}`],
      ...['--listen-metrics-urls', `http://127.0.0.1:${await freePort()}`],
      ...(options.args ?? []),
    ],
    readyWhen: { kind: 'probe', isReady: (signal) => isServing(port, scheme, signal) },
  });
  return {
    endpoint,
    port,
    process: etcd,
    stop: async () => {
      await etcd.stop();
      if (options.dataDir === undefined) await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** Folders that runs which were killed have left behind: by age, as a process id means nothing across namespaces. */
async function sweepLeftovers(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith(DATA_DIR_PREFIX)) continue;
    const path = join(tmpdir(), name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > LEFTOVER_AGE_MS) await rm(path, { recursive: true, force: true });
  }
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return address.port;
}

/** With TLS a connection is enough: the health page wants a certificate. */
async function isServing(port: number, scheme: 'http' | 'https', signal: AbortSignal): Promise<boolean> {
  if (scheme === 'http') {
    const response = await fetch(`http://127.0.0.1:${port}/health`, { signal });
    return response.ok;
  }
  const { connect } = await import('node:net');
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', signal });
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
