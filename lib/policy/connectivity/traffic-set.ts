// A set of traffic classes in as few words as will do: `everything`, `tcp`, `tcp/80, tcp/8000-8999`, `udp but 53`.

import { protocolName } from '../question/traffic.ts';
import type { TrafficClass } from './traffic-classes.ts';

type PortClass = Extract<TrafficClass, { readonly type: 'ports' }>;
type IcmpClass = Extract<TrafficClass, { readonly type: 'icmp' }>;

/** `all` are the classes there are; `isIn` says which of them are in the set. Empty text for an empty set. */
export function formatTrafficSet(
  all: readonly TrafficClass[],
  isIn: (traffic: TrafficClass) => boolean,
): string {
  if (all.every(isIn)) return 'everything';
  const protocols = [...new Set(all.flatMap((each) => (each.type === 'ports' ? each.protocol : [])))];
  const texts = [
    ...protocols.map((protocol) => formatPorts(protocol, all, isIn)),
    formatIcmp(
      all.filter((each) => each.type === 'icmp'),
      isIn,
    ),
    ...all.filter((each) => each.type === 'protocol' && isIn(each)).map(formatProtocol),
  ];
  return texts.filter((text) => text !== '').join(', ');
}

function formatPorts(
  protocol: number,
  all: readonly TrafficClass[],
  isIn: (traffic: TrafficClass) => boolean,
): string {
  const classes = all.filter(
    (each): each is PortClass => each.type === 'ports' && each.protocol === protocol,
  );
  const name = protocolName(protocol);
  const inside = mergePorts(classes.filter(isIn));
  const outside = mergePorts(classes.filter((each) => !isIn(each)));
  if (inside.length === 0) return '';
  if (outside.length === 0) return name;
  // The shorter of the two ways to say it: a few ports, or all but a few.
  return sizeOf(outside) < sizeOf(inside)
    ? `${name} but ${outside.map(rangeText).join(', ')}`
    : inside.map((range) => `${name}/${rangeText(range)}`).join(', ');
}

/** Counted in ports, so that a single port is named rather than the two ranges around it. */
function sizeOf(ranges: readonly { readonly min: number; readonly max: number }[]): number {
  return ranges.reduce((sum, { min, max }) => sum + max - min + 1, 0);
}

function mergePorts(classes: readonly PortClass[]): { min: number; max: number }[] {
  const merged: { min: number; max: number }[] = [];
  for (const { min, max } of classes) {
    const last = merged.at(-1);
    if (last !== undefined && last.max + 1 === min) last.max = max;
    else merged.push({ min, max });
  }
  return merged;
}

function rangeText({ min, max }: { readonly min: number; readonly max: number }): string {
  return min === max ? String(min) : `${min}-${max}`;
}

function formatIcmp(classes: readonly IcmpClass[], isIn: (traffic: TrafficClass) => boolean): string {
  const inside = classes.filter(isIn);
  if (inside.length === classes.length) return 'icmp';
  return inside
    .map(({ icmpType, code }) => {
      if (icmpType === undefined) return 'other icmp';
      const hasCodes = classes.some((other) => other.icmpType === icmpType && other.code !== undefined);
      if (code === undefined) return `icmp/${icmpType}${hasCodes ? '/other' : ''}`;
      return `icmp/${icmpType}/${code}`;
    })
    .join(', ');
}

function formatProtocol(traffic: TrafficClass): string {
  if (traffic.type !== 'protocol') return '';
  return traffic.protocol === undefined ? 'other protocols' : protocolName(traffic.protocol);
}
