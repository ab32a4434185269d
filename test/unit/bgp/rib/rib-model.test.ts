// The tables against a model without columns, groups or memory: after any sequence of changes each peer must know just what
// the decision process and the advertisement rules give for what is there now, whatever way it was told.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { AddressFamily } from '../../../../agents/bgp/packet/iana.ts';
import { decodeMessage } from '../../../../agents/bgp/packet/message.ts';
import { packAnnouncements, packWithdrawals } from '../../../../agents/bgp/packet/update.ts';
import { type RouteAttributes, routeChanges } from '../../../../agents/bgp/packet/validate.ts';
import { ACCEPT_ALL, type Policy, REJECT_ALL } from '../../../../agents/bgp/policy/policy.ts';
import { advertise } from '../../../../agents/bgp/rib/advertise.ts';
import { attributesKey, type Path } from '../../../../agents/bgp/rib/path.ts';
import type { Flush, Rib } from '../../../../agents/bgp/rib/rib.ts';
import type { RibPeer, RibPeerConfig } from '../../../../agents/bgp/rib/rib-peer.ts';
import { audienceOf } from '../../../../agents/bgp/rib/update-groups.ts';
import { formatCidr } from '../../../../lib/net/ip.ts';
import { cidr, ip, messagesOf, newRib, ribPeer } from './rib-support.ts';

const PREFIXES: Readonly<Record<AddressFamily, readonly string[]>> = {
  ipv4Unicast: [
    ...['10.2.0.0/26', '0.0.0.0/0', '10.0.0.0/16'],
    ...Array.from({ length: 21 }, (_, n) => `10.3.${n}.0/24`),
  ],
  ipv6Unicast: ['fd02::1/128', 'fd02::2/128'],
};
const POLICIES: readonly Policy[] = [
  ACCEPT_ALL,
  REJECT_ALL,
  {
    otherwise: 'accept',
    rules: [
      { match: { operator: 'in', prefix: cidr('10.2.0.0/16'), minLength: 20 }, action: 'reject' },
      { match: { operator: 'in', source: 'peer' }, action: 'accept', set: { addCommunities: [7] } },
    ],
  },
  {
    otherwise: 'reject',
    rules: [{ match: { operator: 'in', family: 4 }, action: 'accept', set: { localPref: 300 } }],
  },
];
const PEERS = [2, 3, 4, 5, 6];

/** Index; most peers let all pass, or little happens. */
const policy = fc.constantFrom(0, 0, 0, 0, 1, 2, 3);
const shapeOf = fc.record({
  asn: fc.constantFrom<number>(65000, 65001, 65002),
  isClient: fc.boolean(),
  addPath: fc.boolean(),
  importPolicy: policy,
  exportPolicy: policy,
  nextHopMode: fc.constantFrom<RibPeerConfig['nextHopMode']>('auto', 'self', 'selfAlways', 'keep'),
});
type Shape = typeof shapeOf extends fc.Arbitrary<infer T> ? T : never;

const attributesOf = fc.record({
  nextHop: fc.constantFrom(9, 2, 3),
  localPref: fc.constantFrom(undefined, 100, 200),
  med: fc.constantFrom(undefined, 5),
  path: fc.constantFrom<readonly number[]>([], [65003], [65003, 65004], [65000]),
  communities: fc.constantFrom<readonly number[] | undefined>(undefined, [3], [0xffffff01], [0xffffff02]),
});
type Attributes = typeof attributesOf extends fc.Arbitrary<infer T> ? T : never;

