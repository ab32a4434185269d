// Failsafe ports of host endpoints as rules: what no policy of the host closes (docs/dataplane.md "Host endpoints").

import { type Family, parseCidr } from '../../../../lib/net/ip.ts';
import type { Direction } from '../../../../lib/policy/compiled.ts';
import type { FailsafePort } from '../../calc/failsafe-ports.ts';
import type { FelixSettings } from '../../calc/felix-settings.ts';
import { type PacketKeys, type SideName, UNTRACKED_KEYS } from './packet-keys.ts';

/** Ports of the host for what comes in, of others for what it sends; `net` is always the other end's. */
export function failsafeRules(
  felix: Pick<FelixSettings, 'failsafeInbound' | 'failsafeOutbound'>,
  direction: Direction,
  keys: PacketKeys,
  verdict: string,
): readonly string[] {
  const ports = direction === 'ingress' ? felix.failsafeInbound : felix.failsafeOutbound;
  const other: SideName = direction === 'ingress' ? 'source' : 'destination';
  return ports.map((port) => failsafeRule(port, keys, 'destination', other, verdict));
}

/** Answers to what the other direction's failsafe ports let begin: before conntrack only their source port tells. */
export function failsafeAnswers(
  felix: Pick<FelixSettings, 'failsafeInbound' | 'failsafeOutbound'>,
  direction: Direction,
): readonly string[] {
  const ports = direction === 'ingress' ? felix.failsafeOutbound : felix.failsafeInbound;
  const other: SideName = direction === 'ingress' ? 'source' : 'destination';
  return ports.map((port) => failsafeRule(port, UNTRACKED_KEYS, 'source', other, 'accept'));
}

function failsafeRule(
  { protocol, port, net }: FailsafePort,
  keys: PacketKeys,
  portSide: SideName,
  netSide: SideName,
  verdict: string,
): string {
  const family: Family | undefined = net === undefined ? undefined : parseCidr(net)?.family;
  const address = family === undefined ? '' : `${keys.address(netSide, family)} ${net} `;
  return `meta l4proto ${protocol} ${address}${keys.port[portSide]} ${port} ${verdict}`;
}
