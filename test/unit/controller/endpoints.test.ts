// The EndpointSlices that a Service is to have.
import { describe, expect, it } from '@jest/globals';
import { slicesOf } from '../../../controller/endpoints/slices.ts';
import type { Pod, PodStatus } from '../../../lib/model/kubernetes-pod-types.ts';
import type { Service, ServiceSpec } from '../../../lib/model/kubernetes-service-types.ts';

const service = (spec: ServiceSpec): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'default', uid: 'u1' },
  spec: {
    selector: { app: 'web' },
    ports: [{ port: 80, targetPort: 'http' }],
    ipFamilies: ['IPv4'],
    ...spec,
  },
});
const pod = (name: string, status: PodStatus, labels: Record<string, string> = { app: 'web' }): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default', labels },
  spec: {
    nodeName: 'node-1',
    containers: [{ name: 'c', image: 'i', ports: [{ name: 'http', containerPort: 8080 }] }],
  },
  status,
});
const ready: PodStatus = {
  phase: 'Running',
  podIP: '10.65.0.1',
  podIPs: [{ ip: '10.65.0.1' }, { ip: 'fd00::1' }],
  conditions: [{ type: 'Ready', status: 'True' }],
};

describe('slices of a service', () => {
  it('have the pods of its selector with an address, and the number of a named port', () => {
    const pods = [
      pod('b', ready),
      pod('a', { ...ready, conditions: [] }),
      pod('other', ready, { app: 'db' }),
      pod('done', { ...ready, phase: 'Succeeded' }),
      pod('new', { phase: 'Pending' }),
    ];
    const [slice, ...more] = slicesOf(service({}), pods);
    expect(more).toEqual([]);
    expect(slice?.metadata.labels?.['kubernetes.io/service-name']).toBe('web');
    expect(
      slice?.endpoints?.map(({ targetRef, conditions }) => [targetRef?.name, conditions?.ready]),
    ).toEqual([
      ['a', false],
      ['b', true],
    ]);
    expect(slice?.ports).toEqual([{ name: '', protocol: 'TCP', port: 8080 }]);
  });

  it('are one a family', () => {
    const slices = slicesOf(service({ ipFamilies: ['IPv6', 'IPv4'] }), [pod('a', ready)]);
    expect(slices.map(({ addressType, endpoints }) => [addressType, endpoints?.[0]?.addresses])).toEqual([
      ['IPv6', ['fd00::1']],
      ['IPv4', ['10.65.0.1']],
    ]);
  });

  it('are nobody’s business without a selector', () => {
    expect(slicesOf(service({ selector: {} }), [pod('a', ready)])).toEqual([]);
    expect(slicesOf(service({ type: 'ExternalName', externalName: 'x.example' }), [])).toEqual([]);
  });

  it('have every pod ready where the service says so', () => {
    const pods = [pod('a', { ...ready, conditions: [] })];
    expect(
      slicesOf(service({ publishNotReadyAddresses: true }), pods)[0]?.endpoints?.[0]?.conditions?.ready,
    ).toBe(true);
  });
});
