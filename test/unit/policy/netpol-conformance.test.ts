// Every network policy case on the evaluator: each probe of each step has the stated outcome.

import { describe, expect, it } from '@jest/globals';
import { resolveCluster } from '../../../lib/policy/cluster.ts';
import { evaluate } from '../../../lib/policy/evaluate.ts';
import type { Packet } from '../../../lib/policy/evaluation/packet.ts';
import { loadNetpolCases, type NetpolProbe, NetpolWorld } from '../../support/netpol-case.ts';

const ECHO_REQUEST = { type: 8, code: 0 };
const PROTOCOL_NUMBERS = { ICMP: 1, TCP: 6, UDP: 17 } as const;

const cases = loadNetpolCases();

function packetOf(probe: NetpolProbe): Packet {
  const { fromAddress, toAddress, protocol, port } = probe;
  const base = { source: fromAddress, destination: toAddress, protocol: PROTOCOL_NUMBERS[protocol] };
  if (port === undefined) return { ...base, icmp: ECHO_REQUEST };
  return { ...base, sourcePort: 40_000, destinationPort: port };
}

const describeProbe = ({ from, to, protocol, port }: NetpolProbe): string =>
  `${from} → ${to} ${protocol} ${port ?? ''}`;

describe('network policy conformance', () => {
  it('has all cases', () => {
    expect(cases).toHaveLength(27);
  });

  it.each(cases)('$id: $title', (netpolCase) => {
    const world = new NetpolWorld(netpolCase);
    let probeCount = 0;
    for (const step of netpolCase.steps) {
      world.apply(step);
      const cluster = resolveCluster(world.resources());
      expect(cluster.problems).toEqual([]);
      const probes = world.probes(step);
      probeCount += probes.length;
      const outcomes = probes.map(
        (probe) => `${describeProbe(probe)}: ${evaluate(cluster, packetOf(probe)).isAllowed}`,
      );
      const expected = probes.map((probe) => `${describeProbe(probe)}: ${probe.isAllowed}`);
      expect({ step: step.name, outcomes }).toEqual({ step: step.name, outcomes: expected });
    }
    expect(probeCount).toBeGreaterThan(0);
  });
});
