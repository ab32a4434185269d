// What the scripts print: one line when a step begins and, if it takes over two seconds, how far it is.

const EVERY_MS = 2_000;

/** A step under way; `note` replaces the "how far" text of the next progress line. */
export interface Step {
  note(text: string): void;
}

/** Prints "▸ title", runs `work`, shows its last note every two seconds while it lasts, then the time it took. */
export async function step<T>(title: string, work: (step: Step) => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  console.log(`▸ ${title}`);
  let note = '';
  let hasShown = false;
  const timer = setInterval(() => {
    hasShown = true;
    console.log(`  ${seconds(startedAt)} s ${note === '' ? 'still at it' : note}`);
  }, EVERY_MS);
  try {
    const result = await work({
      note: (text) => {
        note = text;
      },
    });
    if (hasShown) console.log(`  done after ${seconds(startedAt)} s`);
    return result;
  } finally {
    clearInterval(timer);
  }
}

function seconds(startedAt: number): string {
  return ((performance.now() - startedAt) / 1000).toFixed(0);
}
