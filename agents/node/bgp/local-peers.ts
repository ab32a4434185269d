// Workloads of this node that a BGPPeer's `localWorkloadSelector` chooses: pure. Of several BGPPeers the first by name.

import type { BGPPeer } from '../../../lib/model/bgp-types.ts';
import type { WorkloadEndpoint } from '../../../lib/model/endpoint-types.ts';
import { parseSelector } from '../../../lib/selector/parser.ts';
import type { Selector } from '../../../lib/selector/selector.ts';
import { canonicalAddress } from './node-table.ts';
import type { LocalPeer } from './peers.ts';

export function localPeers(peers: readonly BGPPeer[], workloads: readonly WorkloadEndpoint[]): LocalPeer[] {
  const choosing = [...peers]
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
    .flatMap(({ metadata, spec }) => {
      const selector = selectorOf(spec?.localWorkloadSelector);
      return selector === undefined ? [] : { name: metadata.name, selector };
    });
  return workloads.flatMap(({ metadata, spec }) => {
    const chosen = choosing.find(({ selector }) => selector.matches(metadata.labels ?? {}));
    if (chosen === undefined) return [];
    const addresses = (spec?.ipNetworks ?? []).flatMap((text) => canonicalAddress(text) ?? []);
    return {
      peer: chosen.name,
      ipv4: addresses.find((address) => !address.includes(':')),
      ipv6: addresses.find((address) => address.includes(':')),
    };
  });
}

function selectorOf(text: string | undefined): Selector | undefined {
  if (text === undefined || text === '') return undefined;
  try {
    return parseSelector(text);
  } catch {
    return undefined;
  }
}
