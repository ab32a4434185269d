// Adj-RIB-Out: what one peer has been told, so that nothing is repeated and nothing is withdrawn that was never sent
// (RFC 4271 §3.2). Gathers changes per attribute set and packs them into messages.

import type { Cidr } from '../../../lib/net/ip.ts';
import type { CodecContext } from '../packet/context.ts';
import { ADDRESS_FAMILIES, type AddressFamily } from '../packet/iana.ts';
import { encodeEndOfRib, packAnnouncements, packWithdrawals } from '../packet/update.ts';
import type { RouteAttributes } from '../packet/validate.ts';
import { attributesKey, prefixKey } from './path.ts';

/** What a flush sends to one peer. */
export interface PeerUpdates {
  /** Whole messages in sending order. */
  readonly messages: readonly Uint8Array[];
  readonly announced: readonly Cidr[];
  readonly withdrawn: readonly Cidr[];
  /** Prefixes whose attributes do not fit the peer's greatest message: withdrawn instead (RFC 8654 §5). */
  readonly tooLarge: readonly Cidr[];
  readonly endOfRib: readonly AddressFamily[];
}

interface Advertised {
  readonly family: AddressFamily;
  readonly prefix: Cidr;
  readonly attributesKey: string;
  readonly attributes: RouteAttributes;
}
interface Bucket {
  readonly family: AddressFamily;
  readonly attributes: RouteAttributes;
  readonly prefixes: Cidr[];
}

export class AdjRibOut {
  readonly #advertised = new Map<string, Advertised>();
  readonly #buckets = new Map<string, Bucket>();
  readonly #withdrawn: Record<AddressFamily, Cidr[]> = { ipv4Unicast: [], ipv6Unicast: [] };

  get(key: string): RouteAttributes | undefined {
    return this.#advertised.get(key)?.attributes;
  }

  size(family: AddressFamily): number {
    let count = 0;
    for (const entry of this.#advertised.values()) if (entry.family === family) count++;
    return count;
  }

  /** Says what the peer is to know of the prefix now. `force`: send it even if it knows (RFC 2918 §4). */
  put(family: AddressFamily, prefix: Cidr, attributes: RouteAttributes | undefined, force = false): void {
    const key = prefixKey(prefix);
    const before = this.#advertised.get(key);
    if (attributes === undefined) {
      if (before === undefined) return;
      this.#advertised.delete(key);
      this.#withdrawn[family].push(prefix);
      return;
    }
    const setKey = attributesKey(attributes);
    if (before?.attributesKey === setKey && !force) return;
    this.#advertised.set(key, { family, prefix, attributesKey: setKey, attributes });
    const bucketKey = `${family} ${setKey}`;
    const bucket = this.#buckets.get(bucketKey);
    if (bucket === undefined) this.#buckets.set(bucketKey, { family, attributes, prefixes: [prefix] });
    else bucket.prefixes.push(prefix);
  }

  /** Withdrawals first, then announcements, then the End-of-RIB marks; the gathered changes are gone afterwards. */
  drain(context: CodecContext, endOfRib: readonly AddressFamily[]): PeerUpdates {
    const announcements: Uint8Array[] = [];
    const announced: Cidr[] = [];
    const tooLarge: Cidr[] = [];
    for (const { family, attributes, prefixes } of this.#buckets.values()) {
      const packed = packAnnouncements(family, attributes, prefixes, context);
      if (packed !== undefined) {
        // Not push(...prefixes): as arguments a whole table would overflow the stack.
        for (const message of packed) announcements.push(message);
        for (const prefix of prefixes) announced.push(prefix);
        continue;
      }
      for (const prefix of prefixes) {
        this.#advertised.delete(prefixKey(prefix));
        this.#withdrawn[family].push(prefix);
        tooLarge.push(prefix);
      }
    }
    this.#buckets.clear();
    const withdrawals = ADDRESS_FAMILIES.flatMap((family) =>
      packWithdrawals(family, this.#withdrawn[family], context),
    );
    const withdrawn = ADDRESS_FAMILIES.flatMap((family) => this.#withdrawn[family]);
    for (const family of ADDRESS_FAMILIES) this.#withdrawn[family] = [];
    const marks = endOfRib.map((family) => encodeEndOfRib(family, context));
    return {
      messages: [...withdrawals, ...announcements, ...marks],
      announced,
      withdrawn,
      tooLarge,
      endOfRib,
    };
  }
}
