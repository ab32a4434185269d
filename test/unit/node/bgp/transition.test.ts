// Make before break: which peers stay, for whom, and until when.
import { describe, expect, it } from '@jest/globals';
import {
  duringTransition,
  missingSessions,
  missingWays,
  NO_TRANSITION,
  planTransition,
  type Transition,
} from '../../../../agents/node/bgp/transition.ts';
import { type BgpdConfigurationInput, bgpdConfigurationSchema } from '../../../../lib/protocol/bgpd.ts';
import type { BgpdDestination } from '../../../../lib/protocol/bgpd-routes.ts';

const config = (...names: string[]): BgpdConfigurationInput => ({
  routerId: '10.0.0.1',
  asn: 64512,
  peers: names.map((name) => ({ name, address: `10.0.0.${name.length}`, asn: 64512 })),
});
const plan = (
  before: BgpdConfigurationInput | undefined,
  wanted: BgpdConfigurationInput,
  changes: {
    running?: Transition;
    withheld?: string[];
    isKept?: (peer: string) => boolean;
    now?: number;
    isFirst?: boolean;
  } = {},
): Transition =>
  planTransition({
    before: before?.peers ?? [],
    isFirst: changes.isFirst ?? false,
    wanted,
    withheld: changes.withheld ?? [],
    running: changes.running ?? NO_TRANSITION,
    isKept: changes.isKept ?? (() => true),
    now: changes.now ?? 0,
    patienceMs: 60_000,
  });

const path = (
  source: string,
  verdict: 'best' | 'lost' | 'ineligible' = 'best',
): BgpdDestination['paths'][number] => ({
  source,
  verdict,
  nextHop: '10.0.0.9',
  asPath: '',
  origin: 'igp',
  communities: [],
  stale: false,
});
const destination = (prefix: string, ...paths: BgpdDestination['paths']): BgpdDestination => ({
  prefix,
  paths,
  advertisedTo: [],
});
const status = (name: string, endOfRib: boolean): { name: string; session: { endOfRib: boolean } } => ({
  name,
  session: { endOfRib },
});

describe('a transition', () => {
  it('begins when peers leave that are still of the cluster, and others stay or come', () => {
    expect(plan(config('a', 'bb'), config('a', 'ccc')).leaving).toMatchObject({
      peers: [{ name: 'bb' }],
      awaited: new Set(['ccc']),
      deadline: 60_000,
    });
  });

  it.each<[string, BgpdConfigurationInput | undefined, BgpdConfigurationInput, (peer: string) => boolean]>([
    ['at the first configuration', undefined, config('a'), () => true],
    ['when peers only come', config('a'), config('a', 'bb'), () => true],
    ['when the node of the peer is gone', config('a', 'bb'), config('a'), (peer) => peer !== 'bb'],
    ['when nobody is left', config('a', 'bb'), config(), () => true],
  ])('does not begin %s', (_when, before, wanted, isKept) => {
    expect(plan(before, wanted, { isKept })).toEqual(NO_TRANSITION);
  });

  it('does not begin for a session that goes on under another resource', () => {
    const before = config('a', 'bb');
    const renamed = {
      ...config('a'),
      peers: [...(config('a').peers ?? []), { name: 'x', address: '10.0.0.2', asn: 1 }],
    };
    expect(plan(before, renamed)).toEqual(NO_TRANSITION);
  });

  it('goes on over further changes with its first deadline, and with those who are awaited still', () => {
    const first = plan(config('a', 'bb'), config('a', 'ccc'));
    const given = duringTransition(config('a', 'ccc'), first);
    const second = plan(given, config('a', 'ccc', 'dddd'), { now: 5000, running: first });
    expect(second.leaving).toMatchObject({
      peers: [{ name: 'bb' }],
      awaited: new Set(['ccc', 'dddd']),
      deadline: 60_000,
    });
  });

  it('has its whole time again when one more peer leaves', () => {
    const first = plan(config('a', 'bb'), config('a', 'ccc'));
    const given = duringTransition(config('a', 'ccc'), first);
    const second = plan(given, config('a', 'dddd'), { now: 59_000, running: first });
    expect(second.leaving).toMatchObject({
      peers: [{ name: 'ccc' }, { name: 'bb' }],
      awaited: new Set(['dddd']),
      deadline: 119_000,
    });
  });

  it('waits for peers whose password is not known yet, as long as for others', () => {
    expect(plan(config('a', 'bb'), config(), { withheld: ['ccc'] }).leaving).toMatchObject({
      peers: [{ name: 'a' }, { name: 'bb' }],
      awaited: new Set(['ccc']),
      deadline: 60_000,
    });
  });

  it('waits for all that are wanted where it is not known who came', () => {
    expect(plan(config('a', 'bb'), config('a'), { isFirst: true }).leaving?.awaited).toEqual(new Set(['a']));
    expect(plan(config('a', 'bb'), config('a')).leaving?.awaited).toEqual(new Set());
  });

  it('keeps who leaves in the configuration, to go without a word', () => {
    const wanted = config('a', 'ccc');
    const given = duringTransition(wanted, plan(config('a', 'bb'), wanted));
    expect(given.peers?.map(({ name, removal }) => [name, removal])).toEqual([
      ['a', undefined],
      ['ccc', undefined],
      ['bb', 'graceful'],
    ]);
    expect(bgpdConfigurationSchema.safeParse(given).error).toBeUndefined();
  });
});

