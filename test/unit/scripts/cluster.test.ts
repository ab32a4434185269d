// How far `docker compose up --wait` is, told from its lines.
import { expect, it } from '@jest/globals';
import { ComposeProgress } from '../../../scripts/cluster.ts';

it('names the containers that are awaited, not the last line', () => {
  const progress = new ComposeProgress();
  expect(progress.onLine(' Network calico-ts_default  Creating')).toBe('Network calico-ts_default  Creating');
  progress.onLine(' Container calico-ts-controller-1  Waiting');
  progress.onLine(' Container calico-ts-calico-node-2  Waiting');
  progress.onLine(' Container calico-ts-calico-node-1  Waiting');
  expect(progress.onLine(' Container calico-ts-controller-1  Healthy')).toBe(
    'waiting for calico-ts-calico-node-1, calico-ts-calico-node-2',
  );
  progress.onLine(' Container calico-ts-calico-node-1  Healthy');
  const last = ' Container calico-ts-calico-node-2  Healthy';
  expect(progress.onLine(last)).toBe(last.trim());
});
