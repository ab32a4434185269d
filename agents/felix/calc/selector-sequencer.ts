// Selectors on their way to the dataplane: the first time all identities that they match, later only what was added and
// removed, merged (part of the event sequencer).

import type { CompiledSelector, IdentityId, SelectorId } from '../../../lib/policy/compiled.ts';
import type { CalcMessage } from './messages.ts';

interface Delta {
  readonly added: Set<IdentityId>;
  readonly removed: Set<IdentityId>;
}

export class SelectorSequencer {
  private readonly identitiesOf: (selector: SelectorId) => ReadonlySet<IdentityId>;
  private readonly sent = new Set<SelectorId>();
  /** To be sent whole. */
  private readonly updates = new Map<SelectorId, CompiledSelector>();
  private readonly deltas = new Map<SelectorId, Delta>();
  private readonly removes = new Set<SelectorId>();

  constructor(identitiesOf: (selector: SelectorId) => ReadonlySet<IdentityId>) {
    this.identitiesOf = identitiesOf;
  }

  activate(selector: CompiledSelector): void {
    this.removes.delete(selector.id);
    this.deltas.delete(selector.id);
    this.updates.set(selector.id, selector);
  }

  deactivate(id: SelectorId): void {
    this.updates.delete(id);
    this.deltas.delete(id);
    if (this.sent.has(id)) this.removes.add(id);
  }

  add(id: SelectorId, identity: IdentityId): void {
    const delta = this.delta(id);
    if (delta?.removed.delete(identity) === false) delta.added.add(identity);
  }

  remove(id: SelectorId, identity: IdentityId): void {
    const delta = this.delta(id);
    if (delta?.added.delete(identity) === false) delta.removed.add(identity);
  }

  takeUpdates(): CalcMessage[] {
    const messages: CalcMessage[] = [];
    for (const [id, { added, removed }] of this.deltas) {
      if (added.size === 0 && removed.size === 0) continue;
      messages.push({ type: 'selectorDelta', id, added: sorted(added), removed: sorted(removed) });
    }
    this.deltas.clear();
    for (const [id, selector] of this.updates) {
      this.sent.add(id);
      messages.push({ type: 'selectorUpdate', selector, identities: sorted(this.identitiesOf(id)) });
    }
    this.updates.clear();
    return messages;
  }

  takeRemoves(): CalcMessage[] {
    const ids = [...this.removes];
    for (const id of ids) this.sent.delete(id);
    this.removes.clear();
    return ids.map((id) => ({ type: 'selectorRemove', id }));
  }

  /** Undefined where a change needs no word: the selector goes, or will be sent whole. */
  private delta(id: SelectorId): Delta | undefined {
    if (!this.sent.has(id) || this.updates.has(id) || this.removes.has(id)) return undefined;
    let delta = this.deltas.get(id);
    if (delta === undefined) {
      delta = { added: new Set(), removed: new Set() };
      this.deltas.set(id, delta);
    }
    return delta;
  }
}

function sorted(ids: ReadonlySet<IdentityId>): IdentityId[] {
  return [...ids].sort((a, b) => a - b);
}
