// How the nodes of a cluster reach a destination, and where destinations are originated.

import type { BgpdDestination, BgpdWhy } from '../../../lib/protocol/bgpd-routes.ts';
import { renderTable } from '../table.ts';

export interface NodeRoutes {
  readonly node: string;
  readonly destinations: readonly BgpdDestination[];
  /** How many it has; more than are here: the answer is cut. */
  readonly total: number;
}

/** A prefix over all nodes that have answered. */
export interface ClusterRoute {
  readonly prefix: string;
  /** Nodes that announce it as their own. */
  readonly origins: readonly string[];
  /** Nodes with a path to it that is in use. */
  readonly reachedBy: readonly string[];
  /** Nodes without one, of those that have told all that they have. */
  readonly missing: readonly string[];
}

export function clusterRoutes(nodes: readonly NodeRoutes[]): ClusterRoute[] {
  const byPrefix = new Map<string, { origins: string[]; reachedBy: string[] }>();
  for (const { node, destinations } of nodes) {
    for (const { prefix, paths } of destinations) {
      const best = paths.find(({ verdict }) => verdict === 'best');
      const route = byPrefix.get(prefix) ?? { origins: [], reachedBy: [] };
      byPrefix.set(prefix, route);
      if (best?.source === 'local') route.origins.push(node);
      else if (best !== undefined) route.reachedBy.push(node);
    }
  }
  const whole = nodes.filter(({ destinations, total }) => destinations.length >= total);
  return [...byPrefix].map(([prefix, { origins, reachedBy }]) => {
    const known = new Set([...origins, ...reachedBy]);
    const missing = whole.map(({ node }) => node).filter((node) => !known.has(node));
    return { prefix, origins, reachedBy, missing };
  });
}

export function renderClusterRoutes(routes: readonly ClusterRoute[]): string {
  if (routes.length === 0) return 'No routes.\n';
  const list = (nodes: readonly string[]): string => (nodes.length === 0 ? '-' : nodes.join(','));
  return renderTable(
    ['PREFIX', 'ORIGINATED-BY', 'REACHED-BY', 'NOT-REACHED-BY'],
    routes.map(({ prefix, origins, reachedBy, missing }) => [
      prefix,
      origins.length === 0 ? 'outside' : list(origins),
      list(reachedBy),
      list(missing),
    ]),
  );
}

export interface NodeWhy {
  readonly node: string;
  readonly destinations: readonly BgpdWhy[];
}

/** A line a node: its own, or by which way, and what the kernel has. */
export function renderReachability(nodes: readonly NodeWhy[]): string {
  if (nodes.length === 0) return 'No nodes.\n';
  return renderTable(
    ['NODE', 'ROUTE', 'WAY', 'FROM', 'KERNEL'],
    nodes.map(({ node, destinations }) => {
      const [nearest] = destinations;
      if (nearest === undefined) return [node, '-', 'no route', '-', '-'];
      const used = nearest.paths.filter(({ verdict }) => verdict === 'best' || verdict === 'multipath');
      return [node, nearest.prefix, wayOf(used), fromOf(used), nearest.kernel.why];
    }),
  );
}

function wayOf(used: BgpdWhy['paths']): string {
  if (used.length === 0) return 'no usable path';
  if (used.some(({ source }) => source === 'local')) return 'originates it';
  return `via ${[...new Set(used.map(({ nextHop }) => nextHop))].join(', ')}`;
}

function fromOf(used: BgpdWhy['paths']): string {
  const sources = used.map(({ source }) => source).filter((source) => source !== 'local');
  return sources.length === 0 ? '-' : sources.join(', ');
}
