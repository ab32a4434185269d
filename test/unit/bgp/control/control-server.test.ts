// bgpd's socket with a handler that takes its time or fails: nothing outlives the connection that it was asked on.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ControlServer } from '../../../../agents/bgp/control/control-server.ts';
import { type EventFollower, EventLog } from '../../../../lib/events/event-log.ts';
import { silentLogger } from '../../../../lib/logging/logger.ts';
import type { BgpdResponse } from '../../../../lib/protocol/bgpd.ts';
import { BgpdClient } from '../../../../lib/protocol/bgpd-client.ts';
import { until } from '../../../support/until.ts';

class CountingLog extends EventLog {
  followers = 0;

  override follow(follower: EventFollower): () => void {
    const unfollow = super.follow(follower);
    this.followers++;
    return () => {
      this.followers--;
      unfollow();
    };
  }
}

describe('the control server', () => {
  let dir: string;
  let events: CountingLog;
  let server: ControlServer;
  let handle: () => Promise<BgpdResponse>;

  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'bgpd-control-'));
    events = new CountingLog({ host: 'test' });
    server = new ControlServer({
      path: join(dir, 'bgpd.sock'),
      host: 'test',
      log: silentLogger(),
      events,
      configurationNumber: () => undefined,
      handle: () => handle(),
    });
    await server.start();
  });
  afterEach(async () => {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  });

  const connected = (): Promise<BgpdClient> => BgpdClient.connect(join(dir, 'bgpd.sock'));

  it('has nobody follow events for a client that went away while it waited', async () => {
    const answer = Promise.withResolvers<BgpdResponse>();
    let asked = 0;
    handle = () => {
      asked++;
      return answer.promise;
    };
    const client = await connected();
    const gone = client.actOnPeer('reset', 'a').catch(() => 'closed');
    client.follow(0, () => undefined);
    await until('the request is there', () => asked === 1);
    client.close();
    expect(await gone).toBe('closed');
    const other = await connected();
    answer.resolve({ type: 'acknowledged' });
    await other.actOnPeer('reset', 'a');
    expect(events.followers).toBe(0);
    other.follow(0, () => undefined);
    await until('who is there follows', () => events.followers === 1);
    other.close();
    await until('and no longer than that', () => events.followers === 0);
  });

  it('answers a request that is not well formed at once, by its id', async () => {
    const client = await connected();
    await expect(client.why('nonsense')).rejects.toMatchObject({
      type: { code: 'answered', message: 'prefix: neither a prefix nor an address' },
    });
    client.close();
  });

  it('answers a request that fails with the reason, and the connection goes on', async () => {
    handle = () => Promise.reject(new Error('ip could not be started'));
    const client = await connected();
    await expect(client.actOnPeer('reset', 'a')).rejects.toMatchObject({
      type: { code: 'answered', message: 'ip could not be started' },
    });
    handle = () => Promise.resolve({ type: 'acknowledged' });
    await client.actOnPeer('reset', 'a');
    client.close();
  });

  it('answers a client that does not read up to 8 MiB, and the rest when it reads again', async () => {
    const text = 'x'.repeat(256 * 1024);
    let answered = 0;
    handle = () => {
      answered++;
      return Promise.resolve({ type: 'metrics', text });
    };
    const socket = connect({ path: join(dir, 'bgpd.sock') });
    await once(socket, 'connect');
    socket.pause();
    socket.write(`${JSON.stringify({ type: 'metrics' })}\n`.repeat(100));
    await until('it has been answered for a while', () => answered >= 32);
    // By then others would have been answered too: each round is a turn of the loop.
    const other = await connected();
    for (let round = 0; round < 50; round++) await other.why('nonsense').catch(() => undefined);
    other.close();
    expect(answered).toBeLessThan(50);
    let lines = 0;
    socket.on('data', (chunk: Buffer) => {
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, end + 1)) lines++;
    });
    socket.resume();
    await until('all answers have come', () => lines === 101);
    socket.destroy();
  });
});
