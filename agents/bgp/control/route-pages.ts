// Loc-RIB, Adj-RIB-In and Adj-RIB-Out over the control socket, a part at a time: parts are gathered in slices of the event
// loop, and end where they would grow too large for a line.

import { setImmediate as nextTurn } from 'node:timers/promises';
import { formatCidr, parseCidr } from '../../../lib/net/ip.ts';
import type { BgpdRequest } from '../../../lib/protocol/bgpd.ts';
import type { BgpdDestination, BgpdReceivedPath, BgpdSentPath } from '../../../lib/protocol/bgpd-routes.ts';
import type { Destination, Position, RibView } from '../rib/rib-view.ts';
import type { Speaker } from '../speaker.ts';
import { explainPath } from './path-words.ts';
import { attributesView, orderedPaths, pathView, sourceName } from './route-view.ts';
import { importedBy } from './why-view.ts';

export type PageRequest = Pick<Extract<BgpdRequest, { type: 'rib' }>, 'prefix' | 'after' | 'limit'>;

export interface Page<T> {
  readonly items: readonly T[];
  /** Set where there is more: the next part begins behind it. */
  readonly next?: string;
}

/** Milliseconds of one slice. */
const SLICE_MS = 5;
/** Prefixes between two looks at the clock. */
const CLOCK_EVERY = 64;
/** Octets of a part, about: what JSON makes of it in a few milliseconds. */
const MAX_OCTETS = 512 * 1024;

export function destinationPage(speaker: Speaker, request: PageRequest): Promise<Page<BgpdDestination>> {
  return page(speaker.rib.view, request, (position) => {
    const destination = speaker.rib.view.destination(position);
    return destination === undefined ? [] : [destinationView(speaker, position, destination)];
  });
}

export function receivedPage(
  speaker: Speaker,
  peer: string,
  request: PageRequest,
): Promise<Page<BgpdReceivedPath>> {
  const { view } = speaker.rib;
  return page(view, request, (position) => {
    const destination = view.hasPathOf(peer, position) ? view.destination(position) : undefined;
    return destination === undefined ? [] : receivedViews(speaker, peer, destination);
  });
}

export function sentPage(speaker: Speaker, peer: string, request: PageRequest): Promise<Page<BgpdSentPath>> {
  const { view } = speaker.rib;
  return page(view, request, (position) =>
    view.toldAttributes(peer, position).map((attributes) => ({
      prefix: formatCidr(view.prefix(position)),
      attributes: attributesView(attributes),
    })),
  );
}

function destinationView(speaker: Speaker, position: Position, destination: Destination): BgpdDestination {
  const { prefix, decision } = destination;
  return {
    prefix: formatCidr(prefix),
    paths: orderedPaths(decision).map((path) => pathView(path, decision)),
    advertisedTo: [...speaker.peers]
      .map(({ name }) => name)
      .filter((name) => speaker.rib.view.toldAttributes(name, position).length > 0),
  };
}

function receivedViews(speaker: Speaker, peer: string, destination: Destination): BgpdReceivedPath[] {
  const { prefix, decision } = destination;
  return [...decision.verdicts]
    .filter(([path]) => sourceName(path) === peer)
    .map(([path, { verdict }]) => {
      const { pathId, stale, received, attributes, ineligible } = path;
      const why = (): string =>
        explainPath(path, decision, speaker.config.asn, () => importedBy(speaker, path)).sentence;
      return {
        prefix: formatCidr(prefix),
        ...(pathId === undefined ? {} : { pathId }),
        stale,
        received: attributesView(received),
        ...(ineligible === undefined ? { accepted: attributesView(attributes) } : { why: why() }),
        verdict,
      };
    });
}

async function page<T>(
  view: RibView,
  { prefix, after, limit }: PageRequest,
  views: (position: Position) => readonly T[],
): Promise<Page<T>> {
  if (prefix !== undefined) {
    const cidr = parseCidr(prefix);
    const position = cidr === undefined ? undefined : view.position(cidr);
    return { items: position === undefined ? [] : views(position) };
  }
  const items: T[] = [];
  let octets = 0;
  let seen = 0;
  let sliceEnd = performance.now() + SLICE_MS;
  for (const position of view.positions(after === undefined ? undefined : parsePosition(after))) {
    for (const item of views(position)) {
      items.push(item);
      octets += JSON.stringify(item).length;
    }
    if (items.length >= limit || octets >= MAX_OCTETS) return { items, next: formatPosition(position) };
    if (++seen % CLOCK_EVERY !== 0 || performance.now() < sliceEnd) continue;
    await nextTurn();
    sliceEnd = performance.now() + SLICE_MS;
  }
  return { items };
}

function formatPosition({ family, id }: Position): string {
  return `${family}:${id}`;
}

function parsePosition(text: string): Position {
  const [family, id] = text.split(':');
  return { family: family === 'ipv6Unicast' ? 'ipv6Unicast' : 'ipv4Unicast', id: Number(id) };
}
