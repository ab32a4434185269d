// Which local workloads peer with this host, and by which BGPPeer (Felix's active BGP peer calculator).

import { chooseLocalBgpPeer, type LocalBgpPeer } from '../../../lib/policy/local-bgp-peers.ts';
import type { Labels } from '../../../lib/selector/expression.ts';

export class LocalBgpPeers {
  private readonly hostname: string;
  private readonly onChanged: (endpoint: string) => void;
  private readonly peers = new Map<string, LocalBgpPeer>();
  private readonly labelsByEndpoint = new Map<string, Labels>();
  private readonly peerByEndpoint = new Map<string, string>();
  private nodeLabels: Labels | undefined;
  /** Of the host, for those workloads. */
  addresses: readonly string[] = [];

  /** `onChanged`: an endpoint has another peer now, or none. */
  constructor(hostname: string, onChanged: (endpoint: string) => void) {
    this.hostname = hostname;
    this.onChanged = onChanged;
  }

  /** Effective labels of a local workload; undefined when it goes. */
  updateEndpoint(endpoint: string, labels: Labels | undefined): void {
    if (labels === undefined) this.labelsByEndpoint.delete(endpoint);
    else this.labelsByEndpoint.set(endpoint, labels);
    this.choose(endpoint);
  }

  updatePeer(name: string, peer: LocalBgpPeer | undefined): void {
    if (peer === undefined && !this.peers.has(name)) return;
    if (peer === undefined) this.peers.delete(name);
    else this.peers.set(name, peer);
    this.chooseAll();
  }

  setAddresses(addresses: readonly string[]): void {
    this.addresses = addresses;
    for (const endpoint of this.peerByEndpoint.keys()) this.onChanged(endpoint);
  }

  /** Labels of this host's Node; undefined while there is none. */
  setNodeLabels(labels: Labels | undefined): void {
    this.nodeLabels = labels;
    if (this.peers.size > 0) this.chooseAll();
  }

  /** Name of the BGPPeer. */
  peerOf(endpoint: string): string | undefined {
    return this.peerByEndpoint.get(endpoint);
  }

  /** All endpoints of this host: such BGPPeers are few, and change seldom. */
  private chooseAll(): void {
    for (const endpoint of this.labelsByEndpoint.keys()) this.choose(endpoint);
  }

  private choose(endpoint: string): void {
    const labels = this.labelsByEndpoint.get(endpoint);
    const node = { name: this.hostname, labels: this.nodeLabels };
    const chosen = labels && chooseLocalBgpPeer(this.peers.values(), labels, node);
    if (chosen === this.peerByEndpoint.get(endpoint)) return;
    if (chosen === undefined) this.peerByEndpoint.delete(endpoint);
    else this.peerByEndpoint.set(endpoint, chosen);
    this.onChanged(endpoint);
  }
}