const family = fc.constantFrom<AddressFamily>('ipv4Unicast', 'ipv6Unicast');
const peer = fc.constantFrom(...PEERS);
/** Mostly the first few, so that peers have paths of the same prefixes; now and then many at once. */
const some = fc.oneof(
  { weight: 4, arbitrary: fc.array(fc.nat(4), { minLength: 1, maxLength: 3 }) },
  { weight: 1, arbitrary: fc.array(fc.nat(23), { minLength: 10, maxLength: 24 }) },
);
const pathId = fc.constantFrom(1, 2);
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('up' as const), peer, shape: shapeOf }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('down' as const), peer, isGraceful: fc.boolean() }) },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('announce' as const),
      peer,
      family,
      some,
      pathId,
      attributes: attributesOf,
    }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('withdraw' as const), peer, family, some, pathId }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('sweep' as const), peer }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('reconfigure' as const), peer, shape: shapeOf }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('refresh' as const), peer, family }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('behind' as const), peer, isBehind: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('originate' as const), some }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
);
/** All peers are up when it begins. */
const scenario = fc.record({
  /** So little that a flush never says all, or so much that it always does. */
  maxFlushOctets: fc.constantFrom(100, 250, 600, 1e6),
  /** Each of its own, or all alike: then they are one update group. */
  shapes: fc.oneof(
    fc.array(shapeOf, { minLength: PEERS.length, maxLength: PEERS.length }),
    shapeOf.map((shape) => PEERS.map(() => shape)),
  ),
  steps: fc.array(step, { minLength: 20, maxLength: 80 }),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function configOf(shape: Shape): RibPeer['config'] {
  return {
    ...ribPeer(2).config,
    importPolicy: POLICIES[shape.importPolicy] ?? ACCEPT_ALL,
    exportPolicy: POLICIES[shape.exportPolicy] ?? ACCEPT_ALL,
    nextHopMode: shape.nextHopMode,
    isClient: shape.isClient && shape.asn === 65000,
  };
}

function peerOf(index: number, shape: Shape): RibPeer {
  const made = ribPeer(index, { asn: shape.asn, config: configOf(shape), restarted: true });
  const both = new Set<AddressFamily>(shape.addPath ? ['ipv4Unicast', 'ipv6Unicast'] : []);
  const context = { ...made.session.context, addPathReceive: both, addPathSend: both };
  return { ...made, session: { ...made.session, context } };
}

/** The speaker's tables, and what every peer has learned from its messages. */
class World {
  readonly rib: Rib;
  readonly up = new Map<number, RibPeer>();
  readonly behind = new Set<number>();
  readonly learned = new Map<number, Map<string, string>>();

  constructor({ shapes, maxFlushOctets }: Scenario) {
    this.rib = newRib({ maxFlushOctets });
    for (const [at, shape] of shapes.entries()) this.#up(PEERS[at] ?? 0, shape);
  }

  do(action: Step): void {
    switch (action.do) {
      case 'flush':
        this.take(this.rib.flush());
        return;
      case 'originate':
        this.rib.setOriginated(action.some.map((n) => ({ prefix: cidr(`10.${n}.0.0/16`) })));
        return;
      case 'up':
        this.#up(action.peer, action.shape);
        return;
      default:
        if (this.up.has(action.peer)) this.#withPeer(action, this.up.get(action.peer) as RibPeer);
    }
  }

  #up(index: number, shape: Shape): void {
    if (this.up.has(index)) return;
    const made = peerOf(index, shape);
    this.up.set(index, made);
    this.learned.set(index, new Map());
    this.rib.peerUp(made);
  }

  #withPeer(action: Exclude<Step, { do: 'flush' | 'originate' | 'up' }>, known: RibPeer): void {
    const { name, session } = known;
    switch (action.do) {
      case 'down':
        this.up.delete(action.peer);
        this.behind.delete(action.peer);
        this.rib.peerDown(name, { graceful: action.isGraceful, sameRestart: false });
        return;
      case 'announce': {
        const made = attributesFor(known, action.family, action.attributes);
        const nlri = nlriOf(known, action);
        const context = { ...session.context, addPathSend: session.context.addPathReceive };
        for (const octets of packAnnouncements(action.family, made, nlri, context) ?? [])
          this.rib.receive(name, octets);
        return;
      }
      case 'withdraw': {
        const context = { ...session.context, addPathSend: session.context.addPathReceive };
        for (const octets of packWithdrawals(action.family, nlriOf(known, action), context))
          this.rib.receive(name, octets);
        return;
      }
      case 'sweep':
        this.rib.sweepStale(name);
        return;
      case 'reconfigure': {
        const config = configOf({ ...action.shape, asn: session.peerAsn });
        this.up.set(action.peer, { ...known, config });
        this.rib.reconfigure(name, config);
        return;
      }
      case 'refresh':
        this.rib.refresh(name, action.family);
        return;
      case 'behind':
        if (action.isBehind) this.behind.add(action.peer);
        else this.behind.delete(action.peer);
        this.rib.setBehind(name, action.isBehind);
        return;
    }
  }

  take(flush: Flush): void {
    for (const [name, updates] of flush.updatesByPeer) {
      const index = Number(name.slice(1));
      const known = this.up.get(index);
      const learned = this.learned.get(index);
      if (known === undefined || learned === undefined)
        throw new Error(`something for ${name}, which is down`);
      for (const octets of messagesOf(updates)) learn(learned, known, octets);
    }
  }

  /** Whoever was behind reads on, and all that there is to say is said. */
  settle(): void {
    for (const index of this.behind) this.rib.setBehind(`p${index}`, false);
    this.behind.clear();
    for (let isPartial = true; isPartial; ) {
      const flush = this.rib.flush();
      this.take(flush);
      isPartial = flush.isPartial;
    }
  }

  /** What the peer ought to know, from the destinations and the rules alone. */
  expected(index: number): Map<string, string> {
    const known = this.up.get(index) as RibPeer;
    const told = new Map<string, string>();
    for (const { family: of, prefix, decision } of this.rib.destinations()) {
      const sendsAll = known.session.context.addPathSend.has(of);
      const best = decision.best === undefined ? [] : [decision.best];
      const eligible = [...decision.verdicts.keys()].filter(({ ineligible }) => ineligible === undefined);
      const texts = (sendsAll ? eligible : best).flatMap((path) => toldOf(path, known)).sort();
      if (texts.length > 0) told.set(formatCidr(prefix), texts.join('\n'));
    }
    return told;
  }

  /** With path ids: the sets of all ids of a prefix. */
  known(index: number): Map<string, string> {
    const texts = new Map<string, string[]>();
    for (const [key, text] of this.learned.get(index) ?? []) {
      const prefix = key.split(' ')[0] ?? '';
      texts.set(prefix, [...(texts.get(prefix) ?? []), text]);
    }
    return new Map([...texts].map(([prefix, all]) => [prefix, all.sort().join('\n')]));
  }
}

