// What the scripts print: one line when a step begins and, if it takes long, how far it is: after two
// seconds, then every ten.

const FIRST_MS = 2_000;
const EVERY_MS = 10_000;

/** A step under way; `note` replaces the "how far" text of the next progress line. */
export interface Step {
  note(text: string): void;
}

/** Prints "▸ title", runs `work`, shows its last note now and then while it lasts, then the time it took. */
export async function step<T>(title: string, work: (step: Step) => Promise<T>): Promise<T> {
  const startedAt = performance.now();
  console.log(`▸ ${title}`);
  let note = '';
  let hasShown = false;
  const tell = () => {
    hasShown = true;
    console.log(`  ${seconds(startedAt)} s ${note === '' ? 'still at it' : note}`);
    timer = setTimeout(tell, EVERY_MS);
  };
  let timer = setTimeout(tell, FIRST_MS);
  try {
    const result = await work({
      note: (text) => {
        note = text;
      },
    });
    if (hasShown) console.log(`  done after ${seconds(startedAt)} s`);
    return result;
  } finally {
    clearTimeout(timer);
  }
}

function seconds(startedAt: number): string {
  return ((performance.now() - startedAt) / 1000).toFixed(0);
}
