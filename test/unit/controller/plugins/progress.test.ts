// What the published revision promises: nothing of the API up to it is still missing in the datastore.

import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { MirrorProgress } from '../../../../controller/plugins/kubernetes/progress.ts';

const SOURCES = ['namespaces', 'networkpolicies'];

describe('MirrorProgress', () => {
  it('says nothing before every watch has its first list', () => {
    const progress = new MirrorProgress(SOURCES);
    progress.seen('namespaces', 10);
    expect(progress.mirrored()).toBeUndefined();
    progress.seen('networkpolicies', 7);
    expect(progress.mirrored()).toBe(7);
  });

  it('does not wait for a kind that the server does not have, and waits once it has it', () => {
    const progress = new MirrorProgress(SOURCES);
    progress.seen('namespaces', 10);
    progress.absent('networkpolicies');
    expect(progress.mirrored()).toBe(10);
    progress.seen('namespaces', 30);
    progress.seen('networkpolicies', 20);
    expect(progress.mirrored()).toBe(20);
  });

  it('stays below a change until it is written, also when it changes again meanwhile', () => {
    const progress = new MirrorProgress(SOURCES);
    for (const source of SOURCES) progress.seen(source, 20);
    progress.changed('a', 15);
    expect(progress.mirrored()).toBe(14);
    progress.changed('a', 18);
    expect(progress.mirrored()).toBe(14);
    progress.done('a', 18);
    expect(progress.mirrored()).toBe(17);
    progress.done('a', undefined);
    expect(progress.mirrored()).toBe(20);
  });

  it('never promises a revision at which something is unwritten, for any interleaving', () => {
    const step = fc.record({
      kind: fc.constantFrom('change', 'deliver', 'write'),
      source: fc.constantFrom(...SOURCES),
      key: fc.constantFrom('a', 'b', 'c'),
    });
    const property = fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const world = new MirrorWorld();
      for (const { kind, source, key } of steps) {
        if (kind === 'change') world.change(source, key);
        else if (kind === 'deliver') world.deliver(source);
        else world.write(source, key);
        world.check();
      }
      world.settle();
      expect(world.progress.mirrored()).toBe(world.revision);
    });
    fc.assert(property, { seed: 20261125, numRuns: 500 });
  });
});

/** A model of an API with two watches, each late by itself, and a datastore that is written key by key. */
class MirrorWorld {
  readonly progress = new MirrorProgress(SOURCES);
  revision = 1;
  readonly #changedAt = new Map<string, number>();
  readonly #writtenAt = new Map<string, number>();
  readonly #undelivered = new Map<string, { key: string; revision: number }[]>(
    SOURCES.map((name) => [name, []]),
  );
  readonly #known = new Map<string, number>();
  readonly #deliveredTo = new Map<string, number>();

  constructor() {
    for (const source of SOURCES) this.progress.seen(source, this.revision);
  }

  change(source: string, key: string): void {
    this.revision += 1;
    const full = `${source}/${key}`;
    this.#changedAt.set(full, this.revision);
    this.#undelivered.get(source)?.push({ key: full, revision: this.revision });
  }

  deliver(source: string): void {
    const next = this.#undelivered.get(source)?.shift();
    if (next !== undefined) {
      this.progress.changed(next.key, next.revision);
      this.#known.set(next.key, next.revision);
    }
    const seen = next?.revision ?? this.revision;
    this.#deliveredTo.set(source, seen);
    this.progress.seen(source, seen);
  }

  write(source: string, key: string): void {
    const full = `${source}/${key}`;
    const known = this.#known.get(full);
    if (known === undefined) return;
    this.#writtenAt.set(full, known);
    this.progress.done(full, undefined);
  }

  settle(): void {
    for (const source of SOURCES)
      for (let left = (this.#undelivered.get(source)?.length ?? 0) + 1; left > 0; left--)
        this.deliver(source);
    for (const full of this.#known.keys()) {
      const [source = '', key = ''] = full.split('/');
      this.write(source, key);
    }
  }

  /** Every change up to the promised revision is written, as far as it was the key's last one. */
  check(): void {
    const promised = this.progress.mirrored() ?? 0;
    for (const [key, changed] of this.#changedAt)
      if (changed <= promised) expect(this.#writtenAt.get(key) ?? 0).toBeGreaterThanOrEqual(changed);
  }
}
