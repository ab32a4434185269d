// The agent's link to bgpd: what it hands over and hears while bgpd comes and goes.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { BgpdLink } from '../../../agents/node/bgpd-link.ts';
import { EventLog } from '../../../lib/events/event-log.ts';
import { silentLogger } from '../../../lib/logging/logger.ts';
import type { BgpdConfigurationInput } from '../../../lib/protocol/bgpd.ts';
import { ControlSocket } from '../../support/control-socket.ts';
import { until } from '../../support/until.ts';

let directory: string;
let path: string;
let events: EventLog;
let link: BgpdLink;
let bgpd: ControlSocket;

const configuration = (asn: number): BgpdConfigurationInput => ({ routerId: '10.0.0.1', asn });
const told = (): readonly unknown[] =>
  events
    .read()
    .events.flatMap(({ component, kind, peer }) => (component === 'bgpd' ? [`${kind} ${peer}`] : []));
const asns = (socket: ControlSocket): readonly unknown[] =>
  socket.configured.map((request) => (request.configuration as { asn: number }).asn);

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'ct-link-'));
  path = join(directory, 'bgpd.sock');
  events = new EventLog({ host: 'node-1' });
  link = new BgpdLink(path, events, silentLogger());
  bgpd = new ControlSocket(path);
});
afterEach(async () => {
  await link.stop();
  await bgpd.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** bgpd ends and another takes its place. */
async function replaceBgpd(startedAt?: string): Promise<void> {
  await bgpd.stop();
  bgpd = new ControlSocket(path, startedAt);
  await bgpd.start();
}

describe('BgpdLink', () => {
  it('hands over the newest configuration when bgpd comes, and each one after it', async () => {
    link.configure(configuration(1));
    link.configure(configuration(2));
    await link.start();
    await expect(link.status()).rejects.toMatchObject({ type: { code: 'unreachable', path } });
    await bgpd.start();
    await until('a configuration', () => bgpd.configured.length === 1);
    link.configure(configuration(3));
    await until('the next one', () => bgpd.configured.length === 2);
    expect(asns(bgpd)).toEqual([2, 3]);
    await until('both told', () => events.read().events.length === 2);
    expect(events.read().events.map(({ kind }) => kind)).toEqual(['bgpConfigured', 'bgpConfigured']);
    expect(await link.rib()).toEqual({ destinations: [], total: 0 });
  });

  it('sends one configuration at a time, and of those that came meanwhile the last', async () => {
    await bgpd.start();
    const held = Promise.withResolvers<undefined>();
    let asked = 0;
    bgpd.onRequest = async (request) => {
      if (request.type === 'configure' && asked++ === 0) await held.promise;
      return undefined;
    };
    await link.start();
    link.configure(configuration(1));
    await until('the first one under way', () => asked === 1);
    for (const asn of [2, 3, 4]) link.configure(configuration(asn));
    held.resolve(undefined);
    await until('the last configuration', () => asns(bgpd).at(-1) === 4);
    expect(asns(bgpd)).toEqual([1, 4]);
  });

  it('comes back, hands over again, and hears no event twice', async () => {
    await bgpd.start();
    await link.start();
    link.configure(configuration(1));
    await until('a configuration', () => bgpd.configured.length === 1);
    bgpd.events.emit({ component: 'bgpd', kind: 'peerUp', peer: 'a' });
    await until('an event', () => told().length === 1);
    await replaceBgpd();
    // The same bgpd still has what it told before.
    bgpd.events.emit({ component: 'bgpd', kind: 'peerUp', peer: 'a' });
    bgpd.events.emit({ component: 'bgpd', kind: 'peerDown', peer: 'a' });
    await until('a configuration again', () => bgpd.configured.length === 1);
    await until('the new event', () => told().length === 2);
    expect(told()).toEqual(['peerUp a', 'peerDown a']);
  });

  it('hears the events of a bgpd that started anew from their beginning', async () => {
    await bgpd.start();
    await link.start();
    for (const peer of ['a', 'b']) bgpd.events.emit({ component: 'bgpd', kind: 'peerUp', peer });
    await until('two events', () => told().length === 2);
    await replaceBgpd('2026-01-01T00:00:09.000Z');
    for (const peer of ['c', 'd']) bgpd.events.emit({ component: 'bgpd', kind: 'peerUp', peer });
    await until('two more', () => told().length === 4);
    expect(told()).toEqual(['peerUp a', 'peerUp b', 'peerUp c', 'peerUp d']);
  });

  it('says what bgpd refuses until it accepts', async () => {
    await bgpd.start();
    bgpd.errors = [{ field: 'peers[0].asn', message: 'AS 23456 is reserved' }];
    await link.start();
    link.configure(configuration(1));
    await until('a refusal', () => link.configurationErrors.length > 0);
    expect(link.configurationErrors).toEqual(['peers[0].asn: AS 23456 is reserved']);
    bgpd.errors = [];
    link.configure(configuration(2));
    await until('none', () => link.configurationErrors.length === 0);
  });

  it('stops while it waits for bgpd', async () => {
    await link.start();
    await link.stop();
    await bgpd.start();
    await expect(link.status()).rejects.toMatchObject({ type: { code: 'unreachable' } });
  });
});
