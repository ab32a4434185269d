// Workloads that peer with their host: which BGPPeer each has, through the whole graph.

import { describe, expect, it } from '@jest/globals';
import { CalcGraph } from '../../../../agents/felix/calc/calc-graph.ts';
import { keyOf } from '../../../../lib/model/keys.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';

const apiVersion = 'projectcalico.org/v3';

function workload(pod: string, labels: Record<string, string>, node = 'node-1'): Resource {
  return {
    apiVersion,
    kind: 'WorkloadEndpoint',
    metadata: { name: `${node.replaceAll('-', '--')}-k8s-${pod}-eth0`, namespace: 'default', labels },
    spec: {
      ...{ node, orchestrator: 'k8s', pod, endpoint: 'eth0', interfaceName: `cali${pod}` },
      ipNetworks: ['10.65.0.1/32'],
      profiles: ['kns.default'],
    },
  };
}
const peer = (name: string, spec: object): Resource => ({
  apiVersion,
  kind: 'BGPPeer',
  metadata: { name },
  spec: { asNumber: 65001, ...spec },
});
const routers = { localWorkloadSelector: 'app == "router"' };
const router = workload('a', { app: 'router' });

class Graph {
  readonly #graph = new CalcGraph({ hostname: 'node-1' });
  readonly #peers = new Map<string, string | undefined>();
  #revision = 0;

  constructor(...resources: readonly Resource[]) {
    this.put(...resources);
    this.#graph.onInSync();
  }

  put(...resources: readonly Resource[]): this {
    for (const value of resources)
      this.#graph.onUpdate({ key: keyOf(value), value, revision: ++this.#revision });
    return this;
  }

  delete(resource: Resource): this {
    this.#graph.onUpdate({ key: keyOf(resource), value: undefined, revision: ++this.#revision });
    return this;
  }

  /** By pod. */
  peers(): object {
    for (const message of this.#graph.flush().messages) {
      if (message.type === 'workloadEndpointUpdate')
        this.#peers.set(message.endpoint.id.workload, message.endpoint.localBgpPeer);
      if (message.type === 'workloadEndpointRemove') this.#peers.delete(message.id.workload);
    }
    return Object.fromEntries(this.#peers);
  }
}

describe('a workload', () => {
  it('has the peer whose selector matches, and loses it with either', () => {
    const graph = new Graph(router, workload('b', { app: 'web' }), peer('p', routers));
    expect(graph.peers()).toEqual({ 'default/a': 'p', 'default/b': undefined });
    graph.put(workload('b', { app: 'router' }));
    expect(graph.peers()).toEqual({ 'default/a': 'p', 'default/b': 'p' });
    graph.put(workload('a', {}));
    expect(graph.peers()).toEqual({ 'default/a': undefined, 'default/b': 'p' });
    graph.delete(peer('p', routers));
    expect(graph.peers()).toEqual({ 'default/a': undefined, 'default/b': undefined });
  });

  it('of several the first by name', () => {
    const graph = new Graph(router, peer('q', routers));
    expect(graph.peers()).toEqual({ 'default/a': 'q' });
    expect(graph.put(peer('p', { localWorkloadSelector: 'all()' })).peers()).toEqual({ 'default/a': 'p' });
    expect(graph.put(peer('p', { localWorkloadSelector: 'app == "web"' })).peers()).toEqual({
      'default/a': 'q',
    });
  });

  it('by labels of its namespace, too', () => {
    const inFabric = { localWorkloadSelector: 'pcns.net == "fabric"' };
    const graph = new Graph(router, peer('p', inFabric));
    expect(graph.peers()).toEqual({ 'default/a': undefined });
    graph.put({
      apiVersion,
      kind: 'Profile',
      metadata: { name: 'kns.default' },
      spec: { labelsToApply: { 'pcns.net': 'fabric' } },
    });
    expect(graph.peers()).toEqual({ 'default/a': 'p' });
  });

  it.each<[object, boolean]>([
    [{}, true],
    [{ node: 'node-1' }, true],
    [{ node: 'node-2' }, false],
    [{ nodeSelector: 'rack == "1"' }, true],
    [{ nodeSelector: 'rack == "2"' }, false],
    [{ localWorkloadSelector: '', peerIP: '192.0.2.1' }, false],
  ])('of a node that the peer is for: %j, %s', (spec, isChosen) => {
    const node = {
      apiVersion,
      kind: 'Node',
      metadata: { name: 'node-1', labels: { rack: '1' } },
      spec: {},
    };
    const graph = new Graph(router, node, peer('p', { ...routers, ...spec }));
    expect(graph.peers()).toEqual({ 'default/a': isChosen ? 'p' : undefined });
  });

  it('loses it when its node no longer matches', () => {
    const node = (rack: string) => ({
      apiVersion,
      kind: 'Node',
      metadata: { name: 'node-1', labels: { rack } },
      spec: {},
    });
    const graph = new Graph(router, node('1'), peer('p', { ...routers, nodeSelector: 'rack == "1"' }));
    expect(graph.peers()).toEqual({ 'default/a': 'p' });
    expect(graph.put(node('2')).peers()).toEqual({ 'default/a': undefined });
    expect(graph.put(node('1')).peers()).toEqual({ 'default/a': 'p' });
  });
});
