// A lab for one test file: its own fabric per Jest worker, its own state directory, everything gone after stop().

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lab, type LabOptions } from '../../../lab/lab.ts';
import { until } from '../../support/until.ts';
import { PACKAGE_ROOT, PROGRAMS } from './programs.ts';

/** `labsPerWorker` fabrics belong to each Jest worker; `index` picks one where a test needs labs side by side. */
const FABRICS_PER_WORKER = 4;

export type TestLabOptions = Partial<
  Pick<LabOptions, 'nodeProcesses' | 'fabricProcesses' | 'programs' | 'onEvent'>
> & {
  /** Hosts node-1 … node-N to begin with. */
  readonly hosts: number;
  /** 0 to 3. */
  readonly index?: number;
  /** All programs of a cluster, instead of bare hosts. */
  readonly isCluster?: boolean;
};

export interface TestLab {
  readonly lab: Lab;
  stop(): Promise<void>;
}

/** Starts etcd and bare hosts, unless `nodeProcesses` or `isCluster` give them programs. */
export async function startTestLab(options: TestLabOptions): Promise<TestLab> {
  const { hosts, index = 0, isCluster = false, ...rest } = options;
  const worker = Number(process.env['JEST_WORKER_ID'] ?? '1') - 1;
  const stateDir = mkdtempSync(join(tmpdir(), 'ct-lab-'));
  const removeStateDir = () => rmSync(stateDir, { recursive: true, force: true });
  try {
    const lab = await Lab.start({
      stateDir,
      packageRoot: PACKAGE_ROOT,
      env: process.env,
      fabric: worker * FABRICS_PER_WORKER + index,
      programs: PROGRAMS,
      ...(isCluster ? {} : { nodeProcesses: [], fabricProcesses: [] }),
      nodes: Array.from({ length: hosts }, (_, each) => `node-${each + 1}`),
      ...rest,
    });
    const stop = async () => {
      await lab.stop();
      removeStateDir();
    };
    return { lab, stop };
  } catch (error) {
    removeStateDir();
    throw error;
  }
}

/** Throws what was awaited after `timeoutMs`. */
export function waitUntil(
  what: string,
  isTrue: () => boolean | Promise<boolean>,
  timeoutMs = 10_000,
): Promise<void> {
  return until(what, isTrue, timeoutMs, 10);
}
