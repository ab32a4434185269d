// `calicoctl flows` against a real controller, Redis and node API: records of hosts in one order, filters, what is missing.

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { StreamPublisher } from '../../lib/events/redis-stream.ts';
import { FLOW_TARGET } from '../../lib/events/stream-target.ts';
import { silentLogger } from '../../lib/logging/logger.ts';
import type { FlowEnd, FlowInput, FlowRecord } from '../../lib/protocol/flow-record.ts';
import { CliCluster, until } from '../support/cli-cluster.ts';

let cluster: CliCluster;
let published: StreamPublisher<FlowRecord>;
/** It has no agent in these tests. */
const NODE_2_AWAY =
  /# node-2: the agent of node-2 at .* does not answer: nobody listens there; what it has not sent to Redis is missing\n$/;
const at = (seconds: number): string => new Date(Date.UTC(2026, 0, 1, 0, 0, seconds)).toISOString();

const end = (name: string): FlowEnd => ({
  address: `10.0.0.${name.length}`,
  kind: 'WorkloadEndpoint',
  namespace: 'shop',
  name,
  node: 'node-1',
  labels: {},
});
function tell(seconds: number, source: string, destination: string, more: Partial<FlowInput> = {}): void {
  const input: FlowInput = {
    time: at(seconds),
    verdict: 'deny',
    protocol: 6,
    source: { ...end(source), port: 40_000 },
    destination: { ...end(destination), port: 5432 },
    decidedBy: {
      type: 'rule',
      kind: 'NetworkPolicy',
      namespace: 'shop',
      name: 'guard',
      direction: 'ingress',
      index: 0,
      action: 'deny',
    },
    connections: 1,
    packets: 2,
    bytes: 120,
    ...more,
  };
  cluster.nodeFlows.append((place) => ({ ...input, ...place }));
}

beforeAll(async () => {
  cluster = await CliCluster.start();
  published = new StreamPublisher(cluster.nodeFlows, FLOW_TARGET, { url: cluster.redisUrl }, silentLogger());
  await published.start();
  tell(2, 'web', 'db');
  tell(1, 'cart', 'db', { decidedBy: { type: 'endOfTier', tier: 'default', direction: 'ingress' } });
  tell(3, 'web', 'cache', { verdict: 'allow', staged: { verdict: 'deny', policies: [] } });
  await until(async () => (await cluster.run('api', ['flows'])).out.includes('cache'));
});
afterAll(async () => {
  await published?.stop();
  await cluster?.stop();
});

describe('flow records of the cluster', () => {
  it('come from Redis in the order of their times, each with a sentence', async () => {
    const { code, out, err } = await cluster.run('api', ['flows']);
    expect({ code, err }).toEqual({ code: 0, err: expect.stringMatching(NODE_2_AWAY) });
    const lines = out.trimEnd().split('\n');
    expect(lines[0]).toMatch(/^TIME +NODE +VERDICT +SOURCE +DESTINATION +PROTOCOL +PACKETS +WHY$/);
    expect(lines[1]).toMatch(
      /^2026-01-01T00:00:01\.000Z +node-1 +deny +shop\/cart:40000 +shop\/db:5432 +TCP +2 +denied at the end of tier default: no ingress rule matched$/,
    );
    expect(lines[2]).toMatch(/shop\/web:40000 .* denied by ingress rule 1 of NetworkPolicy shop\/guard$/);
    expect(lines[3]).toMatch(/ allow .*; staged policies would have it denied$/);
  });

  it.each([
    [['--src', 'cart'], ['cart']],
    [['--verdict', 'allow'], ['web']],
    [['--pod', 'shop/web', '--dst', 'db'], ['web']],
    [['--policy', 'guard', '--verdict', 'deny'], ['web']],
    [['--staged-differs'], ['web']],
    [['--since', at(1), '--verdict', 'deny'], ['web']],
    [['--last', '1', '--verdict', 'deny'], ['web']],
    [['--node', 'node-2'], []],
    [['-n', 'elsewhere'], []],
  ])('are filtered by %j', async (filters, sources) => {
    const { code, out } = await cluster.run('api', ['flows', '-o', 'json', ...filters]);
    expect(code).toBe(0);
    const records = out
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line) as FlowRecord);
    expect(records.map(({ source }) => source.name)).toEqual(sources);
  });

  it('are refused a filter that is none', async () => {
    expect(await cluster.run('api', ['flows', '--verdict', 'perhaps'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('neither allow nor deny'),
    });
    expect(await cluster.run('api', ['flows', '--port', 'http'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('"http" is no number up to 65535'),
    });
  });

  it('are followed through their filters until one has seen enough', async () => {
    const following = cluster.start('api', ['flows', '-w', '--last', '1', '--dst', 'later']);
    await until(async () => {
      tell(4, 'web', 'db');
      tell(5, 'web', 'later');
      return following.said().out.includes('shop/later');
    });
    following.interrupt();
    expect((await following.answer).code).toBe(130);
    expect(following.said().out).not.toContain('shop/db');
  });

  it('have a status by node, with what staged policies would have done', async () => {
    cluster.flowStatus = {
      records: 3,
      overwritten: 0,
      totals: {
        denied: 2,
        allowed: 1,
        suppressed: 0,
        overflowedDenied: 0,
        overflowedBegun: 0,
        withoutRoute: 7,
        lostEnds: 0,
        failedReadings: 0,
      },
      staged: { wouldBecome: { allow: 0, deny: 1 }, uncounted: 0, policies: [] },
    };
    const { code, out } = await cluster.run('api', ['node', 'flows', 'node-1']);
    expect(code).toBe(0);
    expect(out.split('\n')[1]).toMatch(/^node-1 +3 +2 +1 +0 +0 +0 +7 +1 +0$/);
    const json = await cluster.run('api', ['node', 'flows', 'node-1', '-o', 'json']);
    expect(JSON.parse(json.out)).toMatchObject([{ node: 'node-1', totals: { withoutRoute: 7 } }]);
  });

  it('say which host records none now, or has some that Redis has not, and why', async () => {
    cluster.flowStatus = { ...cluster.flowStatus, problem: 'no answer within 10000 ms' };
    cluster.streamGaps = {
      flows: { unrecorded: 'no answer within 10000 ms', unsent: '3 records wait for Redis: it is away' },
    };
    const { err } = await cluster.run('api', ['flows']);
    expect(err).toContain(
      '# node-1: no flows are recorded: no answer within 10000 ms\n' +
        '# node-1: 3 records wait for Redis: it is away\n',
    );
    expect(err).toMatch(NODE_2_AWAY);
    const { out } = await cluster.run('api', ['node', 'flows', 'node-1']);
    expect(out).toContain('node-1 records no flows: no answer within 10000 ms\n');
    expect((await cluster.run('api', ['flows', '--node', 'node-2'])).err).toMatch(NODE_2_AWAY);
    cluster.flowStatus = {};
    cluster.streamGaps = {};
  });

  it('say of a node that there is none', async () => {
    expect(await cluster.run('api', ['flows', '--node', 'nobody'])).toEqual({
      code: 0,
      out: expect.any(String),
      err: '# nobody: there is no such node\n',
    });
  });

  it('are asked of every host without Redis, which is said', async () => {
    await published.stop();
    await cluster.stopRedis();
    const { code, out, err } = await cluster.run('api', ['flows', '--src', 'cart']);
    expect(code).toBe(0);
    expect(err).toMatch(/^# asked of each host, as Redis does not answer$/m);
    expect(err).toMatch(/^# node-2: the agent of node-2 /m);
    expect(out).toContain('shop/cart:40000');
  });
});
