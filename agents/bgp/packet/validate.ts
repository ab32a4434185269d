// From a decoded UPDATE to route changes: mandatory attributes, the strongest reaction carried out once
// (RFC 4271 §6.3 as revised by RFC 7606 §3, §5.2).

import { formatCidr, type IpAddress } from '../../../lib/net/ip.ts';
import { firstAsn } from './attributes/as-path.ts';
import type { DecodedAttributes } from './attributes/decode.ts';
import type { PathAttributes } from './attributes/types.ts';
import type { CodecContext } from './context.ts';
import { REACTIONS, type Reaction, type UpdateFault, updateError } from './errors.ts';
import { type AddressFamily, AttributeCode, UpdateSubcode } from './iana.ts';
import type { Nlri } from './nlri.ts';
import type { UpdateMessage } from './update.ts';

/** Attributes as the RIB keeps them: one next hop whatever the family, no NLRI. */
export type RouteAttributes = Omit<
  PathAttributes,
  'mpReachNlri' | 'mpUnreachNlri' | 'as4Path' | 'as4Aggregator'
> & {
  readonly nextHop: IpAddress;
  /** RFC 2545 §3: the link-local address that came beside a global next hop. */
  readonly linkLocalNextHop?: IpAddress;
};

export interface Announcement {
  readonly family: AddressFamily;
  readonly prefixes: readonly Nlri[];
  readonly attributes: RouteAttributes;
}

export interface RouteChanges {
  readonly announced: readonly Announcement[];
  readonly withdrawn: readonly { readonly family: AddressFamily; readonly prefixes: readonly Nlri[] }[];
  readonly endOfRib: readonly AddressFamily[];
  readonly faults: readonly UpdateFault[];
}

/** Throws DecodeError where the session must be reset. A prefix both withdrawn and announced is announced. */
export function routeChanges(update: UpdateMessage, context: CodecContext): RouteChanges {
  const endOfRib = endOfRibOf(update, context);
  if (endOfRib !== undefined)
    return { announced: [], withdrawn: [], endOfRib: [endOfRib], faults: update.faults };
  const isNegotiated = ({ family }: { readonly family: AddressFamily }): boolean =>
    context.families.has(family);
  const reachable = reachableRoutes(update).filter(isNegotiated);
  const faults = [...relevantFaults(update), ...contentFaults(update, reachable.length > 0, context)];
  const reaction = strongest(faults);
  const withdrawn = withdrawnRoutes(update).filter(isNegotiated);
  if (isStrongerThanDiscard(reaction) && reachable.length === 0) {
    // RFC 7606 §5.2: with nothing to withdraw the sender and we could disagree for good.
    const first = faults.find((fault) => isStrongerThanDiscard(fault.reaction));
    throw updateError(
      first?.subcode ?? UpdateSubcode.malformedAttributeList,
      first?.reason ?? 'malformed',
      first?.data,
    );
  }
  if (reaction === 'treatAsWithdraw') {
    const lost = reachable.map(({ family, prefixes }) => ({ family, prefixes }));
    return { announced: [], withdrawn: [...withdrawn, ...lost], endOfRib: [], faults };
  }
  const announced = reachable.flatMap(({ family, prefixes, nextHop, linkLocalNextHop }): Announcement[] =>
    nextHop === undefined
      ? []
      : [{ family, prefixes, attributes: routeAttributes(update.attributes, nextHop, linkLocalNextHop) }],
  );
  return { announced, withdrawn: withoutAnnounced(withdrawn, announced), endOfRib: [], faults };
}

interface Reachable {
  readonly family: AddressFamily;
  readonly prefixes: readonly Nlri[];
  readonly nextHop: IpAddress | undefined;
  readonly linkLocalNextHop?: IpAddress;
}

function reachableRoutes(update: UpdateMessage): Reachable[] {
  const { nextHop, mpReachNlri } = update.attributes;
  const routes: Reachable[] = [];
  if (update.nlri.length > 0) routes.push({ family: 'ipv4Unicast', prefixes: update.nlri, nextHop });
  if (mpReachNlri !== undefined && mpReachNlri.prefixes.length > 0) routes.push(mpReachNlri);
  return routes;
}

function withdrawnRoutes(update: UpdateMessage): { family: AddressFamily; prefixes: readonly Nlri[] }[] {
  const { mpUnreachNlri } = update.attributes;
  const routes: { family: AddressFamily; prefixes: readonly Nlri[] }[] = [];
  if (update.withdrawn.length > 0) routes.push({ family: 'ipv4Unicast', prefixes: update.withdrawn });
  if (mpUnreachNlri !== undefined && mpUnreachNlri.prefixes.length > 0) routes.push(mpUnreachNlri);
  return routes;
}

/** RFC 4760 §3: NEXT_HOP without an NLRI field is to be ignored, whatever is in it. */
function relevantFaults(update: UpdateMessage): readonly UpdateFault[] {
  if (update.nlri.length > 0) return update.faults;
  return update.faults.filter((fault) => fault.attribute !== AttributeCode.nextHop);
}

/**
 * The attributes of routes as they come, `hasNlriField` or in MP_REACH_NLRI, from an attribute list alone; undefined if
 * anything is wrong with them, and the whole message has to be judged.
 */
