// The product's programs as tests start them: as they ship where `npm test` has compiled them, else straight from their sources.

import { join } from 'node:path';
import { type ProgramForm, programCommand } from '../../../lab/processes.ts';

/** The repository's root folder. */
export const PACKAGE_ROOT = join(import.meta.dirname, '../../..');

export const PROGRAMS: ProgramForm = process.env['CALICO_TS_PROGRAMS'] === 'dist' ? 'dist' : 'source';

/** Node, and the file of a program: `program('agents/cni/main')`. */
export const program = programCommand(PACKAGE_ROOT, PROGRAMS, process.execPath);

/** The file alone, for who starts Node itself. */
export function programFile(path: string): string {
  return program(path)[1] ?? '';
}
