// Which BGPPeer a local workload peers with its host by (Felix's active BGP peer calculator): of those for this node whose
// `localWorkloadSelector` matches, the first by name.

import type { Labels } from '../../../lib/selector/expression.ts';
import type { BgpPeerInput } from './inputs.ts';

export class LocalBgpPeers {
  private readonly hostname: string;
  private readonly onChanged: (endpoint: string) => void;
  private readonly peers = new Map<string, BgpPeerInput>();
  private readonly labelsByEndpoint = new Map<string, Labels>();
  private readonly peerByEndpoint = new Map<string, string>();
  private nodeLabels: Labels | undefined;

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

  updatePeer(name: string, peer: BgpPeerInput | undefined): void {
    if (peer === undefined && !this.peers.has(name)) return;
    if (peer === undefined) this.peers.delete(name);
    else this.peers.set(name, peer);
    this.chooseAll();
  }

  /** Labels of this host's Node; undefined while there is none, and then no nodeSelector matches. */
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
    const [chosen] = [...this.peers]
      .filter(([, peer]) => labels !== undefined && this.isForThisNode(peer) && peer.selector.matches(labels))
      .map(([name]) => name)
      .sort();
    if (chosen === this.peerByEndpoint.get(endpoint)) return;
    if (chosen === undefined) this.peerByEndpoint.delete(endpoint);
    else this.peerByEndpoint.set(endpoint, chosen);
    this.onChanged(endpoint);
  }

  private isForThisNode({ node, nodeSelector }: BgpPeerInput): boolean {
    if (nodeSelector !== undefined)
      return this.nodeLabels !== undefined && nodeSelector.matches(this.nodeLabels);
    return node === undefined || node === this.hostname;
  }
}
