// What a handover gives to bgpd, when it asks bgpd, and when it ends.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { GivenPeers } from '../../../../agents/node/bgp/given-peers.ts';
import { Handover } from '../../../../agents/node/bgp/handover.ts';
import type { PeerState } from '../../../../agents/node/bgp/transition.ts';
import { silentLogger } from '../../../../lib/logging/logger.ts';
import type { BgpdConfigurationInput } from '../../../../lib/protocol/bgpd.ts';
import { until } from '../../../support/until.ts';

/** A bgpd that says what it is told to say, and counts what it is asked. */
class ScriptedBgpd {
  readonly given: string[][] = [];
  readonly statusTimes: number[] = [];
  ribCount = 0;
  peers: Promise<readonly PeerState[]> = Promise.resolve([]);

  readonly configure = ({ peers = [] }: BgpdConfigurationInput): void => {
    this.given.push(peers.map(({ name }) => name));
  };
  readonly status = async (): Promise<{ readonly peers: readonly PeerState[] }> => {
    this.statusTimes.push(performance.now());
    return { peers: await this.peers };
  };
  readonly wholeRib = async (): Promise<{ readonly destinations: []; readonly total: number }> => {
    this.ribCount += 1;
    return { destinations: [], total: 0 };
  };
}

let bgpd: ScriptedBgpd;
let handover: Handover;
let folder: string;

beforeEach(() => {
  bgpd = new ScriptedBgpd();
  folder = mkdtempSync(join(tmpdir(), 'bgp-handover-'));
});
afterEach(async () => {
  await handover.stop();
  rmSync(folder, { recursive: true });
});

function change(...names: string[]): void {
  const peers = names.map((name) => ({ name, address: `10.0.0.${name.length}`, asn: 64512 }));
  const wanted = { routerId: '10.0.0.1', asn: 64512, peers };
  handover.change({ wanted, withheld: [], isKept: () => true });
}

/** From peer `old` to peer `newer`. */
function begin(patienceMs: number): void {
  handover = new Handover({
    bgpd,
    given: new GivenPeers(join(folder, 'peers.json'), silentLogger()),
    events: { emit: () => undefined },
    logger: silentLogger(),
    patienceMs,
  });
  change('old');
  change('newer');
}

const established = (name: string): PeerState => ({ name, session: { endOfRib: true } });

it('asks for the table only when all sessions are there, and less and less often', async () => {
  begin(60_000);
  await until('two questions', () => bgpd.statusTimes.length === 2);
  const [first = 0, second = 0] = bgpd.statusTimes;
  expect(second - first).toBeGreaterThan(900);
  expect(bgpd.ribCount).toBe(0);
  bgpd.peers = Promise.resolve([established('newer')]);
  // A change is reason to ask soon again.
  change('newer', 'third');
  bgpd.peers = Promise.resolve([established('newer'), established('third')]);
  await until('the end', () => bgpd.given.length === 4);
  expect(bgpd.ribCount).toBe(1);
  expect(bgpd.given).toEqual([['old'], ['newer', 'old'], ['newer', 'third', 'old'], ['newer', 'third']]);
});

it('ends when its time is over, whatever is missing', async () => {
  begin(30);
  await until('the end', () => bgpd.given.length === 3);
  expect(bgpd.given.at(-1)).toEqual(['newer']);
  expect(handover.waitingFor).toBeUndefined();
});

it('gives bgpd nothing while it is locked, and ends afterwards', async () => {
  let answer = (_peers: readonly PeerState[]): void => undefined;
  bgpd.peers = new Promise((resolve) => {
    answer = resolve;
  });
  begin(30);
  await until('the question', () => bgpd.statusTimes.length === 1);
  handover.setLocked(true);
  answer([established('newer')]);
  await setImmediate();
  expect(bgpd.given).toHaveLength(2);
  handover.setLocked(false);
  await until('the end', () => bgpd.given.length === 3);
  expect(bgpd.given.at(-1)).toEqual(['newer']);
});
