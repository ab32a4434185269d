// The chain of causes in the event log: found in order, or the first missing link is named.
import { describe, expect, it } from '@jest/globals';
import { findChain, type Link, renderChain } from '../../../lab/story/event-log.ts';
import type { CalicoEvent, EventKind } from '../../../lib/events/event.ts';

function event(ms: number, host: string, kind: EventKind, object?: string): CalicoEvent {
  const time = new Date(1_000_000 + ms).toISOString();
  return { time, host, seq: ms, component: 'agent', kind, ...(object === undefined ? {} : { object }) };
}

const links: readonly Link[] = [
  { kind: 'objectStored', meaning: 'stored' },
  { kind: 'cniAdd', host: 'node-1', meaning: 'added' },
  { kind: 'podStarted', matches: ({ object }) => object === 'Pod/a/b', meaning: 'runs' },
];

describe('findChain', () => {
  it('takes each link at or after the one before it, from the right host and about the right object', () => {
    const events = [
      event(0, 'controller', 'objectStored'),
      event(10, 'node-2', 'cniAdd'),
      event(20, 'node-1', 'cniAdd'),
      event(25, 'node-1', 'podStarted', 'Pod/a/other'),
      event(30, 'node-1', 'podStarted', 'Pod/a/b'),
    ];
    const result = findChain(events, links);
    expect(result.ok).toBe(true);
    expect(result.found.map(({ ms }) => ms)).toEqual([0, 20, 30]);
    expect(renderChain(result.found).split('\n')[1]).toMatch(/^ +20 ms node-1 +agent +added$/);
  });

  it('names the first link that is missing', () => {
    const result = findChain([event(0, 'controller', 'objectStored')], links);
    expect(result).toMatchObject({ ok: false, missing: { kind: 'cniAdd' } });
  });

  it('does not take an effect that came before its cause', () => {
    const events = [event(0, 'node-1', 'cniAdd'), event(500, 'controller', 'objectStored')];
    expect(findChain(events, links)).toMatchObject({ ok: false, missing: { kind: 'cniAdd' } });
  });

  it('lets what follows be earlier than what is done beside it', () => {
    const [stored, added] = [event(0, 'controller', 'objectStored'), event(500, 'node-1', 'cniAdd')];
    const runs = event(100, 'node-1', 'podStarted', 'Pod/a/b');
    const beside = links.map((link) => (link.kind === 'cniAdd' ? { ...link, isBeside: true } : link));
    expect(findChain([stored, runs, added], links)).toMatchObject({ ok: false });
    expect(findChain([stored, runs, added], beside)).toMatchObject({ ok: true });
    expect(findChain([stored, runs], beside)).toMatchObject({ ok: false, missing: { kind: 'cniAdd' } });
  });
});
