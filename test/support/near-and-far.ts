// Two workloads on two hosts, each with a port that answers: for beds that need no more, and bring policies of their own.

import type { NetpolCase } from './netpol-case.ts';

const PORTS = [{ port: 80, protocol: 'TCP' as const }];

/** `red/near` on n1 and `red/far` on n2. */
export function nearAndFar(id: string, title: string): NetpolCase {
  return {
    id,
    title,
    cluster: {
      podCIDR: '10.80.0.0/24',
      nodes: [
        { name: 'n1', ip: '172.30.0.11' },
        { name: 'n2', ip: '172.30.0.12' },
      ],
      namespaces: [{ name: 'red' }],
      pods: [
        { namespace: 'red', name: 'near', node: 'n1', ip: '10.80.0.2', ports: PORTS },
        { namespace: 'red', name: 'far', node: 'n2', ip: '10.80.0.66', ports: PORTS },
      ],
    },
    steps: [],
  };
}
