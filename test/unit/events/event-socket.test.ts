// Events of other processes of a host over the agent's socket: nothing waits, and what could not be kept is said.

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { EventLog } from '../../../lib/events/event-log.ts';
import { EventSocketSender, EventSocketServer } from '../../../lib/events/event-socket.ts';
import { until } from '../../support/until.ts';

let directory: string;
let path: string;
let log: EventLog;
let server: EventSocketServer;
let sender: EventSocketSender;

const eventually = (isTrue: () => boolean): Promise<void> => until('what was waited for', isTrue, 4500);
const kinds = (): readonly string[] => log.read().events.map(({ kind }) => kind);

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ct-events-'));
  path = join(directory, 'events.sock');
  log = new EventLog({ host: 'node-1' });
  server = new EventSocketServer(path, log);
  sender = new EventSocketSender(path, 'kubelet');
});
afterEach(async () => {
  await sender.stop();
  await server.stop();
  rmSync(directory, { recursive: true, force: true });
});

describe('the event socket', () => {
  it("takes events in order, keeps their time, and is root's alone", async () => {
    await server.start();
    await sender.start();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    for (const kind of ['podAdmitted', 'podStarted', 'podExited'] as const)
      sender.emit({ component: 'kubelet', kind, object: 'Pod/default/web' });
    await eventually(() => kinds().length === 3);
    expect(kinds()).toEqual(['podAdmitted', 'podStarted', 'podExited']);
    expect(log.read().events[0]).toMatchObject({ host: 'node-1', seq: 1, object: 'Pod/default/web' });
  });

  it('keeps events while the agent is away, as many as it can, and says how many it could not', async () => {
    await sender.start();
    for (let count = 1; count <= 1003; count++)
      sender.emit({ component: 'kubelet', kind: 'podStarted', count });
    expect(sender.dropped).toBe(3);
    await server.start();
    await eventually(() => kinds().length === 1001);
    const [gap, first] = log.read().events;
    expect(gap).toMatchObject({ kind: 'eventsLost', count: 3, cause: 'kubelet' });
    expect(first).toMatchObject({ kind: 'podStarted', count: 4 });
  });

  it('comes back after a restart of the agent, and says a gap once', async () => {
    await server.start();
    await sender.start();
    sender.emit({ component: 'kubelet', kind: 'podAdmitted' });
    await eventually(() => kinds().length === 1);
    await server.stop();
    server = new EventSocketServer(path, log);
    await server.start();
    await eventually(() => {
      sender.emit({ component: 'kubelet', kind: 'podStarted' });
      return kinds().includes('podStarted');
    });
    expect(kinds()).not.toContain('eventsLost');
  });

  it('counts lines that are no events, and ends a line without end', async () => {
    await server.start();
    const socket = connect(path);
    const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()));
    socket.on('error', () => undefined);
    const foreign = { time: new Date(0).toISOString(), component: 'kubelet', kind: 'noSuchKind' };
    socket.write(`not json\n${JSON.stringify(foreign)}\n{"lost":-1,"from":"x"}\n`);
    await eventually(() => server.refused === 3);
    socket.write('x'.repeat(64 * 1024));
    await closed;
    expect(log.read().events).toEqual([]);
  });
});
