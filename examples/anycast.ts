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
  type Logger,
  parseConfiguration,
  Speaker,
  type SpeakerConfig,
  speakerConfig,
} from 'calico-ts/bgp';

const USAGE = `usage: node anycast.ts --prefix ADDRESS/LENGTH --check URL --router-id A.B.C.D --asn N --peer ADDRESS --peer-asn N
  [--interval-ms 1000]

Announces the prefix to the peer while the URL answers with 2xx, and withdraws it when it does not.
`;

/** Checks in a row that must agree before anything changes: one lost packet moves no traffic. */
const RISE = 2;
const FALL = 2;
/** Reasons for having no session that mean that one may be there in a moment. */
const UNDER_WAY: ReadonlySet<string> = new Set(['connecting', 'noOpen', 'restartTime']);

interface Options {
  readonly prefix: string;
  readonly check: string;
  readonly routerId: string;
  readonly asn: number;
  readonly peer: string;
  readonly peerAsn: number;
  readonly intervalMs: number;
}

/** Undefined where the user asks for help. */
function parseOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      prefix: { type: 'string' },
      check: { type: 'string' },
      'router-id': { type: 'string' },
      asn: { type: 'string' },
      peer: { type: 'string' },
      'peer-asn': { type: 'string' },
      'interval-ms': { type: 'string', default: '1000' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const { prefix, check, peer } = values;
  const routerId = values['router-id'];
  if (prefix === undefined || check === undefined || peer === undefined || routerId === undefined)
    throw new Error('--prefix, --check, --router-id, --asn, --peer and --peer-asn are needed; see --help');
  const [asn, peerAsn] = [Number(values.asn), Number(values['peer-asn'])];
  const interval = values['interval-ms'];
  if (!/^[1-9][0-9]{0,8}$/.test(interval))
    throw new Error(`--interval-ms ${interval} is no number of milliseconds`);
  if (!prefix.includes('/')) throw new Error(`--prefix ${prefix} has no length: /32 is one IPv4 address`);
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

/** What is wrong with the service; undefined while it is well. */
async function complaintOf(url: string, timeoutMs: number): Promise<string | undefined> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(timeoutMs) });
    await answer.body?.cancel();
    return answer.ok ? undefined : `it answered ${answer.status}`;
  } catch (error) {
    const { message, cause } = error as { message: string; cause?: { message?: string } };
    return cause?.message || message;
  }
}

/** Says what is wrong when it begins to be, when it becomes something else, and when it is over. */
class Complaints {
  readonly #log: Logger;
  #told: string | undefined;

  constructor(log: Logger) {
    this.#log = log;
  }

  tell(name: string | undefined, message: string, fields: Record<string, unknown>): void {
    if (name === this.#told) return;
    this.#told = name;
    if (name !== undefined) this.#log.warn(message, fields);
  }
}

async function main(): Promise<void> {
  const options = parseOptions();
  if (options === undefined) {
    process.stdout.write(USAGE);
    return;
  }
  // What is wrong with the prefix is said now, and not when it is to be announced.
  configuration(options, true);
  const stopping = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stopping.abort());

  const log = createLogger({ component: 'anycast', host: options.routerId, level: 'info' });
  const speaker = new Speaker(configuration(options, false), {
    log,
    events: new EventLog({ host: options.routerId }),
    isRestart: false,
    random: Math.random,
  });
  try {
    await speaker.start();
    await watch(options, speaker, log, stopping.signal);
  } finally {
    // A Cease: the router drops the route now, not when a timer runs out.
    await speaker.leave();
  }
  log.info('left', { prefix: options.prefix });
}

/** Until `signal` says to stop. */
async function watch(options: Options, speaker: Speaker, log: Logger, signal: AbortSignal): Promise<void> {
  const [service, session] = [new Complaints(log), new Complaints(log)];
  let isAnnounced = false;
  /** Checks in a row that say otherwise than what is announced. */
  let against = 0;
  while (!signal.aborted) {
    const complaint = await complaintOf(options.check, options.intervalMs);
    service.tell(complaint, 'the service is not well', { check: options.check, reason: complaint });
    const isHealthy = complaint === undefined;
    against = isHealthy === isAnnounced ? 0 : against + 1;
    if (against >= (isHealthy ? RISE : FALL)) {
      isAnnounced = isHealthy;
      against = 0;
      await speaker.reconfigure(configuration(options, isAnnounced));
      log.info(isAnnounced ? 'announced' : 'withdrawn', { prefix: options.prefix });
    }
    const why = speaker.peer('router')?.why;
    // Between two attempts, and in the middle of one, there is nothing to be said yet.
    if (why === undefined || !UNDER_WAY.has(why.name))
      session.tell(why?.name, 'no session with the router', { reason: why?.sentence, next: why?.next });
    await sleep(options.intervalMs, undefined, { signal }).catch(() => undefined);
  }
}

await main().catch((error: unknown) => {
  const { message, code = '' } = error as NodeJS.ErrnoException;
  console.error(`anycast: ${message}`);
  if (code.startsWith('ERR_PARSE_ARGS')) console.error(USAGE.trimEnd());
  process.exitCode = 1;
});
