// ONLY_TO_CUSTOMER (RFC 9234 §5): routes that have gone down or sideways once do not go up again.

import { Role } from '../packet/iana.ts';
import type { RouteAttributes } from '../packet/validate.ts';

/** What is learned under our role; undefined: a leaked route, not to be used. */
export function learnedUnderRole(
  role: number | undefined,
  attributes: RouteAttributes,
  peerAsn: number,
): RouteAttributes | undefined {
  const { onlyToCustomer } = attributes;
  switch (role) {
    case Role.provider:
    case Role.routeServer:
      return onlyToCustomer === undefined ? attributes : undefined;
    case Role.peer:
      if (onlyToCustomer === undefined) return { ...attributes, onlyToCustomer: peerAsn };
      return onlyToCustomer === peerAsn ? attributes : undefined;
    case Role.customer:
    case Role.routeServerClient:
      return onlyToCustomer === undefined ? { ...attributes, onlyToCustomer: peerAsn } : attributes;
    default:
      return attributes;
  }
}

/** What is told under our role; undefined: it must not go there. */
export function toldUnderRole(
  role: number | undefined,
  attributes: RouteAttributes,
  localAsn: number,
): RouteAttributes | undefined {
  const { onlyToCustomer } = attributes;
  switch (role) {
    case Role.customer:
    case Role.routeServerClient:
      return onlyToCustomer === undefined ? attributes : undefined;
    case Role.peer:
      return onlyToCustomer === undefined ? { ...attributes, onlyToCustomer: localAsn } : undefined;
    case Role.provider:
    case Role.routeServer:
      return onlyToCustomer === undefined ? { ...attributes, onlyToCustomer: localAsn } : attributes;
    default:
      return attributes;
  }
}
