// Announces an anycast address to a router while a service on this host is healthy, and withdraws it when it is not: several
// hosts that run it share the address, and the router spreads over those that are well (docs/library.md "Anycast").
//
//   ip addr add 192.0.2.10/32 dev lo
//   node anycast.ts --prefix 192.0.2.10/32 --check http://127.0.0.1:8080/healthz \
//     --router-id 10.9.0.1 --asn 65010 --peer 10.9.0.254 --peer-asn 65001

import { isIPv6 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  createLogger,
  EventLog,
  parseConfiguration,
  Speaker,
  type SpeakerConfig,
  speakerConfig,
} from 'calico-ts/bgp';

/** Checks in a row that must agree before anything changes: one lost packet moves no traffic. */
const RISE = 2;
const FALL = 2;

interface Options {
  readonly prefix: string;
  readonly check: string;
  readonly routerId: string;
  readonly asn: number;
  readonly peer: string;
  readonly peerAsn: number;
  readonly intervalMs: number;
}

function parseOptions(): Options {
  const { values } = parseArgs({
    options: {
      prefix: { type: 'string' },
      check: { type: 'string' },
      'router-id': { type: 'string' },
      asn: { type: 'string' },
      peer: { type: 'string' },
      'peer-asn': { type: 'string' },
      'interval-ms': { type: 'string', default: '1000' },
    },
  });
  const { prefix, check, peer } = values;
  const routerId = values['router-id'];
  if (prefix === undefined || check === undefined || peer === undefined || routerId === undefined)
    throw new Error('--prefix, --check, --router-id, --asn, --peer and --peer-asn are needed');
  const [asn, peerAsn] = [Number(values.asn), Number(values['peer-asn'])];
  const interval = values['interval-ms'];
  if (!/^[1-9][0-9]{0,8}$/.test(interval))
    throw new Error(`--interval-ms ${interval} is no number of milliseconds`);
  // The address goes out with our side of the session as its next hop: of the other family it would never be told.
  if (isIPv6(prefix.split('/')[0] ?? '') !== isIPv6(peer))
    throw new Error(`--prefix ${prefix} is not of the family of --peer ${peer}`);
  return { prefix, check, routerId, asn, peer, peerAsn, intervalMs: Number(interval) };
}

/** The whole configuration with the prefix or without it; the speaker finds out what is different. */
function configuration({ prefix, routerId, asn, peer, peerAsn }: Options, isHealthy: boolean): SpeakerConfig {
  const parsed = parseConfiguration({
    routerId,
    asn,
    // It calls the router and is not called: no port to listen on, no privileges needed.
    listen: [],
    kernel: { enabled: false },
    peers: [
      {
        name: 'router',
        address: peer,
        asn: peerAsn,
        connectRetrySeconds: 1,
        // RFC 8212: to an external peer nothing goes without a policy, and without one nothing is taken from it.
        exportPolicy: { rules: [], otherwise: 'accept' },
        // If this program dies, its address is to go at once and not after a restart time (RFC 4724).
        gracefulRestartSeconds: 0,
      },
    ],
    originate: isHealthy ? [prefix] : [],
  });
  if (parsed.ok) return speakerConfig(parsed.configuration, new Map());
  throw new Error(parsed.errors.map(({ field, message }) => `${field}: ${message}`).join('; '));
}

async function isWell(url: string, timeoutMs: number): Promise<boolean> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    await answer.body?.cancel();
    return answer.ok;
  } catch {
    return false;
  }
}

async function main(): Promise<void> {
  const options = parseOptions();
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());

  const log = createLogger({ component: 'anycast', host: options.routerId, level: 'info' });
  const speaker = new Speaker(configuration(options, false), {
    log,
    events: new EventLog({ host: options.routerId }),
    isRestart: false,
    random: Math.random,
  });
  await speaker.start();

  let isAnnounced = false;
  /** Checks in a row that say otherwise than what is announced. */
  let against = 0;
  while (!stopping.signal.aborted) {
    const isHealthy = await isWell(options.check, options.intervalMs);
    against = isHealthy === isAnnounced ? 0 : against + 1;
    if (against >= (isHealthy ? RISE : FALL)) {
      isAnnounced = isHealthy;
      against = 0;
      await speaker.reconfigure(configuration(options, isAnnounced));
      log.info(isAnnounced ? 'announced' : 'withdrawn', { prefix: options.prefix });
    }
    await sleep(options.intervalMs, undefined, { signal: stopping.signal }).catch(() => undefined);
  }
  // A Cease: the router drops the route now, not when a timer runs out.
  await speaker.leave();
  log.info('left', { prefix: options.prefix });
}

await main().catch((error: unknown) => {
  console.error(`anycast: ${String(error)}`);
  process.exitCode = 1;
});
