// What the fuzzer looks for.

/** Something that must hold does not. `check` names it; the detail is for people. */
export class Finding extends Error {
  readonly check: string;

  constructor(check: string, detail: string) {
    super(`${check}: ${detail}`);
    this.name = 'Finding';
    this.check = check;
  }
}
