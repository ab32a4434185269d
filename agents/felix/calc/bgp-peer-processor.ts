// BGPPeers to the graph's inputs: those that are for workloads of their node, which is all that Felix has to do with them.

import type { BGPPeer } from '../../../lib/model/bgp-types.ts';
import { parseSelector } from '../../../lib/selector/parser.ts';
import type { Selector } from '../../../lib/selector/selector.ts';
import type { BgpPeerInput } from './inputs.ts';

/** Undefined for an absent one, and for one that is about other peers. A resource that is handed in here has been checked. */
export function bgpPeerInput(resource: BGPPeer | undefined): BgpPeerInput | undefined {
  const { localWorkloadSelector, node, nodeSelector } = resource?.spec ?? {};
  const selector = selectorOf(localWorkloadSelector);
  if (selector === undefined) return undefined;
  return { selector, node: node || undefined, nodeSelector: selectorOf(nodeSelector) };
}

function selectorOf(text: string | undefined): Selector | undefined {
  return text === undefined || text === '' ? undefined : parseSelector(text);
}
