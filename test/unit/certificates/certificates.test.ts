// The cluster's certificates: openssl itself is asked whether they are what TLS wants; a second run changes nothing.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { clusterRoles, issueCertificates } from '../../../lib/certificates/certificates.ts';
import { renderKubeconfig } from '../../../lib/certificates/kubeconfig.ts';
import { run } from '../../../lib/process/run.ts';

let directory: string;
const ROLES = clusterRoles({ etcd: ['172.30.0.2', 'fd00::2'], redis: [], controller: ['api.example'] });
const ofRole = (role: string, file: string): string => join(directory, role, file);
const text = async (role: string): Promise<string> =>
  (await run('openssl', ['x509', '-in', ofRole(role, 'cert.pem'), '-noout', '-text'])).stdout;
const verifies = async (role: string, purpose: string): Promise<boolean> =>
  (
    await run('openssl', [
      'verify',
      '-CAfile',
      ofRole(role, 'ca.pem'),
      '-purpose',
      purpose,
      ofRole(role, 'cert.pem'),
    ])
  ).code === 0;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ct-certs-'));
  await issueCertificates(directory, ROLES);
}, 60_000);
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('issueCertificates', () => {
  it('makes a folder a role with three files, the key for its owner only, and the CA key nowhere else', () => {
    for (const { role } of ROLES) {
      expect(readdirSync(join(directory, role)).toSorted()).toEqual(['ca.pem', 'cert.pem', 'key.pem']);
      expect(statSync(ofRole(role, 'key.pem')).mode & 0o777).toBe(0o600);
    }
    expect(readdirSync(join(directory, 'ca')).toSorted()).toEqual(['ca-key.pem', 'ca.pem']);
    expect(statSync(join(directory, 'ca', 'ca-key.pem')).mode & 0o777).toBe(0o600);
  });

  it('makes clients that are no servers, and servers that are both', async () => {
    const purposes = await Promise.all(
      ROLES.map(async ({ role }) => [
        role,
        await verifies(role, 'sslclient'),
        await verifies(role, 'sslserver'),
      ]),
    );
    expect(purposes).toEqual(ROLES.map(({ role, hosts }) => [role, true, hosts.length > 0]));
  }, 60_000);

  it('names addresses as addresses and names as names', async () => {
    const etcd = await text('etcd');
    expect(etcd).toMatch(
      /DNS:etcd, DNS:localhost, IP Address:127\.0\.0\.1, IP Address:172\.30\.0\.2, IP Address:FD00:0:0:0:0:0:0:2/,
    );
    expect(await text('api')).toContain('DNS:api.example');
    expect(await text('node')).toMatch(/Subject: O = system:nodes, CN = calico-node/);
  }, 30_000);

  it('leaves what is there alone, and makes again what was cut off half-way', async () => {
    const before = readFileSync(ofRole('etcd', 'cert.pem'), 'utf8');
    const authority = readFileSync(join(directory, 'ca', 'ca.pem'), 'utf8');
    rmSync(ofRole('admin', 'cert.pem'));
    await issueCertificates(directory, ROLES);
    expect(readFileSync(ofRole('etcd', 'cert.pem'), 'utf8')).toBe(before);
    expect(readFileSync(join(directory, 'ca', 'ca.pem'), 'utf8')).toBe(authority);
    expect(await verifies('admin', 'sslclient')).toBe(true);
  }, 60_000);
});

it('a kubeconfig holds server, CA and client inline, for the context that is current', () => {
  const config = JSON.parse(
    renderKubeconfig({ server: 'https://a:6443', ca: 'CA', cert: 'CERT', key: 'KEY' }),
  ) as {
    clusters: { cluster: Record<string, string> }[];
    users: { user: Record<string, string> }[];
    'current-context': string;
  };
  const decode = (value: string | undefined): string => Buffer.from(value ?? '', 'base64').toString();
  expect(config.clusters[0]?.cluster['server']).toBe('https://a:6443');
  expect(decode(config.clusters[0]?.cluster['certificate-authority-data'])).toBe('CA');
  expect(decode(config.users[0]?.user['client-certificate-data'])).toBe('CERT');
  expect(decode(config.users[0]?.user['client-key-data'])).toBe('KEY');
  expect(config['current-context']).toBe('calico-ts');
});
