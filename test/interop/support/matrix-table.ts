// The table of what was proved with whom, which a run writes into docs/bgp.md between its markers.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const PAGE = join(import.meta.dirname, '../../../docs/bgp.md');
const BEGIN = '<!-- interop: written by test/interop/matrix.long.test.ts -->';
const END = '<!-- interop ends -->';

/** `–`: the peer cannot. */
export type Proof = 'yes' | 'no' | '–';

export class ProofTable {
  readonly #peers: readonly string[];
  readonly #proofs = new Map<string, Map<string, Proof>>();

  constructor(peers: readonly string[]) {
    this.#peers = peers;
  }

  /** Rows stand in the order in which they are first named. */
  declare(feature: string): void {
    if (!this.#proofs.has(feature)) this.#proofs.set(feature, new Map());
  }

  set(feature: string, peer: string, proof: Proof): void {
    this.declare(feature);
    this.#proofs.get(feature)?.set(peer, proof);
  }

  /** Leaves the page alone if a run was not of everything. */
  write(): void {
    const rows = [...this.#proofs].map(([feature, row]) => [
      feature,
      ...this.#peers.map((peer) => row.get(peer)),
    ]);
    if (rows.length === 0 || rows.some((row) => row.includes(undefined))) return;
    const lines = [['proved with', ...this.#peers], this.#peers.map(() => '---').concat('---'), ...rows];
    const table = lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n');
    const page = readFileSync(PAGE, 'utf8');
    const [before, rest] = page.split(BEGIN);
    const after = rest?.split(END)[1];
    if (before === undefined || after === undefined) throw new Error(`${PAGE} has lost its markers`);
    writeFileSync(PAGE, `${before}${BEGIN}\n${table}\n${END}${after}`);
  }
}
