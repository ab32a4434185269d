// The order of test files: what takes longest begins first, so that no worker waits for it alone at the end. Jest goes by the size
// of a file where it has not measured, as on every fresh clone; some of the small files build and pack the package, play whole
// scenes, or walk through cases that are written elsewhere.

import { statSync } from 'node:fs';

/** What takes far longer than its size says, the longest first. */
const LONG = [
  'test/unit/package.test.ts',
  'test/lab/story.test.ts',
  'test/lab/kubelet/kubelet.test.ts',
  'test/lab/felix/netpol-kernel.test.ts',
  'test/lab/felix/atomicity.test.ts',
  'test/lab/felix/policy-fuzz.test.ts',
];

export default class Sequencer {
  sort(tests) {
    const size = new Map(tests.map((test) => [test, statSync(test.path).size]));
    const place = ({ path }) => {
      const index = LONG.findIndex((name) => path.endsWith(name));
      return index === -1 ? LONG.length : index;
    };
    return [...tests].sort((a, b) => place(a) - place(b) || size.get(b) - size.get(a));
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
