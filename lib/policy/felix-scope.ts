// Whom a FelixConfiguration is for, and which of several counts (libcalico-go's configuration update processor): `default` for all
// hosts, `node.<host>` for one, any other name for the nodes that its nodeSelector matches.

import type { FelixConfiguration } from '../model/endpoint-types.ts';
import type { Labels } from '../selector/expression.ts';
import { selectorOrUndefined } from '../selector/parser.ts';
import type { Selector } from '../selector/selector.ts';

const GLOBAL = 'default';
const HOST_PREFIX = 'node.';

export type FelixScope =
  | { readonly type: 'global' }
  | { readonly type: 'host'; readonly host: string }
  /** Without a selector, or with one that does not parse, it is for no node. */
  | { readonly type: 'selected'; readonly selector: Selector | undefined };

export function felixScope({
  metadata: { name },
  spec,
}: Pick<FelixConfiguration, 'metadata' | 'spec'>): FelixScope {
  if (name === GLOBAL) return { type: 'global' };
  if (name.startsWith(HOST_PREFIX)) return { type: 'host', host: name.slice(HOST_PREFIX.length) };
  const text = spec?.['nodeSelector'];
  const isGiven = typeof text === 'string' && text !== '';
  return { type: 'selected', selector: isGiven ? selectorOrUndefined(text) : undefined };
}

/** Nothing said is the default, as if the field were not there. */
export function isSaid(value: unknown): boolean {
  return value !== undefined && value !== null && value !== '';
}

export interface Selecting {
  readonly name: string;
  /** RFC 3339. */
  readonly createdAt: string;
  readonly selector: Selector;
}

/** Of those that match the oldest, then the lower name. `labels` undefined: there is no Node, and no selector matches. */
export function oldestMatching<Each extends Selecting>(
  all: readonly Each[],
  labels: Labels | undefined,
): Each | undefined {
  if (labels === undefined) return undefined;
  const [first] = all
    .filter(({ selector }) => selector.matches(labels))
    .sort((a, b) => {
      if (a.createdAt !== b.createdAt) return a.createdAt < b.createdAt ? -1 : 1;
      return a.name < b.name ? -1 : 1;
    });
  return first;
}
