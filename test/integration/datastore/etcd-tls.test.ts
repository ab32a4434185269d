// etcd over mutual TLS: the user is the certificate's common name, and its role is the limit of every operation.
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { EtcdDatastore } from '../../../lib/datastore/etcd/etcd-datastore.ts';
import type { EtcdTls } from '../../../lib/datastore/etcd/options.ts';
import { run } from '../../../lib/process/run.ts';
import { type CertificateFiles, createAuthority, type TestAuthority } from '../../support/certificates.ts';
import { codeOf, collect, eventsOf, put } from '../../support/datastore-compliance.ts';
import { type EtcdServer, startEtcd } from '../../support/etcd.ts';

let authority: TestAuthority;
let etcd: EtcdServer;
let root: CertificateFiles;
let agent: CertificateFiles;
let store: EtcdDatastore;
const connect = (files: CertificateFiles | undefined, tls: Partial<EtcdTls> = {}): EtcdDatastore =>
  new EtcdDatastore({
    endpoints: [etcd.endpoint],
    callTimeoutMs: 2_000,
    tls: { caFile: authority.caFile, ...files, ...tls },
  });

beforeAll(async () => {
  authority = await createAuthority();
  const server = await authority.issueServer(['DNS:etcd.example']);
  root = await authority.issueClient('root');
  agent = await authority.issueClient('agent');
  etcd = await startEtcd({
    scheme: 'https',
    args: [
      ...['--cert-file', server.certFile, '--key-file', server.keyFile],
      ...['--trusted-ca-file', authority.caFile, '--client-cert-auth'],
    ],
  });
  const etcdctl = (...args: string[]): Promise<unknown> =>
    run('etcdctl', [
      ...['--endpoints', etcd.endpoint, '--cacert', authority.caFile, '--insecure-skip-tls-verify'],
      ...['--cert', root.certFile, '--key', root.keyFile, ...args],
    ]);
  await etcdctl('user', 'add', 'root', '--no-password');
  await etcdctl('user', 'grant-role', 'root', 'root');
  await etcdctl('role', 'add', 'agent');
  await etcdctl('role', 'grant-permission', 'agent', '--prefix=true', 'readwrite', '/mine/');
  await etcdctl('user', 'add', 'agent', '--no-password');
  await etcdctl('user', 'grant-role', 'agent', 'agent');
  await etcdctl('auth', 'enable');
  store = connect(agent, { serverName: 'etcd.example' });
}, 30_000);
afterAll(async () => {
  await store?.close();
  await etcd?.stop();
  await authority?.remove();
});

describe('a user by certificate', () => {
  it('reads, writes, watches and leases within its role', async () => {
    const lease = await store.grantLease(5);
    const revision = await put(store, '/mine/a', '1', lease.id);
    expect((await store.list('/mine/')).items).toHaveLength(1);
    const batches = await collect(
      (signal) => store.watch('/mine/', { fromRevision: revision, signal }),
      (seen) => eventsOf(seen).length === 1,
    );
    expect(eventsOf(batches)).toHaveLength(1);
    await lease.revoke();
    expect((await store.get('/mine/a')).kv).toBeUndefined();
  });

  it('is denied everything outside', async () => {
    expect(await codeOf(store.get('/other'))).toBe('permissionDenied');
    expect(await codeOf(store.list('/'))).toBe('permissionDenied');
    expect(await codeOf(put(store, '/other', ''))).toBe('permissionDenied');
    const watching = collect(
      (signal) => store.watch('/other/', { fromRevision: 1, signal }),
      () => false,
    );
    expect(await codeOf(watching)).toBe('permissionDenied');
  });

  it('leaves other watches of the client alone when one is denied', async () => {
    const { revision } = await store.get('/mine/x');
    const denied = codeOf(
      collect(
        (signal) => store.watch('/other/', { fromRevision: revision + 1, signal }),
        () => false,
      ),
    );
    const allowed = collect(
      (signal) => store.watch('/mine/', { fromRevision: revision + 1, signal }),
      (seen) => eventsOf(seen).length === 1,
    );
    expect(await denied).toBe('permissionDenied');
    await put(store, '/mine/x', '');
    expect(eventsOf(await allowed)).toHaveLength(1);
  });
});

describe('a connection that does not verify', () => {
  it('is refused by us when the server has another name', async () => {
    const strict = connect(agent);
    expect(await codeOf(strict.get('/mine/a'))).toBe('unavailable');
    await strict.close();
  });

  it('is refused by the server without a certificate of its authority', async () => {
    const anonymous = connect(undefined, { serverName: 'etcd.example' });
    expect(await codeOf(anonymous.get('/mine/a'))).toBe('unavailable');
    await anonymous.close();
    const stranger = await createAuthority();
    const foreign = connect(await stranger.issueClient('root'), { serverName: 'etcd.example' });
    expect(await codeOf(foreign.get('/mine/a'))).toBe('unavailable');
    await foreign.close();
    await stranger.remove();
  });

  it('needs both halves of a client certificate', () => {
    expect(() => connect(undefined, { certFile: agent.certFile })).toThrow(RangeError);
  });
});
