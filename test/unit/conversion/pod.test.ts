// Pods, namespaces and service accounts to endpoints and profiles.

import { describe, expect, it } from '@jest/globals';
import { convertPod, podInterfaceName } from '../../../lib/conversion/pod.ts';
import { convertNamespace, convertServiceAccount } from '../../../lib/conversion/profiles.ts';
import type { WorkloadEndpoint } from '../../../lib/model/endpoint-types.ts';
import type { Pod } from '../../../lib/model/kubernetes-pod-types.ts';

function pod(changes: {
  metadata?: Partial<Pod['metadata']>;
  spec?: Partial<Pod['spec']>;
  status?: Pod['status'];
}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web-1', namespace: 'shop', labels: { app: 'web' }, ...changes.metadata },
    spec: { nodeName: 'node-1', serviceAccountName: 'reader', containers: [], ...changes.spec },
    status: changes.status ?? { podIP: '10.1.0.2' },
  };
}

function endpointOf(source: Pod): WorkloadEndpoint {
  const conversion = convertPod(source);
  if (!conversion.ok) throw new Error(JSON.stringify(conversion.problem));
  return conversion.endpoint;
}

describe('convertPod', () => {
  it('gives the endpoint with labels, profiles, address and interface', () => {
    expect(endpointOf(pod({}))).toEqual({
      kind: 'WorkloadEndpoint',
      apiVersion: 'projectcalico.org/v3',
      metadata: {
        name: 'node--1-k8s-web--1-eth0',
        namespace: 'shop',
        labels: {
          app: 'web',
          'projectcalico.org/namespace': 'shop',
          'projectcalico.org/orchestrator': 'k8s',
          'projectcalico.org/serviceaccount': 'reader',
        },
      },
      spec: {
        orchestrator: 'k8s',
        node: 'node-1',
        pod: 'web-1',
        endpoint: 'eth0',
        serviceAccountName: 'reader',
        interfaceName: podInterfaceName('shop', 'web-1'),
        ipNetworks: ['10.1.0.2/32'],
        profiles: ['kns.shop', 'ksa.shop.reader'],
      },
    });
  });

  it('names the interface by the first 11 digits of SHA-1 over namespace and name', () => {
    // printf shop.web-1 | sha1sum
    expect(podInterfaceName('shop', 'web-1')).toBe('cali751425ce827');
  });

  it('takes ports with a name or a host port, of init containers too', () => {
    const { spec } = endpointOf(
      pod({
        spec: {
          containers: [
            {
              name: 'c',
              ports: [
                { name: 'http', containerPort: 80 },
                { containerPort: 81 },
                { containerPort: 53, protocol: 'UDP', hostPort: 5353 },
              ],
            },
          ],
          initContainers: [{ name: 'i', ports: [{ name: 'init', containerPort: 82 }] }],
        },
      }),
    );
    expect(spec?.ports).toEqual([
      { name: 'http', protocol: 'TCP', port: 80 },
      { protocol: 'UDP', port: 53, hostPort: 5353 },
      { name: 'init', protocol: 'TCP', port: 82 },
    ]);
  });

  const annotations = { 'cni.projectcalico.org/podIPs': '10.1.0.9/32,fd00::9/128' };
  it.each<[string, Pod, string[]]>([
    [
      'status.podIPs',
      pod({ status: { podIP: '10.1.0.2', podIPs: [{ ip: '10.1.0.3' }, { ip: 'fd00::3' }] } }),
      ['10.1.0.3/32', 'fd00::3/128'],
    ],
    ['the annotation', pod({ metadata: { annotations }, status: {} }), ['10.1.0.9/32', 'fd00::9/128']],
    ['nothing when finished', pod({ status: { phase: 'Succeeded', podIP: '10.1.0.2' } }), []],
    [
      'nothing when its address was taken back',
      pod({
        metadata: {
          deletionTimestamp: '2026-01-01T00:00:00Z',
          annotations: { 'cni.projectcalico.org/podIP': '' },
        },
      }),
      [],
    ],
  ])('takes addresses from %s', (_from, source, networks) => {
    expect(endpointOf(source).spec?.ipNetworks).toEqual(networks);
  });

  it('has no account label for a name of 63 characters or more', () => {
    const { metadata, spec } = endpointOf(pod({ spec: { serviceAccountName: 'a'.repeat(63) } }));
    expect(metadata.labels).not.toHaveProperty('projectcalico.org/serviceaccount');
    expect(spec?.serviceAccountName).toHaveLength(63);
  });

  it('reads floating addresses and source prefixes from annotations', () => {
    const { spec } = endpointOf(
      pod({
        metadata: {
          annotations: {
            'cni.projectcalico.org/floatingIPs': '["198.18.0.1"]',
            'cni.projectcalico.org/allowedSourcePrefixes': '["192.0.2.0/24"]',
            'cni.projectcalico.org/containerID': 'abc',
          },
        },
      }),
    );
    expect(spec).toMatchObject({
      ipNATs: [{ internalIP: '10.1.0.2', externalIP: '198.18.0.1' }],
      allowSpoofedSourcePrefixes: ['192.0.2.0/24'],
      containerID: 'abc',
    });
  });

  it.each([
    [pod({ spec: { hostNetwork: true } }), 'hostNetwork'],
    [pod({ spec: { nodeName: '' } }), 'notScheduled'],
    [pod({ status: { podIP: 'x' } }), 'badAddress'],
    [pod({ metadata: { annotations: { 'cni.projectcalico.org/floatingIPs': 'x' } } }), 'badAnnotation'],
    [
      pod({ metadata: { annotations: { 'cni.projectcalico.org/floatingIPs': '["fd00::1"]' } } }),
      'badAnnotation',
    ],
    [
      pod({ metadata: { annotations: { 'cni.projectcalico.org/allowedSourcePrefixes': '["x"]' } } }),
      'badAnnotation',
    ],
  ])('refuses %#', (source, code) => {
    const conversion = convertPod(source);
    expect(conversion.ok ? 'ok' : conversion.problem.code).toBe(code);
  });
});

describe('profiles', () => {
  it('of a namespace allow all and hand on its labels, its own name unforgeable', () => {
    const profile = convertNamespace({
      apiVersion: 'v1',
      kind: 'Namespace',
      metadata: { name: 'shop', labels: { zone: 'inner', 'projectcalico.org/name': 'forged' } },
    });
    expect(profile).toEqual({
      kind: 'Profile',
      apiVersion: 'projectcalico.org/v3',
      metadata: { name: 'kns.shop' },
      spec: {
        ingress: [{ action: 'Allow' }],
        egress: [{ action: 'Allow' }],
        labelsToApply: { 'pcns.zone': 'inner', 'pcns.projectcalico.org/name': 'shop' },
      },
    });
  });

  it('of a service account have labels and no rules', () => {
    const profile = convertServiceAccount({
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { name: 'reader', labels: { grade: 'low' } },
    });
    expect(profile.metadata.name).toBe('ksa.default.reader');
    expect(profile.spec).toEqual({
      labelsToApply: { 'pcsa.grade': 'low', 'pcsa.projectcalico.org/name': 'reader' },
    });
  });
});
