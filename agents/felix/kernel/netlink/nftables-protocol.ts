// Numbers of nf_tables' messages (linux/netfilter/nfnetlink.h, nf_tables.h) that more than one part needs.

export const NFNL_SUBSYS_NFTABLES = 10;

const message = (number: number): number => (NFNL_SUBSYS_NFTABLES << 8) | number;
/** Types of messages. */
export const NftMessage = {
  newTable: message(0),
  deleteTable: message(2),
  newChain: message(3),
  getChain: message(4),
  deleteChain: message(5),
  newRule: message(6),
  getRule: message(7),
  deleteRule: message(8),
  newElements: message(12),
  getElements: message(13),
  deleteElements: message(14),
  newGeneration: message(15),
  getGeneration: message(16),
} as const;

/** The table's name, in messages on tables and on all that is in them. */
export const TABLE_ATTRIBUTE = 1;
/** Attributes of a rule. */
export const RULE = { table: TABLE_ATTRIBUTE, chain: 2, handle: 3, expressions: 4, userData: 7 } as const;
/** Of a chain. */
export const CHAIN = { name: 3, hook: 4, policy: 5 } as const;
/** Of a list of elements. */
export const ELEMENT_LIST = { table: 1, set: 2, elements: 3 } as const;
/** Of an element. */
export const ELEMENT = {
  key: 1,
  data: 2,
  flags: 3,
  expiration: 5,
  userData: 6,
  expression: 7,
  keyEnd: 10,
} as const;
/** Of a key, or of what it leads to. */
export const DATA = { value: 1, verdict: 2 } as const;
/** Of a verdict. */
export const VERDICT = { code: 1, chain: 2 } as const;

export const NFPROTO_INET = 1;
/** struct nfgenmsg, ahead of the attributes: family, version, resource. */
export const NFGENMSG_BYTES = 4;
export const INET_HEADER: Buffer = Buffer.from([NFPROTO_INET, 0, 0, 0]);
