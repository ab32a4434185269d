// What the writer's namespace has of links, routes, permanent neighbours and rules, by dumps of our own (netlink/route-dumps.ts): a look
// at a host is several lists, and an `ip` for each of them would take more time than all the rest.

import { constants } from 'node:os';
import type { NetworkQuery } from '../../../lib/protocol/kernel-writer.ts';
import type { NetlinkMessage } from './netlink/message.ts';
import {
  decodeListedAddress,
  decodeListedLink,
  decodeListedRoute,
  decodeListedRule,
  decodePermanentNeighbour,
  dumpAddresses,
  dumpLinks,
  dumpNeighbours,
  dumpRoutes,
  dumpRules,
  MAIN_TABLE,
} from './netlink/route-dumps.ts';
import { getLinkAt } from './netlink/route-messages.ts';
import { NetlinkError, NetlinkFamily, NetlinkSocket } from './netlink/socket.ts';
import { ask, NO_LINK } from './workload-links.ts';

/** Of a dump in whose course something changed: what was passed over is in the next. */
const MOST_ATTEMPTS = 5;
/** No such table; no such family. */
const NOTHING: readonly number[] = [
  constants.errno.ENOENT,
  constants.errno.EAFNOSUPPORT,
  constants.errno.EOPNOTSUPP,
];

export class NetworkLists {
  readonly #socket = new NetlinkSocket(NetlinkFamily.route, { checksStrictly: true });

  /** JSON in the form of `ip -N -d -j`. Throws NetlinkError. */
  list(query: NetworkQuery): readonly object[] {
    switch (query.what) {
      case 'links':
        return this.#links(query);
      case 'routes': {
        const { family, protocol, table = MAIN_TABLE } = query;
        const routes = this.#all(dumpRoutes(family, protocol, table), (message) =>
          decodeListedRoute(message, family, protocol, table),
        );
        return this.#named(routes);
      }
      case 'neighbours':
        return this.#named(this.#all(dumpNeighbours(), decodePermanentNeighbour));
      case 'rules':
        return this.#all(dumpRules(query.family), (message) => decodeListedRule(message, query.family));
    }
  }

  #links({ kinds, withAddresses }: Extract<NetworkQuery, { what: 'links' }>): readonly object[] {
    const links = this.#all(dumpLinks(), decodeListedLink).filter(
      ({ linkinfo }) => kinds === undefined || kinds.includes(linkinfo?.info_kind ?? ''),
    );
    const addresses =
      withAddresses && links.length > 0 ? this.#all(dumpAddresses(), decodeListedAddress) : [];
    const byLink = Map.groupBy(addresses, ({ index }) => index);
    return links.map(({ index, linkinfo, ...link }) => {
      const { link: below, ...data } = linkinfo?.info_data ?? {};
      const infoData = below === undefined ? data : { ...data, link: this.#nameOf(below) };
      return {
        ...link,
        ...(linkinfo === undefined ? {} : { linkinfo: { ...linkinfo, info_data: infoData } }),
        addr_info: (byLink.get(index) ?? []).map(({ index: _index, ...address }) => address),
      };
    });
  }

  /** With the interface's name in place of its index. */
  #named(entries: readonly { readonly dev?: number }[]): readonly object[] {
    const names = new Map<number, string | undefined>();
    return entries.map((entry) => {
      const { dev } = entry;
      if (dev === undefined) return entry;
      if (!names.has(dev)) names.set(dev, this.#nameOf(dev));
      return { ...entry, dev: names.get(dev) };
    });
  }

  /** Asked one by one: a host has thousands of links, few of which routes of one kind go through. */
  #nameOf(index: number): string | undefined {
    const answer = ask(this.#socket, getLinkAt(index), NO_LINK);
    return answer === undefined || answer === 'notThere' ? undefined : decodeListedLink(answer)?.ifname;
  }

  /** What is dumped is decoded at once: messages share the socket's buffer. */
  #all<Entry>(
    dump: NetlinkMessage,
    decode: (message: NetlinkMessage) => Entry | undefined,
  ): readonly Entry[] {
    let entries: Entry[] = [];
    for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
      entries = [];
      try {
        const isWhole = this.#socket.dump(dump, (message) => {
          const entry = decode(message);
          if (entry !== undefined) entries.push(entry);
        });
        if (isWhole) break;
      } catch (error) {
        if (error instanceof NetlinkError && NOTHING.includes(error.type.errno)) return [];
        throw error;
      }
    }
    return entries;
  }
}
