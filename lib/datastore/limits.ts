// etcd's own bounds on one request (its defaults), kept by the in-memory twin too (docs/limits.md "etcd").

/** Compares, and operations of each branch, in one transaction (`--max-txn-ops`). */
export const MAX_TRANSACTION_OPERATIONS = 128;
/** Octets of one request (`--max-request-bytes`). */
export const MAX_REQUEST_BYTES = 1_572_864;
/** Keys asked for at once when a whole prefix is listed. */
export const LIST_PAGE_SIZE = 500;
