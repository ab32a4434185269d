// Passwords of BGP sessions: read from Secrets over the API as a node may, kept in files.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
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
  await api
    .client()
    .delete(SECRETS, NAMESPACE, SECRET.name)
    .catch(() => undefined);
  rmSync(folder, { recursive: true });
});

async function start(
  client: KubeClient | undefined,
  onChange = (): void => {
    changes++;
  },
): Promise<void> {
  passwords = new Passwords({ folder, api: client, logger: silentLogger(), onChange });
  await passwords.start();
}

/** `hunter2` is aHVudGVyMg==, in a Secret that is there no longer than a test. */
async function writeSecret(data: Record<string, string>): Promise<void> {
  await api.client().create(SECRETS, NAMESPACE, { metadata: { name: SECRET.name }, data });
}

it('are written to a file of the Secret’s revision, for its user alone, and said to be there', async () => {
  await writeSecret({ [SECRET.key]: 'aHVudGVyMg==' });
  await start(node);
  const before = changes;
  expect(passwords.fileOf(SECRET)).toBeUndefined();
  passwords.want([SECRET]);
  await until('the password', () => changes > before);
  const file = passwords.fileOf(SECRET) ?? '';
  expect(readFileSync(file, 'utf8')).toBe('hunter2');
  expect(statSync(file).mode & 0o777).toBe(0o600);
});

it('that are wanted while others are read are read next, without the pause', async () => {
  const other = { name: SECRET.name, key: 'tor' };
  const data = { [SECRET.key]: 'aHVudGVyMg==', [other.key]: 'aHVudGVyMw==' };
  await writeSecret(data);
  await start(api.client(), () => passwords.want([SECRET, other]));
  passwords.want([SECRET]);
  await until('the other password', () => passwords.fileOf(other) !== undefined);
});

it('are not swept away while they are written', async () => {
  await writeSecret({ [SECRET.key]: 'aHVudGVyMg==' });
  for (let round = 0; round < 20; round++) {
    await start(api.client());
    passwords.want([SECRET]);
    while (passwords.fileOf(SECRET) === undefined) await passwords.sweep(() => new Set());
    await passwords.sweep(() => new Set());
    const file = passwords.fileOf(SECRET) ?? '';
    expect(existsSync(file)).toBe(true);
    await passwords.stop();
    rmSync(file);
  }
});

it('whose file is gone or has another content are written again', async () => {
  await writeSecret({ [SECRET.key]: 'aHVudGVyMg==' });
  await start(api.client());
  passwords.want([SECRET]);
  await until('the password', () => passwords.fileOf(SECRET) !== undefined);
  const file = passwords.fileOf(SECRET) ?? '';
  const isWhole = (): boolean => existsSync(file) && readFileSync(file, 'utf8') === 'hunter2';
  for (const spoil of [() => rmSync(file), () => writeFileSync(file, 'hun')]) {
    spoil();
    passwords.want([]);
    passwords.want([SECRET]);
    await until('the file', isWhole);
  }
});

it('of an earlier run do not count where the file is empty or too long', async () => {
  writeFileSync(join(folder, 'bgp k@1'), 'hunter2');
  writeFileSync(join(folder, 'bgp k@2'), '');
  writeFileSync(join(folder, 'bgp k@3'), 'x'.repeat(81));
  writeFileSync(join(folder, 'bgp k@4.new'), 'hun');
  await start(undefined);
  expect(basename(passwords.fileOf({ name: 'bgp', key: 'k' }) ?? '')).toBe('bgp k@1');
  await passwords.sweep(() => new Set());
  expect(readdirSync(folder)).toEqual(['bgp k@1']);
});

it('of an earlier run count while there is no API, the newest of them', async () => {
  for (const revision of [9, 10, 2]) writeFileSync(join(folder, `bgp k@${revision}`), `of ${revision}`);
  await start(undefined);
  const file = passwords.fileOf({ name: 'bgp', key: 'k' }) ?? '';
  expect(basename(file)).toBe('bgp k@10');
  await passwords.sweep(() => new Set([join(folder, 'bgp k@9')]));
  expect(() => statSync(join(folder, 'bgp k@2'))).toThrow();
  expect(readFileSync(join(folder, 'bgp k@9'), 'utf8')).toBe('of 9');
});
