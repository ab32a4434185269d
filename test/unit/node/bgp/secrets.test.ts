// Passwords of BGP sessions: read from Secrets over the API as a node may, kept in files.
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Passwords } from '../../../../agents/node/bgp/secrets.ts';
import { type KubeClient, NAMESPACES, SECRETS } from '../../../../lib/kube-client/client.ts';
import { silentLogger } from '../../../../lib/logging/logger.ts';
import { startTestApi, type TestApi } from '../../../support/api-server.ts';
import { until } from '../../../support/until.ts';

const NAMESPACE = 'kube-system';
const SECRET = { name: 'bgp', key: 'mesh' };
let api: TestApi;
let node: KubeClient;
let folder: string;
let passwords: Passwords;
let changes = 0;

beforeAll(async () => {
  api = await startTestApi();
  node = await api.clientOf('calico-node/O=system:nodes');
  const admin = api.client();
  await admin.create(NAMESPACES, undefined, { metadata: { name: NAMESPACE } });
  await admin.create({ group: 'projectcalico.org', version: 'v3', plural: 'bgpconfigurations' }, undefined, {
    metadata: { name: 'default' },
    spec: { nodeMeshPassword: { secretKeyRef: SECRET } },
  });
}, 60_000);
afterAll(() => api?.stop());

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'bgp-passwords-'));
});
afterEach(async () => {
  await passwords.stop();
  rmSync(folder, { recursive: true });
});

async function start(client: KubeClient | undefined): Promise<void> {
  const onChange = (): void => void changes++;
  passwords = new Passwords({ folder, api: client, logger: silentLogger(), onChange });
  await passwords.start();
}

it('are written to a file of the Secret’s revision, for its user alone, and said to be there', async () => {
  const data = { [SECRET.key]: Buffer.from('hunter2').toString('base64') };
  await api.client().create(SECRETS, NAMESPACE, { metadata: { name: SECRET.name }, data });
  await start(node);
  const before = changes;
  expect(passwords.fileOf(SECRET)).toBeUndefined();
  passwords.want([SECRET]);
  await until('the password', () => changes > before);
  const file = passwords.fileOf(SECRET) ?? '';
  expect(readFileSync(file, 'utf8')).toBe('hunter2');
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

it('of an earlier run count while there is no API, the newest of them', async () => {
  for (const revision of [9, 10, 2]) writeFileSync(join(folder, `bgp k@${revision}`), `of ${revision}`);
  await start(undefined);
  const file = passwords.fileOf({ name: 'bgp', key: 'k' }) ?? '';
  expect(basename(file)).toBe('bgp k@10');
  await passwords.sweep(new Set([join(folder, 'bgp k@9')]));
  expect(() => statSync(join(folder, 'bgp k@2'))).toThrow();
  expect(readFileSync(join(folder, 'bgp k@9'), 'utf8')).toBe('of 9');
});
