// Who holds an address.

import { describe, expect, it } from '@jest/globals';
import { EndpointDirectory } from '../../../../agents/felix/flows/endpoint-directory.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';

const apiVersion = 'projectcalico.org/v3';
function workload(pod: string, address: string): Resource {
  return {
    apiVersion,
    kind: 'WorkloadEndpoint',
    metadata: { namespace: 'red', name: `n1-k8s-${pod}-eth0`, labels: { app: pod } },
    spec: { orchestrator: 'k8s', node: 'n1', pod, endpoint: 'eth0', ipNetworks: [`${address}/32`] },
  };
}
const networks = (name: string, ...nets: readonly string[]): Resource => ({
  apiVersion,
  kind: 'GlobalNetworkSet',
  metadata: { name, labels: { set: name } },
  spec: { nets },
});

function directory(...resources: readonly Resource[]) {
  let nowMs = 0;
  const made = new EndpointDirectory(() => nowMs);
  const put = (resource: Resource): void => made.onResource(resource.metadata.name, resource.kind, resource);
  for (const resource of resources) put(resource);
  const remove = (resource: Resource): void =>
    made.onResource(resource.metadata.name, resource.kind, undefined);
  const wait = (ms: number): void => {
    nowMs += ms;
  };
  return { find: (address: string) => made.find(address), put, remove, wait };
}

describe('network sets, which are read when one is asked for', () => {
  it('are as the last change left them', () => {
    const { find, put, remove } = directory(networks('a', '10.1.0.0/16'));
    put(networks('a', '10.2.0.0/16'));
    expect(find('10.1.0.1')).toEqual({ address: '10.1.0.1' });
    expect(find('10.2.0.1').name).toBe('a');
    put(networks('a', '10.3.0.0/16'));
    remove(networks('a'));
    expect(find('10.2.0.1')).toEqual({ address: '10.2.0.1' });
    put(networks('b', '10.2.0.0/16'));
    remove(networks('b'));
    expect(find('10.2.0.1')).toEqual({ address: '10.2.0.1' });
  });

  it('that share a network leave it to the other', () => {
    const { find, put, remove } = directory(networks('a', '10.1.0.0/16'), networks('b', '10.1.0.0/16'));
    expect(find('10.1.0.1').name).toBe('a');
    put(networks('a', '10.2.0.0/16'));
    expect(find('10.1.0.1').name).toBe('b');
    remove(networks('b'));
    expect(find('10.1.0.1')).toEqual({ address: '10.1.0.1' });
  });
});

describe('an address', () => {
  it('is a workload’s, with its labels and node', () => {
    expect(directory(workload('web', '10.0.0.1')).find('10.0.0.1')).toEqual({
      address: '10.0.0.1',
      kind: 'WorkloadEndpoint',
      namespace: 'red',
      name: 'web',
      node: 'n1',
      labels: { app: 'web' },
    });
  });

  it('is a node’s, or its host endpoint’s', () => {
    const node: Resource = {
      apiVersion,
      kind: 'Node',
      metadata: { name: 'n2' },
      spec: { bgp: { ipv4Address: '172.30.0.12/24' } },
    };
    const hostEndpoint: Resource = {
      apiVersion,
      kind: 'HostEndpoint',
      metadata: { name: 'n3-eth0' },
      spec: { node: 'n3', expectedIPs: ['172.30.0.13'] },
    };
    const { find } = directory(node, hostEndpoint);
    expect(find('172.30.0.12')).toMatchObject({ kind: 'Node', name: 'n2' });
    expect(find('172.30.0.13')).toMatchObject({ kind: 'HostEndpoint', name: 'n3-eth0', node: 'n3' });
  });

  it('is in the narrowest network set around it', () => {
    const wide = networks('wide', '198.18.0.0/15', 'fd00::/8');
    const narrow = networks('narrow', '198.18.1.0/24');
    const { find, remove } = directory(wide, narrow);
    expect(find('198.18.1.7').name).toBe('narrow');
    expect(find('198.18.2.7').name).toBe('wide');
    expect(find('fd12::1').name).toBe('wide');
    remove(narrow);
    expect(find('198.18.1.7').name).toBe('wide');
  });

  it('is nobody’s', () => {
    expect(directory(networks('some', '198.18.0.0/15')).find('192.0.2.1')).toEqual({ address: '192.0.2.1' });
  });

  it('is still that of a workload that has just gone, until another has it', () => {
    const gone = workload('old', '10.0.0.1');
    const { find, put, remove, wait } = directory(gone);
    remove(gone);
    expect(find('10.0.0.1').name).toBe('old');
    wait(60_001);
    expect(find('10.0.0.1')).toEqual({ address: '10.0.0.1' });
    put(workload('new', '10.0.0.1'));
    expect(find('10.0.0.1').name).toBe('new');
  });

  it('that moves goes with its workload', () => {
    const { find, put } = directory(workload('web', '10.0.0.1'));
    put(workload('web', '10.0.0.2'));
    expect(find('10.0.0.2').name).toBe('web');
    put(workload('other', '10.0.0.1'));
    expect(find('10.0.0.1').name).toBe('other');
  });
});
