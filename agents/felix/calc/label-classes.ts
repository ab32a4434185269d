// Endpoints by their effective labels: what selects one of a class selects all of it, so a selector is compared with a class
// once, however many endpoints of a host are alike. Pure.

import { identityKey } from '../../../lib/policy/labels.ts';
import type { Labels } from '../../../lib/selector/expression.ts';

export interface LabelClass {
  readonly key: string;
  readonly labels: Labels;
  /** Never empty while it is one of the classes. */
  readonly endpoints: Set<string>;
}

export class LabelClasses {
  private readonly classesByKey = new Map<string, LabelClass>();
  private readonly classByEndpoint = new Map<string, LabelClass>();

  /** The class of the endpoint, if it has labels. */
  of(endpoint: string): LabelClass | undefined {
    return this.classByEndpoint.get(endpoint);
  }

  /** Moves the endpoint into the class of the labels, or out of all of them. What it leaves may be empty: then it is one no more. */
  move(
    endpoint: string,
    labels: Labels | undefined,
  ): { readonly from: LabelClass | undefined; readonly to: LabelClass | undefined } {
    const from = this.classByEndpoint.get(endpoint);
    const to = labels === undefined ? undefined : this.classOf(labels);
    if (from === to) return { from, to };
    from?.endpoints.delete(endpoint);
    if (from?.endpoints.size === 0) this.classesByKey.delete(from.key);
    if (to === undefined) this.classByEndpoint.delete(endpoint);
    else {
      to.endpoints.add(endpoint);
      this.classByEndpoint.set(endpoint, to);
    }
    return { from, to };
  }

  private classOf(labels: Labels): LabelClass {
    const key = identityKey(labels, []);
    let found = this.classesByKey.get(key);
    if (found === undefined) {
      found = { key, labels, endpoints: new Set() };
      this.classesByKey.set(key, found);
    }
    return found;
  }
}
