// What a peer, or a stranger, may cost a speaker on loopback: lines of the log, octets that wait, a peer's own admission.

import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { frame } from '../../../../agents/bgp/packet/header.ts';
import { type Logger, silentLogger } from '../../../../lib/logging/logger.ts';
import { hex } from '../packet/codec-support.ts';
import { LoopbackSpeaker } from './loopback-speaker.ts';

// Thousands of connections, on a busy machine.
jest.setTimeout(30_000);

const PEER = { name: 'p2', address: '127.0.0.2', asn: 65000, passive: true };
const MEBIBYTE = 1024 * 1024;

/** ORIGIN of 2 octets: costs the routes of the message. */
const MALFORMED = frame(2, hex('0000 0005 40 01 02 00 00 18 0a0000'));
/** An UPDATE of 4,096 octets: an unknown attribute. */
const LARGE = frame(2, Buffer.concat([hex('0000 0fe9 d0c8 0fe5'), new Uint8Array(4069)]));
/** Each message in memory of its own: that is what counts. */
const mebibytes = (count: number): Uint8Array[] =>
  Array.from({ length: count * 256 }, () => Uint8Array.from(LARGE));

class KeepingLog {
  readonly lines: string[] = [];
  readonly logger: Logger = {
    ...silentLogger(),
    warn: (message, fields) => this.lines.push(`${message} ${JSON.stringify(fields)}`),
  };
}

describe('a peer of a speaker', () => {
  let bgp: LoopbackSpeaker;
  afterEach(() => bgp.stop());

  const status = (): { state: string; error: string } => {
    const { state = '', lastError } = bgp.speaker.peer('p2')?.status ?? {};
    return { state, error: lastError?.reason ?? '' };
  };

  it('has one line in the log for a thousand malformed UPDATEs', async () => {
    const log = new KeepingLog();
    bgp = await LoopbackSpeaker.start({ peers: [PEER] }, { log: log.logger });
    const peer = await bgp.establish('127.0.0.2', 65000);
    await peer.sendAll(Buffer.concat(new Array(1000).fill(MALFORMED)));
    const errors = (): number => bgp.speaker.peer('p2')?.counts.updateErrors.treatAsWithdraw ?? 0;
    await bgp.until('all are counted', () => errors() === 1000);
    expect(log.lines).toEqual([expect.stringMatching(/^malformed update .*"p2".*"treatAsWithdraw"/)]);
    expect(bgp.speaker.peer('p2')?.history.malformedMessages).toHaveLength(5);
    expect(status().state).toBe('Established');
  });

  it('keeps its session when one flush takes what waits for it far beyond 3 MiB, and has all of it', async () => {
    bgp = await LoopbackSpeaker.start({ peers: [PEER] });
    const peer = await bgp.establish('127.0.0.2', 65000);
    peer.pause();
    const messages = mebibytes(14);
    const session = bgp.speaker.peer('p2');
    session?.send(messages, messages.length);
    expect(session?.queue?.unsent).toBeGreaterThan(8 * MEBIBYTE);
    expect(status().state).toBe('Established');
    peer.resume();
    const whole = (): number => peer.received.filter(({ type }) => type === 'update').length;
    await bgp.until('all has come', () => whole() >= messages.length);
    expect(status().state).toBe('Established');
  });

  it('loses its session when more comes on top of 7 MiB while it is behind', async () => {
    bgp = await LoopbackSpeaker.start({ peers: [PEER] });
    const peer = await bgp.establish('127.0.0.2', 65000);
    peer.pause();
    const messages = mebibytes(14);
    const session = bgp.speaker.peer('p2');
    session?.send(messages, messages.length);
    expect(status().state).toBe('Established');
    session?.send(messages, messages.length);
    expect(status().error).toBe('the peer takes nothing that we send');
  });

  it('is admitted when strangers from everywhere have used up what strangers have', async () => {
    bgp = await LoopbackSpeaker.start({ peers: [PEER] });
    // Nobody gets a connection back: on a slow machine the first strangers would, before the last have come.
    const now = performance.now();
    const clock = jest.spyOn(performance, 'now').mockReturnValue(now);
    for (let third = 0; third < 17; third++) {
      const addresses = Array.from({ length: 256 }, (_, fourth) => `127.1.${third}.${fourth}`);
      for (const stranger of await Promise.all(addresses.map((address) => bgp.connect(address))))
        await stranger.ended;
    }
    const tooOften = (): number => bgp.speaker.listener.refused.tooOften ?? 0;
    expect(tooOften()).toBeGreaterThan(0);
    await bgp.establish('127.0.0.2', 65000);
    clock.mockRestore();
    expect(status().state).toBe('Established');
  });
});

describe('a speaker that restarts', () => {
  it('does not wait for the tables of a disabled peer', async () => {
    const bgp = await LoopbackSpeaker.start({ peers: [{ ...PEER, enabled: false }] }, { isRestart: true });
    await bgp.until('it has restarted', () => !bgp.speaker.isRestarting);
    await bgp.stop();
  });
});
