// `calicoctl test` on files alone: the example of the docs, formats, exit codes, what is wrong with a file.

import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { runProgram } from '../../../cli/program.ts';

const EXAMPLE = 'examples/policy-test';

interface Answer {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function calicoctl(argv: readonly string[], stdin = ''): Promise<Answer> {
  let out = '';
  let err = '';
  const code = await runProgram({
    argv,
    env: {},
    version: '0.0.0',
    out: (text) => {
      out += text;
    },
    err: (text) => {
      err += text;
    },
    readStdin: async () => stdin,
    now: () => new Date(0),
    signal: new AbortController().signal,
  });
  return { code, out, err };
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'calico-ts-policy-test-'));
  for (const name of ['shop.yaml', 'shop.test.yaml']) copyFileSync(join(EXAMPLE, name), join(folder, name));
});
afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

/** The example with one thing changed. */
function change(name: string, from: string, to: string): void {
  const text = readFileSync(join(folder, name), 'utf8');
  expect(text).toContain(from);
  writeFileSync(join(folder, name), text.replace(from, to));
}

describe('calicoctl test', () => {
  it('passes the example', async () => {
    const { code, out, err } = await calicoctl(['test', `${EXAMPLE}/shop.test.yaml`]);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^17 passed in 1 file \(\d+ ms\)\n$/);
  });

  it('passes the test that docs/policy.md shows', async () => {
    const page = readFileSync('docs/policy.md', 'utf8');
    const shown = /```yaml\n(apiVersion: calico-ts\.dev\/v1\nkind: PolicyTest\n[^`]*)```/.exec(page)?.[1];
    writeFileSync(join(folder, 'docs.test.yaml'), shown ?? '');
    const { code, out, err } = await calicoctl(['test', join(folder, 'docs.test.yaml')]);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toMatch(/^12 passed/);
  });

  it('runs the tests of a folder, beside which the policies lie', async () => {
    expect((await calicoctl(['test', folder])).code).toBe(0);
  });

  it('says which rule of which line is to blame', async () => {
    change('shop.yaml', "{ selector: app == 'web' }", '{ namespaceSelector: all() }');
    const { code, out } = await calicoctl(['test', join(folder, 'shop.test.yaml')]);
    expect(code).toBe(1);
    expect(out).toContain(
      `✗ batch/job → shop/db tcp/5432: deny  ${folder}/shop.test.yaml:42\n  expected deny, but it is allowed\n`,
    );
    expect(out).toContain(`ingress rule 1 of NetworkPolicy shop/db allows  ${folder}/shop.yaml:8\n`);
    expect(out).toContain('✗ nothing outside the shop reaches its database');
    expect(out).toMatch(/\n2 failed, 15 passed in 1 file \(\d+ ms\)\n$/);
  });

  it('speaks TAP and JUnit', async () => {
    change('shop.test.yaml', 'port: 443/tcp', 'port: 444/tcp');
    const tap = await calicoctl(['test', folder, '--format', 'tap']);
    expect(tap.code).toBe(1);
    expect(tap.out).toMatch(
      /^TAP version 13\n1\.\.17\nok 1 - web reaches the database\nnot ok 2 - customers reach web\n/,
    );
    const junit = await calicoctl(['test', folder, '--format', 'junit']);
    expect(junit.out).toContain('<testsuite name="shop" tests="17" failures="1" errors="0" skipped="0"');
  });

  it.each([
    ['expect: allow', 'expect: maybe', /shop\.test\.yaml:\d+:\d+: cases\[0\]\.expect: /],
    ['files: [shop.yaml]', 'files: [gone.yaml]', /gone\.yaml: no such file/],
    ['kind: PolicyTest', 'kind: Something', /there is no PolicyTest in/],
  ])('answers 2 where it cannot run: %s', async (from, to, message) => {
    change('shop.test.yaml', from, to);
    const { code, out, err } = await calicoctl(['test', folder]);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toMatch(message);
  });

  it('answers 2 for a case that cannot be asked, says all that is wrong with it, and asks the others', async () => {
    change('shop.test.yaml', 'port: 443/tcp', 'port: tpc/443');
    change('shop.test.yaml', 'to: shop/web', 'to: shop/webb');
    const { code, out } = await calicoctl(['test', folder]);
    expect(code).toBe(2);
    expect(out).toMatch(/shop\/webb.*; .*tpc\/443/);
    expect(out).toMatch(/\n1 failed, 16 passed in 1 file/);
    const junit = await calicoctl(['test', folder, '--format', 'junit']);
    expect(junit.code).toBe(2);
    expect(junit.out).toContain('<testsuite name="shop" tests="17" failures="0" errors="1" skipped="0"');
    expect(junit.out).toMatch(
      / {6}<error message="[^"]*shop\/webb[^"]*">[^<]*shop\.test\.yaml:\d+\n<\/error>\n/,
    );
    expect(junit.out).not.toContain('<failure');
  });

  it('answers 2 for an invalid policy, with its place', async () => {
    change('shop.yaml', 'action: Allow', 'action: Alow');
    const { code, err } = await calicoctl(['test', join(folder, 'shop.test.yaml')]);
    expect(code).toBe(2);
    expect(err).toContain(`${folder}/shop.yaml:8:7: spec.ingress[0].action: must be one of Allow`);
  });

  it.each([
    ['    - ports: [{ protocol: TCP, port: 443 }]', '    all', '19:3: spec.ingress: must be a list'],
    ['[Ingress, Egress]', 'Ingress', '18:3: spec.policyTypes: must be a list'],
    ['[Ingress, Egress]', '[Ingres]', '18:17: spec.policyTypes[0]: must be one of Ingress, Egress'],
    ['{ matchLabels: { app: web } }', '5', '17:3: spec.podSelector: must be an object'],
    [
      'policyTypes: [Ingress, Egress]',
      'ingres: []',
      '18:3: spec.ingres: field in document is not recognized',
    ],
    ['name: web,', 'name: web, labels: { a: 5 },', '15:34: metadata.labels.a: must be a text'],
    ['name: web,', 'name: web, lables: {},', '15:24: metadata.lables: field in document is not recognized'],
  ])('answers 2 for a policy of Kubernetes that is none, with its place: %s → %s', async (from, to, told) => {
    change('shop.yaml', from, to);
    const { code, err } = await calicoctl(['test', join(folder, 'shop.test.yaml')]);
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(`${folder}/shop.yaml:${told}`) });
    expect(err.trimEnd().split('\n')).toHaveLength(1);
  });

  it("judges a cluster's policy of Kubernetes by its schema too", async () => {
    const policy = `---
apiVersion: policy.networking.k8s.io/v1alpha2
kind: ClusterNetworkPolicy
metadata: { name: closed }
spec: { tier: Admin, subject: { namespaces: {}, pods: {} }, ingress: [{ action: Dney, from: [] }] }
`;
    const file = join(folder, 'shop.yaml');
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, `${text}${policy}`);
    const { code, err } = await calicoctl(['test', join(folder, 'shop.test.yaml')]);
    expect(code).toBe(2);
    for (const told of [
      'spec.priority: must be set',
      'spec.subject: must have',
      'action: must be one of Accept',
    ])
      expect(err).toContain(told);
  });

  it('says once what others would read otherwise in a file, however often it is read', async () => {
    const file = join(folder, 'shop.yaml');
    writeFileSync(file, readFileSync(file, 'utf8').replace('name: db,', 'name: db, labels: { a: yes },'));
    copyFileSync(join(folder, 'shop.test.yaml'), join(folder, 'other.test.yaml'));
    const told = await calicoctl(['test', folder, `${folder}/./shop.yaml`]);
    expect(told.code).toBe(0);
    expect(told.err).toMatch(/^\S+shop\.yaml:4:\d+: yes is "yes" here, but true where .*\n$/);
  });

  it('says what it passes over', async () => {
    writeFileSync(
      join(folder, 'shop.yaml'),
      `${readFileSync(join(folder, 'shop.yaml'), 'utf8')}---\napiVersion: v1\nkind: Service\nmetadata: { name: db }\n`,
    );
    const { code, err } = await calicoctl(['test', join(folder, 'shop.test.yaml')]);
    expect({ code, err }).toEqual({
      code: 0,
      err: `${folder}/shop.test.yaml: Service db (v1) has no part in policy and is passed over\n`,
    });
  });
});
