// A throw-away certificate authority by openssl: a server for 127.0.0.1 and localhost, clients by common name.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { run } from '../../lib/process/run.ts';

export interface CertificateFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

export interface TestAuthority {
  readonly caFile: string;
  /** For servers: valid for 127.0.0.1 and localhost, or for the names given. */
  issueServer(names?: readonly string[]): Promise<CertificateFiles>;
  issueClient(commonName: string): Promise<CertificateFiles>;
  remove(): Promise<void>;
}

export async function createAuthority(): Promise<TestAuthority> {
  const dir = await mkdtemp(join(tmpdir(), 'calico-ts-ca-'));
  const caFile = join(dir, 'ca.pem');
  const caKey = join(dir, 'ca.key');
  const openssl = (...args: string[]): Promise<unknown> => run('openssl', args);
  const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  await openssl(
    'req',
    '-x509',
    ...newKey,
    '-keyout',
    caKey,
    '-out',
    caFile,
    '-days',
    '2',
    '-subj',
    '/CN=test-ca',
  );
  let serial = 0;
  const issue = async (commonName: string, extensions: string): Promise<CertificateFiles> => {
    const base = join(dir, String(++serial));
    const files = { certFile: `${base}.pem`, keyFile: `${base}.key` };
    await writeFile(`${base}.ext`, extensions);
    const subject = `/CN=${commonName}`;
    await openssl('req', ...newKey, '-keyout', files.keyFile, '-out', `${base}.csr`, '-subj', subject);
    await openssl(
      ...['x509', '-req', '-in', `${base}.csr`, '-CA', caFile, '-CAkey', caKey, '-days', '2'],
      ...['-set_serial', String(serial), '-extfile', `${base}.ext`, '-out', files.certFile],
    );
    return files;
  };
  return {
    caFile,
    issueServer: (names = ['IP:127.0.0.1', 'DNS:localhost']) =>
      issue('server', `subjectAltName=${names.join(',')}\nextendedKeyUsage=serverAuth,clientAuth\n`),
    issueClient: (commonName) => issue(commonName, 'extendedKeyUsage=clientAuth\n'),
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}
