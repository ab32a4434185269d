// A question about traffic put to the evaluator: once for each address family that both ends have.

import { FAMILIES, type Family, formatIp, type IpAddress } from '../../net/ip.ts';
import type { PolicyCluster } from '../cluster.ts';
import type { ProtocolNumber } from '../compiled.ts';
import { type EvaluateOptions, evaluate, type Verdict } from '../evaluate.ts';
import type { Packet } from '../evaluation/packet.ts';
import { addressOf, type End, formatEnd } from './ends.ts';
import { QuestionError } from './question-error.ts';
import { packetFields, protocolName, type Traffic } from './traffic.ts';

export interface Question {
  readonly from: End;
  readonly to: End;
  readonly traffic: Traffic;
  /** Undefined: one that no rule asks for. */
  readonly sourcePort?: number;
}

export interface Answer {
  readonly family: Family;
  readonly packet: Packet;
  readonly verdict: Verdict;
}

/** One answer or two, IPv4 first. Throws QuestionError where there can be no such packet. */
export function ask(cluster: PolicyCluster, question: Question, options: EvaluateOptions = {}): Answer[] {
  const { from, to, sourcePort } = question;
  for (const end of [from, to]) refuseWithoutAddress(cluster, end);
  const answers = FAMILIES.flatMap((family) => {
    const source = addressOf(cluster, from, family);
    const destination = addressOf(cluster, to, family);
    if (source === undefined || destination === undefined) return [];
    const fields = packetFields(numbered(cluster, question, destination), family);
    if (fields === undefined) return [];
    const packet: Packet = {
      source: formatIp(source),
      destination: formatIp(destination),
      ...fields,
      ...(sourcePort === undefined ? {} : { sourcePort }),
    };
    return [{ family, packet, verdict: evaluate(cluster, packet, options) }];
  });
  if (answers.length > 0) return answers;
  const names = { from: formatEnd(from), to: formatEnd(to) };
  throw new QuestionError(
    { code: 'noCommonFamily', ...names },
    `${names.from} and ${names.to} have no addresses of one family that such a packet could have`,
  );
}

function refuseWithoutAddress(cluster: PolicyCluster, end: End): void {
  if (FAMILIES.some((family) => addressOf(cluster, end, family) !== undefined)) return;
  throw new QuestionError({ code: 'noAddress', end: formatEnd(end) }, `${formatEnd(end)} has no address`);
}

/** A named port is the destination's. */
function numbered(
  cluster: PolicyCluster,
  { to, traffic }: Question,
  destination: IpAddress,
): Exclude<Traffic, { readonly type: 'portName' }> {
  if (traffic.type !== 'portName') return traffic;
  const { protocol, name } = traffic;
  const port = portNamed(cluster, destination, protocol, name);
  if (port !== undefined) return { type: 'port', protocol, port };
  const end = formatEnd(to);
  throw new QuestionError(
    { code: 'unknownPortName', end, port: name },
    `${end} has no ${protocolName(protocol)} port called ${name}`,
  );
}

function portNamed(
  cluster: PolicyCluster,
  address: IpAddress,
  protocol: ProtocolNumber,
  name: string,
): number | undefined {
  return cluster.identities
    .identitiesOf(address)
    .flatMap(({ ports }) => ports)
    .find((port) => port.name === name && port.protocol === protocol)?.port;
}
