// What comes in: protobuf, selectors, shapes. Any bytes give a value or a Status below 500.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ApiError } from '../../../../controller/api/api-error.ts';
import { checkUnknownFields, parseBody, toResource } from '../../../../controller/api/body.ts';
import { API_KINDS, findApiKind } from '../../../../controller/api/registry.ts';
import {
  matchesFields,
  matchesLabels,
  parseFieldSelector,
  parseLabelSelector,
} from '../../../../controller/api/selectors.ts';

const SEED = 20261125;
const PROTOBUF = 'application/vnd.kubernetes.protobuf';

/** The error's code, or undefined for a value. Anything but an ApiError is thrown on. */
function codeOf(action: () => unknown): number | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    if (error instanceof ApiError) return error.code;
    throw error;
  }
}

function field(number: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
}

describe('protobuf bodies', () => {
  it('decode to the JSON object, unset fields left out', () => {
    const meta = Buffer.concat([
      field(1, Buffer.from('shop')),
      field(2, Buffer.from('')),
      field(11, Buffer.concat([field(1, Buffer.from('a')), field(2, Buffer.from('b'))])),
    ]);
    const type = Buffer.concat([field(1, Buffer.from('v1')), field(2, Buffer.from('Namespace'))]);
    const body = Buffer.concat([Buffer.from('k8s\0'), field(1, type), field(2, field(1, meta))]);
    expect(parseBody(body, PROTOBUF, 'api.core.v1.Namespace')).toEqual({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'shop', labels: { a: 'b' } },
    });
  });

  it.each([
    [253_402_300_799n, '9999-12-31T23:59:59Z'],
    [253_402_300_800n, 400],
    [9_000_000_000_000n, 400],
    [2n ** 63n, 400],
  ])('with a time of %d seconds are %s', (seconds, expected) => {
    const varint = (value: bigint): number[] =>
      value < 128n ? [Number(value)] : [Number(value & 127n) | 128, ...varint(value >> 7n)];
    const meta = field(8, Buffer.from([8, ...varint(seconds)]));
    const body = Buffer.concat([Buffer.from('k8s\0'), field(2, field(1, meta))]);
    const parse = (): unknown => parseBody(body, PROTOBUF, 'api.core.v1.Namespace');
    if (typeof expected === 'number') expect(codeOf(parse)).toBe(expected);
    else expect(parse()).toMatchObject({ metadata: { creationTimestamp: expected } });
  });

  it('are values or a 400, whatever the bytes', () => {
    const schemas = API_KINDS.flatMap(({ schema }) => schema ?? []);
    const property = fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(...schemas),
      (bytes, schema) => {
        const raw = Buffer.from(bytes);
        const envelope = Buffer.concat([
          Buffer.from('k8s\0'),
          Buffer.from([0x12, raw.length & 0x7f]),
          raw.subarray(0, 127),
        ]);
        for (const body of [raw, envelope])
          if (body.length > 0)
            expect([undefined, 400]).toContain(codeOf(() => parseBody(body, PROTOBUF, schema)));
      },
    );
    fc.assert(property, { seed: SEED, numRuns: 3000 });
  });

  it('are refused for kinds without field tables', () => {
    expect(codeOf(() => parseBody(Buffer.from('k8s\0'), PROTOBUF, undefined))).toBe(415);
  });
});

describe('JSON bodies', () => {
  it('nested without end are refused', () => {
    const deep = `${'{"a":'.repeat(2000)}1${'}'.repeat(2000)}`;
    expect(codeOf(() => parseBody(Buffer.from(deep), 'application/json', undefined))).toBe(400);
  });

  it('of any shape are taken, defaulted and checked, or refused: never a failure of the server', () => {
    const names = [
      'metadata',
      'spec',
      'status',
      'containers',
      'ports',
      'ingress',
      'from',
      'podSelector',
      'labels',
      'name',
      'matchExpressions',
      'finalizers',
    ];
    const { value } = fc.letrec<{ value: unknown }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 5 },
        fc.constantFrom<unknown>(null, 0, -1, 'x', '', true, 'a b'),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom(...names), tie('value'), { maxKeys: 5 }),
      ),
    }));
    const property = fc.property(fc.constantFrom(...API_KINDS), value, (kind, body) => {
      const code = codeOf(() => {
        const object = toResource(kind, body, kind.namespaced ? 'default' : undefined, undefined);
        checkUnknownFields(kind, body, 'Strict');
        kind.validate(
          kind.withDefaults({ ...object, metadata: { ...object.metadata, name: 'x' } }),
          undefined,
        );
      });
      expect([undefined, 400]).toContain(code);
    });
    fc.assert(property, { seed: SEED, numRuns: 5000 });
  });

  it('name the first field of a wrong type', () => {
    const pods = findApiKind('', 'v1', 'pods');
    if (pods === undefined) throw new Error('no pods');
    const body = { metadata: { name: 'a' }, spec: { containers: [{ name: 1 }] } };
    expect(() => toResource(pods, body, 'default', undefined)).toThrow(
      'Pod in version "v1" cannot be handled as a Pod: spec.containers[0].name: expected a string, found number',
    );
  });

  it('must agree with the URL', () => {
    const pods = findApiKind('', 'v1', 'pods');
    if (pods === undefined) throw new Error('no pods');
    const refused = (body: object): number | undefined =>
      codeOf(() => toResource(pods, body, 'default', 'web'));
    expect(refused({ kind: 'Node' })).toBe(400);
    expect(refused({ apiVersion: 'v2' })).toBe(400);
    expect(refused({ metadata: { namespace: 'other' } })).toBe(400);
    expect(refused({ metadata: { name: 'other' } })).toBe(400);
    expect(refused({ metadata: {} })).toBeUndefined();
  });
});

describe('label selectors', () => {
  const cases: [string, Record<string, string>, boolean][] = [
    ['', {}, true],
    ['a', { a: '' }, true],
    ['!a', { a: '1' }, false],
    ['a=1', { a: '1' }, true],
    ['a==1,b!=2', { a: '1' }, true],
    ['a!=1', { a: '1' }, false],
    ['a in (1,2),b', { a: '2', b: '' }, true],
    ['a notin (1,2)', {}, true],
    ['a notin (1, 2)', { a: '2' }, false],
    ['a=', { a: '' }, true],
    ['example.com/a=1', { 'example.com/a': '1' }, true],
  ];
  it.each(cases)('%s on %j', (text, labels, expected) => {
    expect(matchesLabels(parseLabelSelector(text), labels)).toBe(expected);
  });

  it('are refused when they make no sense', () => {
    for (const text of ['a b', 'a in', 'a in (', '=1', 'a>1'])
      expect(codeOf(() => parseLabelSelector(text))).toBe(400);
  });
});

describe('field selectors', () => {
  it('compare paths, empty values among them', () => {
    const pod = { spec: { nodeName: '' }, status: { phase: 'Running' }, source: { component: 'x' } };
    const matches = (text: string): boolean =>
      matchesFields(parseFieldSelector(text, ['spec.nodeName', 'status.phase', 'source']), pod);
    expect(matches('spec.nodeName=')).toBe(true);
    expect(matches('spec.nodeName!=,status.phase=Running')).toBe(false);
    expect(matches('status.phase!=Failed,status.phase!=Succeeded')).toBe(true);
    expect(matches('source=x')).toBe(true);
    expect(() => parseFieldSelector('foo=bar', ['status.phase'])).toThrow('field label not supported: foo');
  });
});
