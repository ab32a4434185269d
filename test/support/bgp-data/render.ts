// A line for each route of an UPDATE or a table entry, and one for every other message: what digests in tests are made of.

import { formatAsPath } from '../../../agents/bgp/packet/attributes/as-path.ts';
import type { PathAttributes } from '../../../agents/bgp/packet/attributes/types.ts';
import type { Message } from '../../../agents/bgp/packet/message.ts';
import type { Nlri } from '../../../agents/bgp/packet/nlri.ts';
import type { UpdateMessage } from '../../../agents/bgp/packet/update.ts';
import { formatCidr, formatIp, type IpAddress } from '../../../lib/net/ip.ts';

/** `+ prefix [path id] attributes` for what is announced, `- prefix` for what is withdrawn, in the order of the octets. */
export function updateLines(update: UpdateMessage): string[] {
  const { attributes, nlri, withdrawn } = update;
  const { mpReachNlri, mpUnreachNlri } = attributes;
  const text = attributesText(attributes);
  const announced = (prefixes: readonly Nlri[], hops: readonly (IpAddress | undefined)[]): string[] => {
    const via = hops.map((hop) => (hop === undefined ? '-' : formatIp(hop))).join(',');
    return prefixes.map((prefix) => `+ ${nlriText(prefix)} via ${via} ${text}`);
  };
  const { nextHop, linkLocalNextHop } = mpReachNlri ?? {};
  return [
    ...withdrawn.map((prefix) => `- ${nlriText(prefix)}`),
    ...(mpUnreachNlri?.prefixes ?? []).map((prefix) => `- ${nlriText(prefix)}`),
    ...announced(
      mpReachNlri?.prefixes ?? [],
      linkLocalNextHop === undefined ? [nextHop] : [nextHop, linkLocalNextHop],
    ),
    ...announced(nlri, [attributes.nextHop]),
  ];
}

/** Any message on one line; an UPDATE with its faults. */
export function messageLine(message: Message): string {
  return JSON.stringify(message, (_key, value: unknown) => {
    if (typeof value === 'bigint') return value.toString(16);
    return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value;
  });
}

export function nlriText(nlri: Nlri): string {
  return nlri.pathId === undefined ? formatCidr(nlri) : `${formatCidr(nlri)} id ${nlri.pathId}`;
}

/** `key=value` of what is there but next hops and NLRI. */
export function attributesText(attributes: PathAttributes): string {
  const { aggregator, communities, largeCommunities, extendedCommunities, unknown } = attributes;
  const parts: readonly (readonly [string, unknown])[] = [
    ['path', attributes.asPath === undefined ? undefined : `"${formatAsPath(attributes.asPath)}"`],
    ['origin', attributes.origin],
    ['med', attributes.multiExitDisc],
    ['pref', attributes.localPref],
    ['atomic', attributes.atomicAggregate],
    ['aggregator', aggregator && `${aggregator.asn}/${dotted(aggregator.identifier)}`],
    ['communities', communities?.map(communityText).join(',')],
    ['large', largeCommunities?.map((parts) => parts.join(':')).join(',')],
    ['extended', extendedCommunities?.map((value) => value.toString(16).padStart(16, '0')).join(',')],
    ['originator', attributes.originatorId === undefined ? undefined : dotted(attributes.originatorId)],
    ['clusters', attributes.clusterList?.map(dotted).join(',')],
    ['otc', attributes.onlyToCustomer],
    ['unknown', unknown?.map(({ code, value }) => `${code}:${Buffer.from(value).toString('hex')}`).join(',')],
  ];
  return parts
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}=${value}`)
    .join(' ');
}

function communityText(community: number): string {
  return `${community >>> 16}:${community & 0xffff}`;
}

function dotted(value: number): string {
  return formatIp({ family: 4, value: BigInt(value) });
}
