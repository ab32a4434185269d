// A lab of compiled programs for a benchmark, in the namespaces that the benchmark itself runs in
// (`node scripts/inside.ts node bench/NAME.ts`), gone when it ends.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lab } from '../../lab/lab.ts';
import { FABRIC_PROCESSES, NODE_PROCESSES, type ProcessRow } from '../../lab/processes.ts';
import { EtcdDatastore } from '../../lib/datastore/etcd/etcd-datastore.ts';
import { KubeClient } from '../../lib/kube-client/client.ts';
import { untilReady } from './workload.ts';

const ROOT = join(import.meta.dirname, '../..');

export interface BenchLab {
  readonly lab: Lab;
  /** As an administrator. */
  readonly api: KubeClient;
  readonly datastore: EtcdDatastore;
  /** PEM of a role. */
  certificate(role: string): { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer };
}

export interface BenchLabOptions {
  readonly hosts: number;
  /**
   * The benchmark plays the kubelet: nodes run without one, and the controller without the parts that would take a host
   * without a kubelet for one that has left.
   */
  readonly withoutKubelet?: boolean;
}

/** Runs `work` on a lab of `hosts` nodes that is stopped whatever happens. Everything runs compiled, with default settings. */
export async function withBenchLab(
  options: BenchLabOptions,
  work: (bench: BenchLab) => Promise<void>,
): Promise<void> {
  const stateDir = mkdtempSync(join(tmpdir(), 'ct-bench-'));
  let lab: Lab | undefined;
  try {
    lab = await Lab.start({
      stateDir,
      packageRoot: ROOT,
      env: process.env,
      programs: 'dist',
      nodes: Array.from({ length: options.hosts }, (_, index) => `node-${index + 1}`),
      ...(options.withoutKubelet === true ? withoutKubelet() : {}),
    });
    await Promise.all(lab.hosts().map(untilReady));
    await useLab(lab, work);
  } finally {
    await lab?.stop();
    rmSync(stateDir, { recursive: true, force: true });
  }
}

async function useLab(lab: Lab, work: (bench: BenchLab) => Promise<void>): Promise<void> {
  const certificate = (role: string) => {
    const read = (name: string): Buffer => readFileSync(join(lab.certificates, role, name));
    return { ca: read('ca.pem'), cert: read('cert.pem'), key: read('key.pem') };
  };
  const folder = join(lab.certificates, 'etcd-root');
  const api = new KubeClient({ server: lab.apiServer, ...certificate('admin') });
  const datastore = new EtcdDatastore({
    endpoints: [lab.etcdEndpoint],
    tls: {
      caFile: join(folder, 'ca.pem'),
      certFile: join(folder, 'cert.pem'),
      keyFile: join(folder, 'key.pem'),
      serverName: 'etcd',
    },
  });
  try {
    await work({ lab, api, datastore, certificate });
  } finally {
    await datastore.close();
    api.close();
  }
}

const PARTS = ['--enabled-controllers', 'namespaces,kubernetes'];

function withoutKubelet(): {
  readonly nodeProcesses: readonly ProcessRow[];
  readonly fabricProcesses: readonly ProcessRow[];
} {
  console.log(`switches: no kubelet; controller ${PARTS.join(' ')}; etcd --unsafe-no-fsync`);
  return {
    nodeProcesses: NODE_PROCESSES.filter(({ name }) => name !== 'kubelet'),
    fabricProcesses: FABRIC_PROCESSES.map((row) =>
      row.name === 'controller'
        ? { ...row, argv: (context): readonly [string, ...string[]] => [...row.argv(context), ...PARTS] }
        : row,
    ),
  };
}
