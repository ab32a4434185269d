// Which labels selectors see, and when two endpoints are one identity.

import { describe, expect, it } from '@jest/globals';
import {
  effectiveLabels,
  identityKey,
  networkSetLabels,
  workloadEndpointLabels,
} from '../../../lib/policy/labels.ts';

const apiVersion = 'projectcalico.org/v3';

describe('workloadEndpointLabels', () => {
  it("adds Calico's labels and takes away forged inherited ones", () => {
    const source = workloadEndpointLabels({
      apiVersion,
      kind: 'WorkloadEndpoint',
      metadata: {
        name: 'w',
        namespace: 'n',
        labels: { a: 'b', 'pcns.zone': 'forged', 'pcsa.role': 'forged' },
      },
      spec: {
        orchestrator: 'k8s',
        node: 'node-1',
        endpoint: 'eth0',
        serviceAccountName: 'reader',
        profiles: ['kns.n', 'ksa.n.reader'],
        ports: [
          { name: 'web', protocol: 'TCP', port: 80 },
          { name: 'web', protocol: 'tcp', port: 80 },
          { protocol: 'UDP', port: 53, hostPort: 53 },
        ],
      },
    });
    expect(source).toEqual({
      labels: {
        a: 'b',
        'projectcalico.org/namespace': 'n',
        'projectcalico.org/orchestrator': 'k8s',
        'projectcalico.org/serviceaccount': 'reader',
      },
      profiles: ['kns.n', 'ksa.n.reader'],
      ports: [{ name: 'web', protocol: 6, port: 80 }],
    });
  });
});

describe('networkSetLabels', () => {
  it('puts a NetworkSet into its namespace and a GlobalNetworkSet into none', () => {
    const metadata = { name: 's', namespace: 'n', labels: { a: 'b' } };
    expect(networkSetLabels({ apiVersion, kind: 'NetworkSet', metadata })).toEqual({
      labels: { a: 'b', 'projectcalico.org/namespace': 'n' },
      profiles: ['kns.n'],
      ports: [],
    });
    expect(networkSetLabels({ apiVersion, kind: 'GlobalNetworkSet', metadata })).toEqual({
      labels: { a: 'b' },
      profiles: [],
      ports: [],
    });
  });
});

describe('effectiveLabels', () => {
  it('prefers own labels, then the profile listed first', () => {
    const first = { own: 'first', both: 'first' };
    const second = { both: 'second', last: 'second' };
    expect(effectiveLabels({ own: 'own' }, [first, undefined, second])).toEqual({
      own: 'own',
      both: 'first',
      last: 'second',
    });
  });
});

describe('identityKey', () => {
  it('depends on labels and ports, not on their order', () => {
    const web = { name: 'web', protocol: 6, port: 80 };
    const dns = { name: 'dns', protocol: 17, port: 53 };
    expect(identityKey({ a: '1', b: '2' }, [web, dns])).toBe(identityKey({ b: '2', a: '1' }, [dns, web]));
    expect(identityKey({ a: '1' }, [web])).not.toBe(identityKey({ a: '1' }, []));
    expect(identityKey({ a: '1' }, [])).not.toBe(identityKey({ a: '2' }, []));
  });
});
