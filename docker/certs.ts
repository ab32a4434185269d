// The one-shot `certs` service of compose.yaml: makes the certificates of every role that has none yet, and kubeconfigs for
// administrators. Each role's folder is a volume of its own, so that a service sees its own keys alone (docs/security.md).

import '../lib/config/node-version.ts';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { clusterRoles, issueCertificates } from '../lib/certificates/certificates.ts';
import { renderKubeconfig } from '../lib/certificates/kubeconfig.ts';

const DIRECTORY = '/certs';
const PEM_FILES = ['ca.pem', 'cert.pem', 'key.pem'] as const;

const list = (name: string): readonly string[] => (process.env[name] ?? '').split(',').filter(Boolean);

await issueCertificates(
  DIRECTORY,
  clusterRoles({
    etcd: list('ETCD_HOSTS'),
    redis: list('REDIS_HOSTS'),
    controller: list('CONTROLLER_HOSTS'),
  }),
);
const [ca, cert, key] = await Promise.all(
  PEM_FILES.map((name) => readFile(join(DIRECTORY, 'admin', name), 'utf8')),
);
if (ca === undefined || cert === undefined || key === undefined) throw new Error('no certificate for admin');
// One for use beside the controller, one for the machine that runs the containers.
const servers = {
  kubeconfig: 'https://controller:6443',
  'kubeconfig-host': `https://127.0.0.1:${process.env['PUBLISHED_API_PORT'] ?? '6443'}`,
};
for (const [name, server] of Object.entries(servers)) {
  const path = join(DIRECTORY, 'admin', name);
  await writeFile(path, renderKubeconfig({ server, ca, cert, key }));
  await chmod(path, 0o600);
}
