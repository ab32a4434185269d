// The order of test files: what takes longest begins first, so that no worker waits for it alone at the end. Jest goes by the size
// of a file where it has not measured, as on every fresh clone; one of the small files builds and packs the package.

import { statSync } from 'node:fs';

const LONG = ['test/unit/package.test.ts'];

export default class Sequencer {
  sort(tests) {
    const size = new Map(tests.map((test) => [test, statSync(test.path).size]));
    const isLong = ({ path }) => LONG.some((name) => path.endsWith(name));
    return [...tests].sort((a, b) => isLong(b) - isLong(a) || size.get(b) - size.get(a));
  }

  shard(tests) {
    return tests;
  }

  allFailedTests(tests) {
    return tests;
  }

  cacheResults() {
    // Nothing is measured: the order is the same everywhere.
  }
}
