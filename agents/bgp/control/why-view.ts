// One destination explained: every path with its verdict, the kernel, and every peer with what it is told or why not.

import { type Cidr, formatCidr, netmask } from '../../../lib/net/ip.ts';
import type { BgpdAdvertisement, BgpdExplainedPath, BgpdWhy } from '../../../lib/protocol/bgpd-routes.ts';
import type { PolicyInput } from '../policy/policy.ts';
import type { Path } from '../rib/path.ts';
import type { Destination, Position, RibView } from '../rib/rib-view.ts';
import type { PeerSession } from '../session/peer-session.ts';
import type { Speaker } from '../speaker.ts';
import { notToldWords } from './advertise-words.ts';
import { kernelView } from './kernel-words.ts';
import { explainPath } from './path-words.ts';
import { decidedBy } from './policy-words.ts';
import { attributesView, orderedPaths, pathView, sourceName } from './route-view.ts';

/** Covering destinations that are shown where there is none of the prefix itself. */
const MAX_COVERING = 3;

/** The destination of the prefix; without one the nearest that cover it, the longest first. */
export function whyView(speaker: Speaker, prefix: Cidr): readonly BgpdWhy[] {
  const found: BgpdWhy[] = [];
  for (let length = prefix.length; length >= 0 && found.length < MAX_COVERING; length--) {
    const outer = shortened(prefix, length);
    const position = speaker.rib.view.position(outer);
    const destination = position === undefined ? undefined : speaker.rib.view.destination(position);
    if (position === undefined || destination === undefined) continue;
    found.push(explained(speaker, position, destination, length === prefix.length));
    if (length === prefix.length) break;
  }
  return found;
}

function explained(
  speaker: Speaker,
  position: Position,
  destination: Destination,
  isExact: boolean,
): BgpdWhy {
  const { prefix, decision } = destination;
  return {
    prefix: formatCidr(prefix),
    isExact,
    paths: orderedPaths(decision).map((path) => explainedPath(speaker, path, destination)),
    kernel: kernelView(speaker.kernel.lookup(prefix)),
    advertised: [...speaker.peers].map((peer) =>
      advertisementOf(speaker.rib.view, peer, position, destination),
    ),
  };
}

function explainedPath(speaker: Speaker, path: Path, { decision }: Destination): BgpdExplainedPath {
  const { lostTo, sentence } = explainPath(path, decision, speaker.config.asn, () =>
    importedBy(speaker, path),
  );
  return {
    ...pathView(path, decision),
    ...(lostTo === undefined ? {} : { lostTo: sourceName(lostTo) }),
    why: path.stale ? `${sentence}; stale: its peer restarts (RFC 4724)` : sentence,
  };
}

/** What of the import policy has decided on a path of a peer. */
export function importedBy(speaker: Speaker, path: Path): string {
  const policy = speaker.peer(sourceName(path))?.config.rib.importPolicy;
  return policy === undefined ? 'the import policy' : decidedBy('import', policy, importInput(path));
}

function importInput({ prefix, received }: Path): PolicyInput {
  return { prefix, source: 'peer', attributes: received };
}

function advertisementOf(
  view: RibView,
  peer: PeerSession,
  position: Position,
  { prefix, decision: { best } }: Destination,
): BgpdAdvertisement {
  const told = view.told(peer.name, position);
  if (told.isTold) {
    return {
      peer: peer.name,
      sent: told.attributes.map(attributesView),
      ...(told.isPending ? { isPending: true } : {}),
      why: told.isPending ? 'it is to be told, and does not keep up or has just come' : 'told',
    };
  }
  const rejectedBy = (): string => {
    if (best === undefined) return 'the export policy';
    const { source, attributes } = best;
    return decidedBy('export', peer.config.rib.exportPolicy, { prefix, source: source.kind, attributes });
  };
  return {
    peer: peer.name,
    sent: [],
    reason: told.reason,
    why: `not told: ${notToldWords(told.reason, { peer, rejectedBy })}`,
  };
}

function shortened({ family, base }: Cidr, length: number): Cidr {
  return { family, base: base & netmask(family, length), length };
}
