// Which BGPPeer a workload peers with its own host by (Felix's active BGP peer calculator): of those for the node whose
// `localWorkloadSelector` matches, the first by name. TCP port 179 of hosts is open to those workloads alone.

import type { BGPPeer } from '../model/bgp-types.ts';
import type { Labels } from '../selector/expression.ts';
import { parseSelector } from '../selector/parser.ts';
import type { Selector } from '../selector/selector.ts';

export interface LocalBgpPeer {
  readonly name: string;
  /** Of workloads, by their effective labels. */
  readonly selector: Selector;
  /** For this node alone, or for those that match; neither: for all. */
  readonly node: string | undefined;
  readonly nodeSelector: Selector | undefined;
}

/** Undefined for a BGPPeer about other peers. Throws SelectorError. */
export function localBgpPeer({ metadata, spec = {} }: BGPPeer): LocalBgpPeer | undefined {
  const { localWorkloadSelector, node, nodeSelector } = spec;
  const selector = selectorOf(localWorkloadSelector);
  if (selector === undefined) return undefined;
  return { name: metadata.name, selector, node: node || undefined, nodeSelector: selectorOf(nodeSelector) };
}

/** The BGPPeer of a workload on a node, whose labels are undefined while there is none of that name; undefined: it has none. */
export function chooseLocalBgpPeer(
  peers: Iterable<LocalBgpPeer>,
  labels: Labels,
  node: { readonly name: string; readonly labels: Labels | undefined },
): string | undefined {
  const names = [...peers]
    .filter((peer) => isForNode(peer, node) && peer.selector.matches(labels))
    .map(({ name }) => name);
  return names.sort()[0];
}

function isForNode(
  peer: LocalBgpPeer,
  { name, labels }: { readonly name: string; readonly labels: Labels | undefined },
): boolean {
  if (peer.nodeSelector !== undefined) return labels !== undefined && peer.nodeSelector.matches(labels);
  return peer.node === undefined || peer.node === name;
}

function selectorOf(text: string | undefined): Selector | undefined {
  return text === undefined || text === '' ? undefined : parseSelector(text);
}
