// Route refresh on one session: requests of ours and of the peer's (RFC 2918), and the families whose routes are all coming
// again, from BoRR to EoRR (RFC 7313 §4). A peer that never says EoRR is not waited for forever.

import type { CodecContext } from '../packet/context.ts';
import { type AddressFamily, FAMILIES, familyOf, RouteRefreshSubtype } from '../packet/iana.ts';
import { encodeMessage } from '../packet/message.ts';
import type { RouteRefreshMessage } from '../packet/route-refresh.ts';

export interface RefreshHandlers {
  readonly asked: (family: AddressFamily) => void;
  readonly begins: (family: AddressFamily) => void;
  readonly ends: (family: AddressFamily) => void;
}

const MAX_MS = 300_000;

export class RefreshWindows {
  readonly #timers = new Map<AddressFamily, NodeJS.Timeout>();
  readonly #handlers: RefreshHandlers;

  constructor(handlers: RefreshHandlers) {
    this.#handlers = handlers;
  }

  /** Families that were not agreed on, and subtypes that were not, mean nothing. */
  receive({ afi, safi, subtype }: RouteRefreshMessage, context: CodecContext): void {
    const family = familyOf(afi, safi);
    if (family === undefined || !context.families.has(family)) return;
    if (subtype === RouteRefreshSubtype.request) this.#handlers.asked(family);
    if (!context.enhancedRefresh) return;
    if (subtype === RouteRefreshSubtype.beginning) this.#begin(family);
    if (subtype === RouteRefreshSubtype.end) this.#end(family);
  }

  /** The session is over: graceful restart says what becomes of its routes. */
  clear(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  /** A second beginning starts over. */
  #begin(family: AddressFamily): void {
    clearTimeout(this.#timers.get(family));
    this.#timers.set(
      family,
      setTimeout(() => this.#end(family), MAX_MS),
    );
    this.#handlers.begins(family);
  }

  /** An end without a beginning means nothing. */
  #end(family: AddressFamily): void {
    if (!this.#timers.has(family)) return;
    clearTimeout(this.#timers.get(family));
    this.#timers.delete(family);
    this.#handlers.ends(family);
  }
}

/** Asks for every family of the session. */
export function refreshRequests(context: CodecContext): Uint8Array[] {
  return [...context.families].map((family) => {
    const { afi, safi } = FAMILIES[family];
    return encodeMessage({ type: 'routeRefresh', afi, subtype: RouteRefreshSubtype.request, safi }, context);
  });
}
