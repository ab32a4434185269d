// Tells the story: what was done, what the cluster itself says about it, how long it took.

export interface Narrator {
  scene(number: number, title: string): void;
  /** Something that was done, or that came true. */
  step(text: string): void;
  /** Evidence: where it was read (a command line) and what it said. */
  artefact(source: string, text: string): void;
  /** Something takes its time: what, and for how many seconds so far. */
  waiting(what: string, seconds: number): void;
}

const MAX_LINES = 14;
const MAX_COLUMNS = 150;

/** Writes to a terminal or a log, a line at a time. */
export function textNarrator(write: (line: string) => void): Narrator {
  return {
    scene: (number, title) => {
      write('');
      write(`Scene ${number}: ${title}`);
    },
    step: (text) => write(`  ✓ ${text}`),
    artefact: (source, text) => {
      write(`      ${source}`);
      const lines = text.trimEnd().split('\n');
      for (const line of lines.slice(0, MAX_LINES)) write(`        ${line.slice(0, MAX_COLUMNS)}`);
      if (lines.length > MAX_LINES) write(`        … ${lines.length - MAX_LINES} lines more`);
    },
    waiting: (what, seconds) =>
      write(`    … ${seconds} s: ${what.replace(/\s+/g, ' ').slice(0, MAX_COLUMNS)}`),
  };
}

export const silentNarrator: Narrator = {
  scene: () => {},
  step: () => {},
  artefact: () => {},
  waiting: () => {},
};
