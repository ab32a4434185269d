// Which chains of our table somebody else has changed the rules of, by what the kernel tells of each commit (group NFNLGRP_NFTABLES):
// a rule put in the place of another shows in no count and no comparison of elements. A commit's messages end with NFT_MSG_NEWGEN.

import { findAttribute, type NetlinkMessage } from './netlink/message.ts';
import { NFGENMSG_BYTES, NFPROTO_INET, NftMessage, RULE } from './netlink/nftables-protocol.ts';
import { NetlinkFamily, NetlinkListener } from './netlink/socket.ts';

const NFNLGRP_NFTABLES = 7;
/** Chains remembered until they are asked for; more than that is a table that is made anew anyway. */
const MOST_CHAINS = 1_000;
const BUFFER_BYTES = 1024 * 1024;
/** Datagrams taken at once: more than the buffer holds. */
const MOST_DRAINED = 10_000;

export class RuleWatch {
  readonly #commits = new NetlinkListener(NetlinkFamily.netfilter, NFNLGRP_NFTABLES, BUFFER_BYTES);
  readonly #table: string;
  readonly #foreign = new Set<string>();
  /** Chains of the commit of which the end has not come. */
  #open = new Set<string>();

  /** `table`: name of an `inet` table. */
  constructor(table: string) {
    this.#table = table;
  }

  /** After a commit of our own: one of those that touched our rules was it, if it has touched any. */
  afterOwnCommit(text: string): void {
    const commits = this.#drain();
    const isOurs = /^(add rule|flush chain) /m.test(text);
    if (commits.length > (isOurs ? 1 : 0)) this.#note(commits);
  }

  /** Names of chains that others have changed since the last call. */
  take(): readonly string[] {
    this.#note(this.#drain());
    const names = [...this.#foreign];
    this.#foreign.clear();
    return names;
  }

  #note(commits: readonly ReadonlySet<string>[]): void {
    for (const chains of commits)
      for (const chain of chains) if (this.#foreign.size < MOST_CHAINS) this.#foreign.add(chain);
  }

  /** The chains of each commit that touched rules of our table; none where the kernel could not deliver all it had to tell. */
  #drain(): readonly ReadonlySet<string>[] {
    const commits: ReadonlySet<string>[] = [];
    const isLost = this.#commits.drain(MOST_DRAINED, (message) => {
      if (message.type === NftMessage.newGeneration) {
        if (this.#open.size > 0) commits.push(this.#open);
        this.#open = new Set();
        return;
      }
      const chain = this.#chainOf(message);
      if (chain !== undefined) this.#open.add(chain);
    });
    if (!isLost) return commits;
    // Whose commit the rest belongs to is not known any more.
    this.#open = new Set();
    return [];
  }

  #chainOf({ type, body }: NetlinkMessage): string | undefined {
    if (type !== NftMessage.newRule && type !== NftMessage.deleteRule) return undefined;
    if (body.length < NFGENMSG_BYTES || body.readUInt8(0) !== NFPROTO_INET) return undefined;
    const attributes = body.subarray(NFGENMSG_BYTES);
    if (textOf(findAttribute(attributes, RULE.table)) !== this.#table) return undefined;
    return textOf(findAttribute(attributes, RULE.chain));
  }
}

function textOf(value: Buffer | undefined): string | undefined {
  return value?.toString('utf8').replace(/\0.*$/s, '');
}
