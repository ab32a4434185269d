// The traffic that a claim is about: `tcp`, `tcp/80`, `tcp/8000-8999`, `tcp/http`, `icmp`, `icmp/8`, `ping`, `protocol/47`.

import type { Identity } from '../compiled.ts';
import type { Distinctions, TrafficClass } from '../connectivity/traffic-classes.ts';
import { QuestionError } from '../question/question-error.ts';
import { hasPorts, parseTraffic } from '../question/traffic.ts';

export interface TrafficRange {
  /** What has to be told apart, so that a class is in the range or out of it. */
  readonly distinctions: Distinctions;
  readonly holds: (traffic: TrafficClass, destination: readonly Identity[]) => boolean;
}

const MAX_PORT = 65_535;
const NOTHING: Distinctions = { cuts: [], portNames: [], icmp: [], protocols: [] };

/** Throws QuestionError. */
export function parseTrafficRange(text: string): TrafficRange {
  const range = /^([a-z]+)\/(\d+)-(\d+)$/i.exec(text);
  if (range !== null) return portRange(text, range[1] ?? '', Number(range[2]), Number(range[3]));
  if (/^(icmp|icmpv6)$/i.test(text)) return { distinctions: NOTHING, holds: ({ type }) => type === 'icmp' };
  if (/^[a-z]+$/i.test(text) && text !== 'ping') return portRange(text, text, 0, MAX_PORT);
  const traffic = parseTraffic(text);
  switch (traffic.type) {
    case 'port':
      return ports(traffic.protocol, traffic.port, traffic.port);
    case 'portName': {
      const { protocol, name } = traffic;
      return {
        distinctions: { ...NOTHING, portNames: [name], protocols: [protocol] },
        holds: (each, destination) =>
          each.type === 'ports' &&
          each.protocol === protocol &&
          destination.some(({ ports: named }) =>
            named.some((port) => port.name === name && port.protocol === protocol && port.port === each.min),
          ),
      };
    }
    case 'ping':
      return icmp([8, 128], undefined);
    case 'icmp':
      return icmp([traffic.icmpType], text.split('/').length > 2 ? traffic.code : undefined);
    case 'protocol':
      return {
        distinctions: { ...NOTHING, protocols: [traffic.protocol] },
        holds: (each) => each.type === 'protocol' && each.protocol === traffic.protocol,
      };
  }
}

function portRange(text: string, protocolText: string, min: number, max: number): TrafficRange {
  const traffic = parseTraffic(`${protocolText}/0`);
  if (traffic.type === 'port' && hasPorts(traffic.protocol) && min <= max && max <= MAX_PORT)
    return ports(traffic.protocol, min, max);
  throw new QuestionError({ code: 'badTraffic', text }, `${JSON.stringify(text)} is no range of ports`);
}

function ports(protocol: number, min: number, max: number): TrafficRange {
  return {
    distinctions: { ...NOTHING, cuts: [{ protocol, min, max }], protocols: [protocol] },
    holds: (each) =>
      each.type === 'ports' && each.protocol === protocol && min <= each.min && each.max <= max,
  };
}

function icmp(types: readonly number[], code: number | undefined): TrafficRange {
  return {
    distinctions: { ...NOTHING, icmp: types.map((type) => ({ type, code })) },
    holds: (each) =>
      each.type === 'icmp' &&
      each.icmpType !== undefined &&
      types.includes(each.icmpType) &&
      (code === undefined || each.code === code),
  };
}