describe('a reflector that becomes an ordinary node', () => {
  const exportPolicy = {
    rules: [{ source: 'peer' as const, action: 'accept' as const }],
    otherwise: 'reject' as const,
  };
  const reflector: BgpdConfigurationInput = {
    ...config(),
    peers: [
      {
        name: 'a',
        address: '10.0.0.1',
        asn: 64512,
        routeReflectorClient: true,
        clusterId: '1.0.0.1',
        exportPolicy,
      },
    ],
  };

  it('goes on reflecting to who was a client, for the whole time and no longer', () => {
    const first = plan(reflector, config('a'));
    expect(first).toMatchObject({
      leaving: undefined,
      clients: { peers: [{ name: 'a' }], deadline: 60_000 },
    });
    const given = duringTransition(config('a'), first);
    expect(given.peers).toEqual(reflector.peers);
    expect(plan(given, config('a', 'bb'), { running: first, now: 5000 }).clients?.deadline).toBe(60_000);
    expect(plan(config('a'), config('a'))).toEqual(NO_TRANSITION);
  });

  it('does so for the whole time again when there is one more', () => {
    const [client] = reflector.peers ?? [];
    if (client === undefined) throw new Error('no client');
    const second = { ...client, name: 'bb', address: '10.0.0.2' };
    const first = plan(reflector, config('a'));
    const both = { ...reflector, peers: [client, second] };
    expect(plan(both, config('a', 'bb'), { running: first, now: 59_000 }).clients?.deadline).toBe(119_000);
  });

  it('does not where the peer leaves, or is an external one now', () => {
    expect(plan(reflector, config('bb')).clients).toBeUndefined();
    const external = { ...config(), peers: [{ name: 'a', address: '10.0.0.1', asn: 65001 }] };
    expect(plan(reflector, external).clients).toBeUndefined();
    const [client] = config('a').peers ?? [];
    if (client === undefined) throw new Error('no client');
    const towardsOther = { ...config(), peers: [{ ...client, localAsn: 65001 }] };
    expect(plan(reflector, towardsOther).clients).toBeUndefined();
    expect(plan(reflector, { ...config('a'), asn: 65001 }).clients).toBeUndefined();
  });
});

describe('what is missing', () => {
  const transition: NonNullable<Transition['leaving']> = {
    peers: [{ name: 'old', address: '10.0.0.3', asn: 1 }],
    awaited: new Set(['new']),
    deadline: 0,
  };

  it('is a session, or its End-of-RIB', () => {
    expect(missingSessions(transition, [])).toMatch(/End-of-RIB yet: new/);
    expect(missingSessions(transition, [status('new', false)])).toMatch(/End-of-RIB yet: new/);
    expect(missingSessions(transition, [status('new', true)])).toBeUndefined();
  });

  it('is another way to each destination that leaving peers alone have', () => {
    const ask = (...paths: BgpdDestination['paths']): string | undefined =>
      missingWays(transition, [destination('10.1.0.0/26', ...paths)]);
    expect(missingWays(transition, [])).toBeUndefined();
    expect(ask(path('old'))).toMatch(/no other way yet to 10\.1\.0\.0\/26/);
    expect(ask(path('old'), path('new', 'ineligible'))).toMatch(/no other way/);
    expect(ask(path('old'), path('new', 'lost'))).toBeUndefined();
    expect(ask(path('local'))).toBeUndefined();
  });
});
