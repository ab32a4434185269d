// The file format of policy tests, `kind: PolicyTest` (docs/policy.md "Tests of policy"): a cluster, and what must hold in it.

import { z } from 'zod';
import { issueWords } from '../../model/validation/issue-words.ts';

const TEST_API_VERSION = 'calico-ts.dev/v1';
export const TEST_KIND = 'PolicyTest';

const name = z.string().min(1);
const labels = z.record(name, z.string());
const verdict = z.enum(['allow', 'deny']);
const list = z.array(name).min(1);

const workload = z.strictObject({
  labels: labels.optional(),
  node: name.optional(),
  /** Given out if left out. */
  addresses: list.optional(),
  serviceAccount: name.optional(),
  /** Named ports: `{ sql: tcp/5432 }`. */
  ports: z.record(name, name).optional(),
});

const cluster = z.strictObject({
  /** Manifests, v3 and Kubernetes alike, relative to the test file. */
  files: list.optional(),
  /** The same, written here. */
  objects: z.array(z.record(z.string(), z.unknown())).optional(),
  /** Names to labels. */
  namespaces: z.record(name, labels.nullable()).optional(),
  /** Names to addresses. */
  nodes: z.record(name, z.array(name)).optional(),
  /** By `namespace/name`. */
  workloads: z
    .record(z.string().regex(/^[^/]+\/[^/]+$/, 'is not NAMESPACE/NAME'), workload.nullable())
    .optional(),
});

const testCase = z.strictObject({
  name: name.optional(),
  from: name,
  to: name,
  port: name,
  sourcePort: z.number().int().min(0).max(65_535).optional(),
  expect: verdict,
  /** Who must decide: `NetworkPolicy shop/db`, with ` rule 2`, `profile kns.shop`. */
  by: name.optional(),
});

const matrix = z.union([
  z.strictObject({ name: name.optional(), ports: list, table: name }),
  z.strictObject({ name: name.optional(), ports: list, from: list, to: list, expect: verdict }),
]);

/** Whom a claim is about. All that is given must hold. */
export type Matcher =
  | string
  | {
      readonly namespace?: string | undefined;
      /** Of workloads, by the labels that policies see. */
      readonly selector?: string | undefined;
      /** With an address in this network. */
      readonly net?: string | undefined;
      readonly not?: Matcher | undefined;
    };

const matcher: z.ZodType<Matcher> = z.union([
  name,
  z.strictObject({
    namespace: name.optional(),
    selector: z.string().optional(),
    net: name.optional(),
    not: z.lazy(() => matcher).optional(),
  }),
]);

const claim = z.strictObject({
  name: name.optional(),
  from: matcher,
  to: matcher,
  /** Everything if left out. */
  ports: list.optional(),
});

export const testFileSchema = z.strictObject({
  apiVersion: z.literal(TEST_API_VERSION),
  kind: z.literal(TEST_KIND),
  metadata: z.looseObject({ name: name.optional() }).optional(),
  cluster: cluster.optional(),
  /** As if the staged policies were enforced. */
  staged: z.boolean().optional(),
  cases: z.array(testCase).optional(),
  matrices: z.array(matrix).optional(),
  never: z.array(claim).optional(),
});

export type TestFile = z.infer<typeof testFileSchema>;
export type TestCase = z.infer<typeof testCase>;
export type TestMatrix = z.infer<typeof matrix>;
export type TestClaim = z.infer<typeof claim>;
export type TestCluster = z.infer<typeof cluster>;

export interface FileProblem {
  /** `cases[0].expect`. */
  readonly path: string;
  readonly message: string;
}

export type ParsedTestFile =
  | { readonly ok: true; readonly file: TestFile }
  | { readonly ok: false; readonly problems: readonly FileProblem[] };

/** Every problem at once. */
export function parseTestFile(value: unknown): ParsedTestFile {
  const parsed = testFileSchema.safeParse(value, { error: issueWords });
  if (!parsed.success) {
    const problems = parsed.error.issues.map(({ path, message }) => ({ path: pathText(path), message }));
    return { ok: false, problems };
  }
  const { cases = [], matrices = [], never = [] } = parsed.data;
  if (cases.length + matrices.length + never.length > 0) return { ok: true, file: parsed.data };
  return {
    ok: false,
    problems: [{ path: '', message: 'there is nothing to test: no cases, matrices or never' }],
  };
}

function pathText(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    return text === '' ? String(part) : `${text}.${String(part)}`;
  }, '');
}
