import { describe, expect, it } from '@jest/globals';
import { formatAge, formatTimeAge } from '../../../../controller/api/ages.ts';
import { findApiKind } from '../../../../controller/api/registry.ts';
import { table } from '../../../../controller/api/tables.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';

const MINUTE = 60;
const HOUR = 3600;
const DAY = 86_400;
const now = new Date('2026-01-01T01:00:00Z');

describe('ages', () => {
  const cases: [number, string][] = [
    [-5, '<invalid>'],
    [-0.5, '0s'],
    [119, '119s'],
    [2 * MINUTE, '2m'],
    [3 * MINUTE + 16, '3m16s'],
    [90 * MINUTE, '90m'],
    [5 * HOUR + 3 * MINUTE, '5h3m'],
    [40 * HOUR, '40h'],
    [3 * DAY + 4 * HOUR, '3d4h'],
    [9 * DAY, '9d'],
    [800 * DAY, '2y70d'],
  ];
  it.each(cases)('%d s is %s', (seconds, text) => {
    expect(formatAge(seconds)).toBe(text);
  });
  it('is unknown without a time', () => {
    expect(formatTimeAge(undefined, now)).toBe('<unknown>');
    expect(formatTimeAge('2026-01-01T00:00:00Z', now)).toBe('60m');
  });
});

function cells(plural: string, object: object, group = ''): Record<string, unknown> {
  const kind = findApiKind(group, 'v1', plural);
  if (kind === undefined) throw new Error(`no kind ${plural}`);
  const result = table({ kind, include: 'None', now }, [object as Resource], {}) as {
    columnDefinitions: { name: string }[];
    rows: { cells: unknown[] }[];
  };
  return Object.fromEntries(
    result.columnDefinitions.map(({ name }, index) => [name, result.rows[0]?.cells[index]]),
  );
}

const pod = (
  status: object,
  metadata: object = {},
  spec: object = { containers: [{ name: 'a' }] },
): object => ({
  metadata: { name: 'p', creationTimestamp: '2026-01-01T00:00:00Z', ...metadata },
  spec,
  status,
});

describe('the Status of a pod', () => {
  const running = { name: 'a', ready: true, restartCount: 0, state: { running: {} } };
  const cases: [string, object, string][] = [
    ['its phase', pod({ phase: 'Pending' }), 'Pending'],
    ['its reason', pod({ phase: 'Failed', reason: 'Evicted' }), 'Evicted'],
    [
      'what a container waits for',
      pod({
        phase: 'Pending',
        containerStatuses: [{ ...running, state: { waiting: { reason: 'ErrImagePull' } } }],
      }),
      'ErrImagePull',
    ],
    [
      'how a container ended',
      pod({ phase: 'Failed', containerStatuses: [{ ...running, state: { terminated: { exitCode: 3 } } }] }),
      'ExitCode:3',
    ],
    [
      'by which signal',
      pod({
        phase: 'Failed',
        containerStatuses: [{ ...running, state: { terminated: { signal: 9, exitCode: 137 } } }],
      }),
      'Signal:9',
    ],
    ['its end', pod({ phase: 'Running' }, { deletionTimestamp: '2026-01-01T00:00:30Z' }), 'Terminating'],
  ];
  it.each(cases)('is %s', (_what, object, expected) => {
    expect(cells('pods', object)['Status']).toBe(expected);
  });

  it('comes with readiness, restarts and age', () => {
    const row = cells('pods', pod({ phase: 'Running', containerStatuses: [running] }));
    expect(row).toMatchObject({
      Name: 'p',
      Ready: '1/1',
      Status: 'Running',
      Age: '60m',
      IP: '<none>',
      Node: '<none>',
    });
  });
});

describe('other kinds', () => {
  it('print what kubectl users know', () => {
    const node = {
      metadata: { name: 'n', labels: { 'node-role.kubernetes.io/edge': '' } },
      spec: { unschedulable: true },
      status: { conditions: [{ type: 'Ready', status: 'True' }] },
    };
    expect(cells('nodes', node)).toMatchObject({
      Status: 'Ready,SchedulingDisabled',
      Roles: 'edge',
      Age: '<unknown>',
    });
    const policy = { metadata: { name: 'x' }, spec: { podSelector: { matchLabels: { app: 'db' } } } };
    expect(cells('networkpolicies', policy, 'networking.k8s.io')['Pod-Selector']).toBe('app=db');
  });
});
