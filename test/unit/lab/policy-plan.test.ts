// What of a policy test a lab can ask: which of its cases become packets, and why the others do not.

import { describe, expect, it } from '@jest/globals';
import { planTest } from '../../../lab/policy-test/plan.ts';
import type { ExpandedCase } from '../../../lib/policy/test-file/expand.ts';
import { workload } from '../../support/policy-world.ts';

const PORTS = [
  { name: 'sql', protocol: 'TCP', port: 5432 },
  { name: 'dns', protocol: 'UDP', port: 53 },
];
const RESOURCES = [workload('n1', 'web', ['10.0.0.1']), workload('n2', 'db', ['10.0.1.1'], { ports: PORTS })];

/** The port that is asked, or why there is none. */
function planned(port: string, more: Partial<ExpandedCase> = {}): string | number {
  const asked: ExpandedCase = {
    name: 'case',
    path: 'cases[0]',
    from: 'shop/web',
    to: 'shop/db',
    port,
    expect: 'allow',
    ...more,
  };
  const { probes, skipped } = planTest(RESOURCES, [asked]);
  const [probe] = probes;
  return probe === undefined ? (skipped[0]?.reason ?? '') : (probe.port ?? 'ping');
}

describe('a case of a policy test', () => {
  it.each<readonly [string, string | number]>([
    ['tcp/80', 80],
    ['80/TCP', 80],
    ['tcp/sql', 5432],
    ['sql/tcp', 5432],
    ['ping', 'ping'],
    ['tcp/0', 'only TCP and ping are asked'],
    ['tcp/dns', 'only TCP and ping are asked'],
    ['udp/53', 'only TCP and ping are asked'],
    ['icmp/8', 'only TCP and ping are asked'],
    ['protocol/47', 'only TCP and ping are asked'],
    ['tcp/99999', '"tcp/99999" is no traffic'],
    ['tcpp/80', '"tcpp/80" is no traffic'],
  ])('about %s: %s', (port, asked) => {
    expect(planned(port)).toBe(asked);
  });

  it('is between workloads, from a port of their own', () => {
    expect(planned('tcp/80', { from: 'external' })).toBe('only workloads are asked, by workloads');
    expect(planned('tcp/80', { sourcePort: 53 })).toBe('probes choose their own source port');
  });
});
