// Defaults and checks of Services, EndpointSlices and Secrets.
import { describe, expect, it } from '@jest/globals';
import { defaultSecret, validateSecret } from '../../../../controller/api/secret-kind.ts';
import {
  defaultService,
  validateEndpointSlice,
  validateService,
} from '../../../../controller/api/service-kind.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';

const object = (kind: string, fields: object): Resource => ({
  apiVersion: 'v1',
  kind,
  metadata: { name: 'web', namespace: 'default', uid: '0f7d0d5e-0001' },
  ...fields,
});
const service = (spec: object): Resource => defaultService(object('Service', { spec }));
const fieldsOf = (causes: readonly { field?: string }[]): (string | undefined)[] =>
  causes.map(({ field }) => field);

describe('a Service', () => {
  it('has one address for its uid, the same each time, and what it was given', () => {
    const spec = { ports: [{ port: 80 }] };
    expect(service(spec)).toEqual(service(spec));
    expect(service({ ...spec, clusterIP: '10.96.0.10' }).spec).toMatchObject({ clusterIPs: ['10.96.0.10'] });
    expect(service({ ...spec, clusterIP: 'None' }).spec).toMatchObject({ clusterIPs: ['None'] });
    expect(service({ ...spec, clusterIP: 'fd00::1' }).spec).toMatchObject({ ipFamilies: ['IPv6'] });
  });

  it('has a traffic policy where it is reached from outside', () => {
    const spec = { ports: [{ port: 80 }] };
    expect(service(spec).spec).not.toHaveProperty('externalTrafficPolicy');
    for (const outside of [{ type: 'NodePort' }, { type: 'LoadBalancer' }, { externalIPs: ['192.0.2.1'] }])
      expect(service({ ...spec, ...outside }).spec).toMatchObject({ externalTrafficPolicy: 'Cluster' });
  });

  it.each<[string, object, string[]]>([
    ['is fine', { ports: [{ port: 80 }] }, []],
    ['needs ports', {}, ['spec.ports']],
    ['may be headless without', { clusterIP: 'None' }, []],
    [
      'has ports of 16 bits',
      { ports: [{ port: 70_000 }] },
      ['spec.ports[0].port', 'spec.ports[0].targetPort'],
    ],
    ['names several ports', { ports: [{ port: 1, name: 'a' }, { port: 2 }] }, ['spec.ports[1].name']],
    ['has addresses', { ports: [{ port: 1 }], externalIPs: ['x'] }, ['spec.externalIPs[0]']],
    ['names a host', { type: 'ExternalName' }, ['spec.externalName']],
  ])('%s: %j', (_what, spec, fields) => {
    expect(fieldsOf(validateService(service(spec), undefined))).toEqual(fields);
  });

  it('keeps its address', () => {
    const before = service({ ports: [{ port: 80 }], clusterIP: '10.96.0.1' });
    const after = service({ ports: [{ port: 80 }], clusterIP: '10.96.0.2' });
    expect(fieldsOf(validateService(after, before))).toEqual(['spec.clusterIP']);
  });
});

describe('an EndpointSlice', () => {
  it('has addresses of its type', () => {
    const slice = (fields: object): Resource => object('EndpointSlice', fields);
    const good = slice({ addressType: 'IPv4', endpoints: [{ addresses: ['10.0.0.1'] }] });
    expect(validateEndpointSlice(good, undefined)).toEqual([]);
    const bad = slice({ addressType: 'IPv6', endpoints: [{ addresses: ['10.0.0.1'] }, { addresses: [] }] });
    expect(fieldsOf(validateEndpointSlice(bad, good))).toEqual([
      'addressType',
      'endpoints[0].addresses',
      'endpoints[1].addresses',
    ]);
    expect(fieldsOf(validateEndpointSlice(slice({}), undefined))).toEqual(['addressType']);
  });
});

describe('a Secret', () => {
  it('takes stringData into data', () => {
    const secret = defaultSecret(object('Secret', { data: { a: 'YQ==' }, stringData: { b: 'b' } }));
    expect(secret).toMatchObject({ type: 'Opaque', data: { a: 'YQ==', b: 'Yg==' } });
    expect(secret).not.toHaveProperty('stringData');
  });

  it('is refused with values that are no base64, and says none of them', () => {
    const causes = validateSecret(object('Secret', { data: { 'a b': 'YQ==', c: 'hunter2!' } }), undefined);
    expect(fieldsOf(causes)).toEqual(['data', 'data[c]']);
    expect(JSON.stringify(causes)).not.toContain('hunter2');
  });

  it('does not change once it is immutable', () => {
    const before = object('Secret', { type: 'Opaque', immutable: true, data: { a: 'YQ==' } });
    const after = object('Secret', { type: 'Opaque', immutable: true, data: { a: 'Yg==' } });
    expect(fieldsOf(validateSecret(after, before))).toEqual(['data']);
  });
});
