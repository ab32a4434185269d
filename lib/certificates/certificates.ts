// The cluster's certificates, made once with openssl: a CA and one folder per role (`ca.pem cert.pem key.pem`), each to be
// mounted alone; the CA's key stays in a folder of its own (docs/security.md).

import { access, chmod, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { runOk } from '../process/run.ts';

export interface CertificateRole {
  readonly role: string;
  /** Common name: the user, for etcd and the API. */
  readonly commonName: string;
  readonly organization?: string;
  /** Host names and addresses of a server; none for a client alone. */
  readonly hosts: readonly string[];
}

export interface ClusterHosts {
  /** Names and addresses under which others reach each server, besides localhost. */
  readonly etcd: readonly string[];
  readonly redis: readonly string[];
  readonly controller: readonly string[];
}

const DAYS = 3650;

/** Every role of a cluster. Nodes share one, as their names are not known beforehand: they are known by `kubelet`, `agent`. */
export function clusterRoles(hosts: ClusterHosts): readonly CertificateRole[] {
  const local = ['localhost', '127.0.0.1'];
  return [
    { role: 'etcd', commonName: 'etcd', hosts: ['etcd', ...local, ...hosts.etcd] },
    { role: 'etcd-root', commonName: 'root', hosts: [] },
    { role: 'etcd-controller', commonName: 'controller', hosts: [] },
    { role: 'etcd-agent', commonName: 'agent', hosts: [] },
    { role: 'redis', commonName: 'redis', hosts: ['redis', ...local, ...hosts.redis] },
    { role: 'redis-client', commonName: 'calico', hosts: [] },
    {
      role: 'api',
      commonName: 'kube-apiserver',
      organization: 'system:masters',
      hosts: ['controller', 'kubernetes', 'kubernetes.default.svc', ...local, ...hosts.controller],
    },
    { role: 'controller', commonName: 'calico-ts-controller', organization: 'system:masters', hosts: [] },
    {
      role: 'node',
      commonName: 'calico-node',
      organization: 'system:nodes',
      hosts: ['kubelet', 'agent', ...local],
    },
    { role: 'admin', commonName: 'admin', organization: 'system:masters', hosts: [] },
  ];
}

/**
 * Makes what is missing under `directory`: `ca/` (with the key) and a folder a role. A role whose folder is complete is left
 * alone. Throws ProcessError when openssl fails.
 */
export async function issueCertificates(directory: string, roles: readonly CertificateRole[]): Promise<void> {
  const caDirectory = join(directory, 'ca');
  await ensureAuthority(caDirectory);
  await Promise.all(roles.map((role) => ensureRole(directory, caDirectory, role)));
}

async function ensureAuthority(directory: string): Promise<void> {
  if (await exists(join(directory, 'ca.pem'))) return;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const key = join(directory, 'ca-key.pem');
  await newKey(key);
  const partial = join(directory, 'ca.pem.partial');
  await runOk('openssl', [
    'req',
    '-x509',
    '-new',
    '-key',
    key,
    '-days',
    String(DAYS),
    '-subj',
    '/CN=calico-ts',
    '-out',
    partial,
    '-addext',
    'basicConstraints=critical,CA:TRUE',
    '-addext',
    'keyUsage=critical,keyCertSign,cRLSign',
  ]);
  await rename(partial, join(directory, 'ca.pem'));
}

async function ensureRole(directory: string, caDirectory: string, role: CertificateRole): Promise<void> {
  const target = join(directory, role.role);
  if (await exists(join(target, 'cert.pem'))) return;
  await mkdir(target, { recursive: true, mode: 0o755 });
  const key = join(target, 'key.pem');
  const request = join(target, 'request.pem');
  const extensions = join(target, 'extensions.cnf');
  const partial = join(target, 'cert.pem.partial');
  await newKey(key);
  const organization = role.organization === undefined ? '' : `/O=${role.organization}`;
  await runOk('openssl', [
    'req',
    '-new',
    '-key',
    key,
    '-subj',
    `${organization}/CN=${role.commonName}`,
    '-out',
    request,
  ]);
  await writeFile(extensions, extensionText(role));
  const authority = ['-CA', join(caDirectory, 'ca.pem'), '-CAkey', join(caDirectory, 'ca-key.pem')];
  // A serial of its own each, so that roles can be made side by side.
  const serial = `0x${Buffer.from(crypto.getRandomValues(new Uint8Array(15))).toString('hex')}`;
  await runOk('openssl', [
    'x509',
    '-req',
    '-in',
    request,
    ...authority,
    '-set_serial',
    serial,
    '-days',
    String(DAYS),
    '-sha256',
    '-extfile',
    extensions,
    '-out',
    partial,
  ]);
  await runOk('cp', [join(caDirectory, 'ca.pem'), join(target, 'ca.pem')]);
  await Promise.all([rm(request), rm(extensions)]);
  await rename(partial, join(target, 'cert.pem'));
}

async function newKey(path: string): Promise<void> {
  await runOk('openssl', ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', path]);
  await chmod(path, 0o600);
}

function extensionText(role: CertificateRole): string {
  const usages = role.hosts.length === 0 ? 'clientAuth' : 'serverAuth,clientAuth';
  const names = role.hosts.map((host) => (/^[0-9.]+$|:/.test(host) ? `IP:${host}` : `DNS:${host}`));
  const lines = [
    'basicConstraints=critical,CA:FALSE',
    'keyUsage=critical,digitalSignature',
    `extendedKeyUsage=${usages}`,
  ];
  if (names.length > 0) lines.push(`subjectAltName=${[...new Set(names)].join(',')}`);
  return `${lines.join('\n')}\n`;
}

async function exists(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