export function wholeAttributes(
  { attributes, faults }: DecodedAttributes,
  hasNlriField: boolean,
  context: CodecContext,
): RouteAttributes | undefined {
  const { mpReachNlri } = attributes;
  const nextHop = hasNlriField ? attributes.nextHop : mpReachNlri?.nextHop;
  if (faults.length > 0 || nextHop === undefined) return undefined;
  if (!isComplete(attributes, hasNlriField, context)) return undefined;
  return routeAttributes(attributes, nextHop, hasNlriField ? undefined : mpReachNlri?.linkLocalNextHop);
}

function isComplete(
  { origin, asPath, nextHop }: PathAttributes,
  hasNlriField: boolean,
  context: CodecContext,
): boolean {
  if (origin === undefined || asPath === undefined || (hasNlriField && nextHop === undefined)) return false;
  const checksFirst = context.peerType === 'external' && context.enforceFirstAs;
  return !checksFirst || firstAsn(asPath) === context.peerAsn;
}

/** Mandatory attributes (RFC 4271 §5), and the first AS of an external path (§6.3). */
function contentFaults(update: UpdateMessage, hasRoutes: boolean, context: CodecContext): UpdateFault[] {
  if (!hasRoutes || isComplete(update.attributes, update.nlri.length > 0, context)) return [];
  const { origin, asPath, nextHop } = update.attributes;
  const faults: UpdateFault[] = [];
  const withdraw = (subcode: number, data: readonly number[], reason: string): void =>
    void faults.push({ reaction: 'treatAsWithdraw', subcode, data: Uint8Array.from(data), reason });
  const mustHave = (value: unknown, attribute: number, name: string): void => {
    // What was there and malformed has its own fault already.
    const isFault = update.faults.some((fault) => fault.attribute === attribute);
    if (value === undefined && !isFault) {
      withdraw(UpdateSubcode.missingWellKnown, [attribute], `${name} is missing`);
    }
  };
  mustHave(origin, AttributeCode.origin, 'ORIGIN');
  mustHave(asPath, AttributeCode.asPath, 'AS_PATH');
  if (update.nlri.length > 0) mustHave(nextHop, AttributeCode.nextHop, 'NEXT_HOP');
  const checksFirst = context.peerType === 'external' && context.enforceFirstAs;
  if (checksFirst && asPath !== undefined && firstAsn(asPath) !== context.peerAsn) {
    withdraw(UpdateSubcode.malformedAsPath, [], 'the first AS of the path is not the peer');
  }
  return faults;
}

function endOfRibOf(update: UpdateMessage, context: CodecContext): AddressFamily | undefined {
  if (update.withdrawn.length > 0 || update.nlri.length > 0) return undefined;
  const { mpUnreachNlri, ...others } = update.attributes;
  if (Object.keys(others).length > 0 || update.faults.length > 0) return undefined;
  if (mpUnreachNlri === undefined) return context.families.has('ipv4Unicast') ? 'ipv4Unicast' : undefined;
  return mpUnreachNlri.prefixes.length === 0 ? mpUnreachNlri.family : undefined;
}

function routeAttributes(
  attributes: PathAttributes,
  nextHop: IpAddress,
  linkLocalNextHop: IpAddress | undefined,
): RouteAttributes {
  const { mpReachNlri, mpUnreachNlri, as4Path, as4Aggregator } = attributes;
  // As nearly always; leaving fields out costs a copy field by field.
  const isPlain = mpReachNlri === undefined && mpUnreachNlri === undefined && as4Path === undefined;
  if (isPlain && as4Aggregator === undefined)
    return attributes.nextHop === nextHop ? (attributes as RouteAttributes) : { ...attributes, nextHop };
  const {
    mpReachNlri: _reach,
    mpUnreachNlri: _unreach,
    as4Path: _path,
    as4Aggregator: _aggregator,
    ...rest
  } = attributes;
  if (linkLocalNextHop === undefined) return { ...rest, nextHop };
  // bird has nothing else to say where it has no global address: `::` before the link-local one.
  const isAlone = nextHop.value === 0n;
  return isAlone ? { ...rest, nextHop: linkLocalNextHop } : { ...rest, nextHop, linkLocalNextHop };
}

/** RFC 4271 §4.3: a prefix in both fields is to be treated as announced. */
function withoutAnnounced(
  withdrawn: RouteChanges['withdrawn'],
  announced: readonly Announcement[],
): RouteChanges['withdrawn'] {
  if (withdrawn.length === 0 || announced.length === 0) return withdrawn;
  const keys = new Set(announced.flatMap(({ prefixes }) => prefixes.map(nlriKey)));
  return withdrawn.map(({ family, prefixes }) => ({
    family,
    prefixes: prefixes.filter((prefix) => !keys.has(nlriKey(prefix))),
  }));
}

/** Paths of one prefix are told apart by their id (RFC 7911 §3). */
function nlriKey(nlri: Nlri): string {
  return nlri.pathId === undefined ? formatCidr(nlri) : `${formatCidr(nlri)} ${nlri.pathId}`;
}

function strongest(faults: readonly UpdateFault[]): Reaction | undefined {
  const rank = faults.reduce((most, fault) => Math.max(most, REACTIONS.indexOf(fault.reaction)), -1);
  return REACTIONS[rank];
}

function isStrongerThanDiscard(reaction: Reaction | undefined): boolean {
  return reaction === 'treatAsWithdraw' || reaction === 'sessionReset';
}