function toldOf(path: Path, known: RibPeer): string[] {
  const { source } = path;
  const { family: of, value } = known.address;
  if (source.kind === 'peer' && source.name === known.name) return [];
  const result = advertise(path, audienceOf(known));
  if (!result.send) return [];
  const { nextHop } = result.attributes;
  return nextHop.family === of && nextHop.value === value ? [] : [wireKey(result.attributes)];
}

function attributesFor(known: RibPeer, of: AddressFamily, shape: Attributes): RouteAttributes {
  const isExternal = known.session.context.peerType === 'external';
  const asns = isExternal ? [known.session.peerAsn, ...shape.path] : shape.path;
  const nextHop = ip(of === 'ipv4Unicast' ? `10.9.0.${shape.nextHop}` : `fd09::${shape.nextHop}`);
  return {
    origin: 'igp',
    asPath: asns.length === 0 ? [] : [{ type: 'sequence', asns }],
    nextHop,
    ...(isExternal || shape.localPref === undefined ? {} : { localPref: shape.localPref }),
    ...(shape.med === undefined ? {} : { multiExitDisc: shape.med }),
    ...(shape.communities === undefined ? {} : { communities: shape.communities }),
  };
}

function nlriOf(
  known: RibPeer,
  action: { readonly family: AddressFamily; readonly some: readonly number[]; readonly pathId: number },
): ReturnType<typeof cidr>[] {
  const all = PREFIXES[action.family];
  const prefixes = [...new Set(action.some.map((n) => all[n % all.length] ?? ''))].map(cidr);
  if (!known.session.context.addPathReceive.has(action.family)) return prefixes;
  return prefixes.map((prefix) => ({ ...prefix, pathId: action.pathId }));
}

function learn(learned: Map<string, string>, known: RibPeer, octets: Uint8Array): void {
  const { context } = known.session;
  const theirs = { ...context, peerAsn: 65000, addPathReceive: context.addPathSend };
  const message = decodeMessage(octets, theirs);
  if (message.type === 'routeRefresh') return;
  if (message.type !== 'update') throw new Error(`unexpected ${message.type}`);
  const changes = routeChanges(message, theirs);
  expect(changes.faults).toEqual([]);
  for (const { prefixes } of changes.withdrawn) {
    for (const prefix of prefixes) learned.delete(`${formatCidr(prefix)} ${prefix.pathId ?? ''}`);
  }
  for (const { prefixes, attributes } of changes.announced) {
    for (const prefix of prefixes)
      learned.set(`${formatCidr(prefix)} ${prefix.pathId ?? ''}`, wireKey(attributes));
  }
}

/** What a peer can read of a set. */
function wireKey(attributes: RouteAttributes): string {
  const { nextHop, ...rest } = attributes;
  return `${nextHop.family}:${nextHop.value} ${attributesKey({ ...rest, nextHop: ip('0.0.0.0') })}`;
}

describe('whatever happens', () => {
  it('every peer knows what the rules give for what is there', () => {
    fc.assert(
      fc.property(scenario, (one) => {
        const world = new World(one);
        for (const action of one.steps) world.do(action);
        world.settle();
        for (const index of world.up.keys()) {
          expect([index, Object.fromEntries(world.known(index))]).toEqual([
            index,
            Object.fromEntries(world.expected(index)),
          ]);
        }
        // Said once is said: nothing more comes of nothing.
        expect(world.rib.flush().updatesByPeer.size).toBe(0);
      }),
      { seed: 4271, numRuns: 400 },
    );
  });

  it('nothing is left when all are gone', () => {
    fc.assert(
      fc.property(scenario, (one) => {
        const world = new World(one);
        for (const action of one.steps) world.do(action);
        world.rib.setOriginated([]);
        for (const index of PEERS) world.rib.peerRemoved(`p${index}`);
        world.up.clear();
        world.settle();
        expect([world.rib.size, [...world.rib.destinations()].length]).toEqual([0, 0]);
      }),
      { seed: 4456, numRuns: 100 },
    );
  });
});
