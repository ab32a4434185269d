// Failsafe ports as Calico writes them in Felix's settings: `tcp:22`, `udp:10.0.0.0/8:68`, `tcp:[2001:db8::]/32:22` (or with the
// brackets around all of the network), joined with commas; `22` alone is TCP's; `none` or nothing at all: no such port.

import { canonicalCidr } from '../../../lib/net/ip.ts';
import { parseProtocol } from '../../../lib/policy/evaluation/host-settings.ts';

/** A port of the host that no policy closes. */
export interface FailsafePort {
  readonly protocol: number;
  readonly port: number;
  /** Canonical CIDR: only from (to) there; undefined: anywhere. */
  readonly net: string | undefined;
}

const ENTRY = /^(?:([a-z0-9-]+):)?(?:(.+):)?([0-9]{1,5})$/i;

/** Undefined: one of them makes no sense. */
export function parseFailsafePorts(text: string): readonly FailsafePort[] | undefined {
  if (text.trim() === '' || text.trim().toLowerCase() === 'none') return [];
  const ports = text.split(',').map((entry) => parseEntry(entry.trim()));
  const complete = ports.filter((port) => port !== undefined);
  return complete.length === ports.length ? complete : undefined;
}

/** One entry of the resource's list as that text. */
export function failsafePortText(entry: Readonly<Record<string, unknown>>): string {
  const { protocol, net, port } = entry;
  const parts = [protocol ?? 'tcp', ...(net === undefined || net === null || net === '' ? [] : [net]), port];
  return parts.map((part) => String(part).toLowerCase()).join(':');
}

function parseEntry(text: string): FailsafePort | undefined {
  const [, protocolText = 'tcp', netText, portText] = ENTRY.exec(text) ?? [];
  const protocol = parseProtocol(protocolText.toUpperCase());
  const net = netText === undefined ? undefined : canonicalCidr(netText.replace(/[[\]]/g, ''));
  const port = Number(portText);
  if (protocol === undefined || !(port >= 0 && port <= 65_535)) return undefined;
  if (netText !== undefined && net === undefined) return undefined;
  return { protocol, port, net };
}
