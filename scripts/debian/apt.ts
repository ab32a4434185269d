// Reading what apt says, and the source and pin that make single trixie packages available on Debian 12. Pure: text in,
// text out. See apt-get(8), sources.list(5) (deb822 style and one-line style) and apt_preferences(5).

/** One package apt would unpack: `Inst name [old] (version origin [arch])`. */
export interface PlannedPackage {
  readonly name: string;
  readonly version: string;
  /** Set when an installed version would be replaced. */
  readonly replaces?: string;
}

/** What `apt-get --simulate install` says it would do. */
export interface AptPlan {
  readonly installs: readonly PlannedPackage[];
  readonly removes: readonly string[];
}

export function parseAptPlan(simulation: string): AptPlan {
  const installs: PlannedPackage[] = [];
  const removes: string[] = [];
  for (const line of simulation.split('\n')) {
    const removed = /^Remv (\S+)/.exec(line);
    if (removed?.[1] !== undefined) removes.push(removed[1]);
    const found = /^Inst (\S+) (?:\[([^\]]+)\] )?\((\S+)/.exec(line);
    const [, name, replaces, version] = found ?? [];
    if (name === undefined || version === undefined) continue;
    installs.push({ name, version, ...(replaces === undefined ? {} : { replaces }) });
  }
  return { installs, removes };
}

/** Why a plan must not be carried out, or undefined: the C library is never exchanged, nothing is ever removed. */
export function refusePlan(plan: AptPlan): string | undefined {
  const libc = plan.installs.find((each) => each.name === 'libc6' && each.replaces !== undefined);
  if (libc !== undefined)
    return `it would exchange the system's C library (libc6 ${libc.replaces} → ${libc.version})`;
  if (plan.removes.length > 0) return `it would remove ${plan.removes.join(', ')}`;
  return undefined;
}

/**
 * A deb822 source for `suite` at the mirror that the machine's own Debian sources use, or undefined when none of
 * `sources` is Debian's main archive. `codename` is the machine's own suite.
 */
export function otherSuiteSource(
  sources: readonly { readonly file: string; readonly text: string }[],
  codename: string,
  suite: string,
): string | undefined {
  for (const { file, text } of sources) {
    const found = file.endsWith('.sources') ? deb822Mirror(text, codename) : oneLineMirror(text, codename);
    if (found === undefined) continue;
    const lines = ['Types: deb', `URIs: ${found.uri}`, `Suites: ${suite}`, 'Components: main'];
    if (found.signedBy !== undefined) lines.push(`Signed-By: ${found.signedBy}`);
    return `${lines.join('\n')}\n`;
  }
  return undefined;
}

/** Keeps everything of `suite` out of normal upgrades: taken only when asked for by name or with -t. */
export function pinPreferences(suite: string): string {
  return `Package: *\nPin: release n=${suite}\nPin-Priority: 100\n`;
}

interface Mirror {
  readonly uri: string;
  readonly signedBy?: string;
}

function deb822Mirror(text: string, codename: string): Mirror | undefined {
  for (const stanza of text.split(/\n\s*\n/)) {
    const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.+)$`, 'im').exec(stanza)?.[1]?.trim();
    const uri = field('URIs')?.split(/\s+/)[0];
    if (uri === undefined || field('Suites')?.split(/\s+/).includes(codename) !== true) continue;
    if (field('Enabled')?.toLowerCase() === 'no' || field('Components')?.split(/\s+/)[0] !== 'main') continue;
    const signedBy = field('Signed-By');
    return { uri, ...(signedBy === undefined ? {} : { signedBy }) };
  }
  return undefined;
}

function oneLineMirror(text: string, codename: string): Mirror | undefined {
  for (const line of text.split('\n')) {
    const found = /^deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+main\b/.exec(line.trim());
    const [, options, uri, suite] = found ?? [];
    if (uri === undefined || suite !== codename) continue;
    const signedBy = /signed-by=(\S+)/i.exec(options ?? '')?.[1];
    return { uri, ...(signedBy === undefined ? {} : { signedBy }) };
  }
  return undefined;
}

/** Counts what apt-get reports while it works, as "how far": fetched and set up, of the plan's total. */
export class AptProgress {
  readonly #total: number;
  #fetched = 0;
  #setUp = 0;

  constructor(total: number) {
    this.#total = total;
  }

  onLine(line: string): string {
    if (line.startsWith('Get:')) this.#fetched += 1;
    if (line.startsWith('Setting up ')) this.#setUp += 1;
    return `${this.#fetched} fetched, ${this.#setUp} set up, of ${this.#total}`;
  }
}
