// Which addresses of services a node announces.
import { describe, expect, it } from '@jest/globals';
import { NodeTable } from '../../../../agents/node/bgp/node-table.ts';
import { announcesServices, serviceRoutes } from '../../../../agents/node/bgp/services.ts';
import type { BGPConfigurationSpec } from '../../../../lib/model/bgp-types.ts';
import type {
  Endpoint,
  EndpointSlice,
  Service,
  ServiceSpec,
} from '../../../../lib/model/kubernetes-service-types.ts';
import { node } from './bgp-resources.ts';

const BLOCKS: BGPConfigurationSpec = {
  serviceClusterIPs: [{ cidr: '10.96.0.0/12' }],
  serviceExternalIPs: [{ cidr: '192.0.2.0/25' }, { cidr: '203.0.113.7/32' }],
  serviceLoadBalancerIPs: [{ cidr: '198.51.100.0/24' }, { cidr: '203.0.113.8/32' }],
};
const WHOLE = ['10.96.0.0/12', '192.0.2.0/25', '198.51.100.0/24'];
const service = (spec: ServiceSpec, ingress: string[] = []): Service => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    type: 'LoadBalancer',
    clusterIP: '10.96.0.10',
    clusterIPs: ['10.96.0.10'],
    ipFamilies: ['IPv4'],
    ...spec,
  },
  status: { loadBalancer: { ingress: ingress.map((ip) => ({ ip })) } },
});
const slice = (endpoints: Endpoint[], fields: Partial<EndpointSlice> = {}): EndpointSlice => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: { name: 's', namespace: 'default', labels: { 'kubernetes.io/service-name': 'web' } },
  addressType: 'IPv4',
  endpoints,
  ...fields,
});
const here: Endpoint = { addresses: ['10.65.0.1'], nodeName: 'node-1' };

function routes(
  services: Service[],
  endpointSlices: EndpointSlice[] = [],
  configuration: BGPConfigurationSpec = BLOCKS,
  labels: Record<string, string> = {},
): { announced: readonly string[]; notInstalled: readonly string[] } {
  const self = new NodeTable([node('node-1', '172.30.0.11/24', { labels })], []).get('node-1');
  if (self === undefined) throw new Error('no such node');
  return serviceRoutes({ self, configuration, services, endpointSlices });
}
const single = (...args: Parameters<typeof routes>): string[] =>
  routes(...args).announced.filter((cidr) => !WHOLE.includes(cidr));

describe('addresses of services', () => {
  it('are announced as networks everywhere, single addresses aside, and never installed', () => {
    expect(routes([])).toEqual({ announced: WHOLE, notInstalled: WHOLE });
    expect(announcesServices(BLOCKS)).toBe(true);
    expect(announcesServices({ serviceClusterIPs: [] })).toBe(false);
  });

  it('are not announced by a node that is to have no such traffic, and not installed there either', () => {
    const labels = { 'node.kubernetes.io/exclude-from-external-load-balancers': 'true' };
    expect(routes([], [], BLOCKS, labels)).toEqual({ announced: [], notInstalled: WHOLE });
  });

  it('are announced one by one where a Local service has a ready endpoint, nil counting as ready', () => {
    const local = service({ externalTrafficPolicy: 'Local', externalIPs: ['192.0.2.5', '192.0.3.5'] }, [
      '198.51.100.4',
    ]);
    expect(single([local], [slice([here])])).toEqual(['10.96.0.10/32', '192.0.2.5/32', '198.51.100.4/32']);
    expect(single([local], [slice([{ ...here, conditions: { ready: false } }])])).toEqual([]);
    expect(single([local], [slice([{ ...here, nodeName: 'node-2' }])])).toEqual([]);
    expect(single([local], [slice([here], { addressType: 'IPv6' })])).toEqual([]);
    const foreign = { name: 's', namespace: 'default', labels: { 'kubernetes.io/service-name': 'other' } };
    expect(single([local], [slice([here], { metadata: foreign })])).toEqual([]);
  });

  it('of a Cluster service are announced by every node where the configuration names a single address of it', () => {
    const cluster = { externalTrafficPolicy: 'Cluster' } as const;
    expect(single([service({ ...cluster, externalIPs: ['203.0.113.7'] })])).toEqual([
      '10.96.0.10/32',
      '203.0.113.7/32',
    ]);
    expect(single([service(cluster, ['203.0.113.8'])])).toEqual(['10.96.0.10/32', '203.0.113.8/32']);
    expect(single([service(cluster, ['198.51.100.4'])], [slice([here])])).toEqual([]);
  });

  it('of a Cluster service without aggregation are announced once there is any ready endpoint', () => {
    const apart: BGPConfigurationSpec = { ...BLOCKS, serviceLoadBalancerAggregation: 'Disabled' };
    const balanced = service({ externalTrafficPolicy: 'Cluster' }, ['198.51.100.4']);
    const elsewhere = slice([{ ...here, nodeName: 'node-2' }]);
    expect(routes([balanced], [elsewhere], apart).announced).toEqual([
      '10.96.0.0/12',
      '10.96.0.10/32',
      '192.0.2.0/25',
      '198.51.100.4/32',
    ]);
    expect(single([balanced], [slice([])], apart)).toEqual([]);
  });

  it('need a type and an address', () => {
    const local = { externalTrafficPolicy: 'Local' } as const;
    for (const spec of [{ type: 'ExternalName' }, { clusterIP: 'None' }] as const)
      expect(single([service({ ...local, ...spec })], [slice([here])])).toEqual([]);
  });
});
