// Whether somebody else has changed our table, and the rules of which chains, by what the kernel tells of each commit (group
// NFNLGRP_NFTABLES): a rule put in the place of another shows in no count and no comparison of elements, and a table that nobody has
// touched need not be listed. A commit's messages end with NFT_MSG_NEWGEN.

import type { ForeignRules } from '../../../lib/protocol/kernel-writer.ts';

import { findAttribute, type NetlinkMessage, textOf } from './netlink/message.ts';
import {
  NFGENMSG_BYTES,
  NFNL_SUBSYS_NFTABLES,
  NFPROTO_INET,
  NftMessage,
  RULE,
  TABLE_ATTRIBUTE,
} from './netlink/nftables-protocol.ts';
import { NetlinkFamily, NetlinkListener } from './netlink/socket.ts';

const NFNLGRP_NFTABLES = 7;
/** Chains remembered until they are asked for; more than that is a table that is made anew anyway. */
const MOST_CHAINS = 1_000;
const BUFFER_BYTES = 1024 * 1024;
/** Datagrams taken at once: more than the buffer holds. */
const MOST_DRAINED = 10_000;

/** Elements of sets, of which others change many, decide nothing for all packets. */
const OF_RULESET: ReadonlySet<number> = new Set([
  NftMessage.newTable,
  NftMessage.deleteTable,
  NftMessage.newChain,
  NftMessage.deleteChain,
  NftMessage.newRule,
  NftMessage.deleteRule,
]);

/** What of our table a commit has changed. */
interface WatchedCommit {
  isOfTable: boolean;
  readonly chains: Set<string>;
}

export class RuleWatch {
  readonly #commits = new NetlinkListener(NetlinkFamily.netfilter, NFNLGRP_NFTABLES, BUFFER_BYTES);
  readonly #table: string;
  readonly #foreign = new Set<string>();
  /** Of what came before, nobody knows. */
  #hasOthers = true;
  #state: ForeignRules['table'] = 'unknown';
  /** The commit of which the end has not come. */
  #open: WatchedCommit = { isOfTable: false, chains: new Set() };

  /** `table`: name of an `inet` table. */
  constructor(table: string) {
    this.#table = table;
  }

  /** After a commit of our own: one of those that touched our table was it, and of those that touched rules, if it has touched any. */
  afterOwnCommit(text: string): void {
    const commits = this.#drain();
    if (commits.length > 1) this.#state = 'touched';
    const ofRules = commits.filter(({ chains }) => chains.size > 0);
    const isOurs = /^(add rule|flush chain) /m.test(text);
    if (ofRules.length > (isOurs ? 1 : 0)) this.#note(ofRules);
  }

  /** What others have changed since the last call. */
  take(): ForeignRules {
    const commits = this.#drain();
    if (commits.length > 0) this.#state = 'touched';
    this.#note(commits);
    const taken = { table: this.#state, chains: [...this.#foreign], hasOthers: this.#hasOthers };
    this.#foreign.clear();
    this.#state = 'untouched';
    this.#hasOthers = false;
    return taken;
  }

  #note(commits: readonly WatchedCommit[]): void {
    for (const { chains } of commits)
      for (const chain of chains) if (this.#foreign.size < MOST_CHAINS) this.#foreign.add(chain);
  }

  /** The commits that touched our table; none where the kernel could not deliver all it had to tell. */
  #drain(): readonly WatchedCommit[] {
    const commits: WatchedCommit[] = [];
    const isLost = this.#commits.drain(MOST_DRAINED, (message) => {
      if (message.type === NftMessage.newGeneration) {
        if (this.#open.isOfTable) commits.push(this.#open);
        this.#open = { isOfTable: false, chains: new Set() };
        return;
      }
      const attributes = this.#attributesOf(message);
      if (attributes === undefined) {
        if (OF_RULESET.has(message.type)) this.#hasOthers = true;
        return;
      }
      this.#open.isOfTable = true;
      const isRule = message.type === NftMessage.newRule || message.type === NftMessage.deleteRule;
      const chain = isRule ? textIn(attributes, RULE.chain) : undefined;
      if (chain !== undefined) this.#open.chains.add(chain);
    });
    if (!isLost) return commits;
    // Whose commit the rest belongs to is not known any more.
    this.#open = { isOfTable: false, chains: new Set() };
    this.#hasOthers = true;
    if (this.#state === 'untouched') this.#state = 'unknown';
    return [];
  }

  /** Of a message on anything in our table; undefined: it is on something else. */
  #attributesOf({ type, body }: NetlinkMessage): Buffer | undefined {
    if (type >> 8 !== NFNL_SUBSYS_NFTABLES) return undefined;
    if (body.length < NFGENMSG_BYTES || body.readUInt8(0) !== NFPROTO_INET) return undefined;
    const attributes = body.subarray(NFGENMSG_BYTES);
    return textIn(attributes, TABLE_ATTRIBUTE) === this.#table ? attributes : undefined;
  }
}

function textIn(attributes: Buffer, wanted: number): string | undefined {
  const value = findAttribute(attributes, wanted);
  return value === undefined ? undefined : textOf(value);
}
