// Where a lab started by `npm run lab` keeps its files, and how one finds out whether it is alive. Runs outside the lab.

import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  identifyProcess,
  isSameProcessAlive,
  type ProcessIdentity,
  processIdentitySchema,
} from '../lib/process/identity.ts';

/** Unix socket paths end at 107 characters; the longest name below a host's state directory must still fit. */
const MAX_STATE_DIR_LENGTH = 60;

/** CALICO_TS_LAB_DIR, else a folder in XDG_RUNTIME_DIR, in the repository, or (where that is too long) in /tmp. */
export function labStateDir(env: NodeJS.ProcessEnv, packageRoot: string, uid: number): string {
  const given = env['CALICO_TS_LAB_DIR'];
  if (given !== undefined && given !== '') return given;
  const runtimeDir = env['XDG_RUNTIME_DIR'];
  const candidates = [
    ...(runtimeDir === undefined || !existsSync(runtimeDir) ? [] : [join(runtimeDir, 'calico-ts-lab')]),
    ...(ownerOf(packageRoot) === uid ? [join(packageRoot, '.cache', 'lab')] : []),
  ];
  return candidates.find((path) => path.length <= MAX_STATE_DIR_LENGTH) ?? `/tmp/calico-ts-lab-${uid}`;
}

/** Makes an empty state directory that belongs to this user alone; throws when somebody else owns it. */
export function resetStateDir(stateDir: string, uid: number): void {
  if (existsSync(stateDir) && ownerOf(stateDir) !== uid) {
    throw new Error(`${stateDir} belongs to another user; set CALICO_TS_LAB_DIR to a folder of your own`);
  }
  rmSync(stateDir, { recursive: true, force: true });
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
}

/** Writes down the lab's first process, as seen from outside; false when it has ended already. */
export function writeLabRecord(stateDir: string, pid: number): boolean {
  const identity = identifyProcess(pid);
  if (identity === undefined) return false;
  writeFileSync(recordFile(stateDir), `${JSON.stringify(identity)}\n`);
  return true;
}

/** The first process of a lab that is alive, or undefined. */
export function readLabRecord(stateDir: string): ProcessIdentity | undefined {
  let text: string;
  try {
    text = readFileSync(recordFile(stateDir), 'utf8');
  } catch {
    return undefined;
  }
  const record = processIdentitySchema.parse(JSON.parse(text));
  return isSameProcessAlive(record) ? record : undefined;
}

function recordFile(stateDir: string): string {
  return join(stateDir, 'lab.json');
}

function ownerOf(path: string): number {
  return statSync(path).uid;
}
