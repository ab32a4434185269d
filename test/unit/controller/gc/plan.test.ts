import { describe, expect, it } from '@jest/globals';
import { absentHosts, IpamCandidates, kubernetesNodeOf, Observed } from '../../../../controller/gc/plan.ts';
import type { Audit, AuditedAllocation } from '../../../../lib/ipam/audit.ts';
import type { CalicoNode, WorkloadEndpoint } from '../../../../lib/model/endpoint-types.ts';

const NOTHING: Audit = {
  allocations: [],
  leaked: [],
  leakedHandles: [],
  doubled: [],
  unallocated: [],
  outsidePools: [],
  emptyHandles: [],
  withoutHandle: [],
  brokenBlocks: [],
  affinityProblems: [],
  emptyBlocks: [],
  departedHosts: [],
};
const TIMES = { graceMs: 1000, nodeGraceMs: 500 };

function allocation(ip: string, changes: Partial<AuditedAllocation> = {}): AuditedAllocation {
  return {
    ip,
    block: '10.65.0.0/26',
    pool: 'default',
    handle: 'k8s-pod-network.1',
    sequenceNumber: 1n,
    node: 'node-1',
    namespace: 'default',
    pod: 'web',
    type: undefined,
    timestamp: undefined,
    isBorrowed: false,
    state: 'gone',
    ...changes,
  };
}

function leaking(...leaked: AuditedAllocation[]): Audit {
  return {
    ...NOTHING,
    leaked,
    leakedHandles: leaked.flatMap(({ handle }) => handle ?? []),
    allocations: leaked,
  };
}

function node(name: string, orchRefs?: { nodeName?: string; orchestrator: string }[]): CalicoNode {
  const spec = orchRefs === undefined ? {} : { orchRefs };
  return { apiVersion: 'projectcalico.org/v3', kind: 'Node', metadata: { name }, spec };
}

function endpoint(host: string, orchestrator = 'k8s'): WorkloadEndpoint {
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'WorkloadEndpoint',
    metadata: { name: `${host}-k8s-web-eth0`, namespace: 'default' },
    spec: { node: host, orchestrator, endpoint: 'eth0', pod: 'web' },
  };
}

describe('Observed', () => {
  it('counts the time that something has been so without a break', () => {
    const observed = new Observed();
    observed.observe(['a', 'b'], 1000);
    observed.observe(['a'], 2000);
    observed.observe(['a', 'b'], 3000);
    expect(observed.longerThan(2000)).toEqual(['a']);
    expect(observed.longerThan(1)).toEqual(['a']);
  });

  it('counts nothing over a pause, a jump back, and little of a long sleep', () => {
    const observed = new Observed();
    observed.observe(['a'], 1000);
    observed.pause();
    observed.observe(['a'], 900_000);
    observed.observe(['a'], 800_000);
    expect(observed.longerThan(1)).toEqual([]);
    observed.observe(['a'], 100_000_000);
    expect(observed.longerThan(60_000)).toEqual(['a']);
    expect(observed.longerThan(60_001)).toEqual([]);
  });
});

describe('absentHosts', () => {
  const kubernetesNodes = new Set(['node-1']);
  const unreadableNodes = new Set<string>();

  it('names hosts of Kubernetes whose Node is gone, and no others', () => {
    const refs = [{ nodeName: 'kube-2', orchestrator: 'k8s' }];
    const calicoNodes = [
      node('node-1', [{ nodeName: 'node-1', orchestrator: 'k8s' }]),
      node('node-2', refs),
      node('docker-1'),
    ];
    expect([...absentHosts({ calicoNodes, endpoints: [], kubernetesNodes, unreadableNodes })]).toEqual([
      ['node-2', 'kube-2'],
    ]);
  });

  it('leaves a host alone whose Node cannot be read', () => {
    const view = { calicoNodes: [], endpoints: [endpoint('gone'), endpoint('broken')], kubernetesNodes };
    expect([...absentHosts({ ...view, unreadableNodes: new Set(['broken']) }).keys()]).toEqual(['gone']);
  });

  it('finds what an interrupted removal has left', () => {
    const endpoints = [endpoint('gone'), endpoint('node-1'), endpoint('other', 'cni')];
    expect([...absentHosts({ calicoNodes: [], endpoints, kubernetesNodes, unreadableNodes }).keys()]).toEqual(
      ['gone'],
    );
  });

  it('takes the name of the Node where the reference names none', () => {
    expect(kubernetesNodeOf(node('a', [{ orchestrator: 'k8s' }]))).toBe('a');
    expect(kubernetesNodeOf(node('a', [{ orchestrator: 'openstack' }]))).toBeUndefined();
  });
});

describe('IpamCandidates', () => {
  it('confirms a leak only after the grace period', () => {
    const candidates = new IpamCandidates();
    const audit = leaking(allocation('10.65.0.1'));
    expect(candidates.judge(audit, { ...TIMES, nowMs: 0 }).allocations).toEqual([]);
    expect(candidates.judge(audit, { ...TIMES, nowMs: 999 }).allocations).toEqual([]);
    expect(candidates.judge(audit, { ...TIMES, nowMs: 1000 }).allocations).toHaveLength(1);
  });

  it('starts anew when the address was assigned again meanwhile', () => {
    const candidates = new IpamCandidates();
    candidates.judge(leaking(allocation('10.65.0.1')), { ...TIMES, nowMs: 0 });
    const again = leaking(allocation('10.65.0.1', { sequenceNumber: 2n }));
    expect(candidates.judge(again, { ...TIMES, nowMs: 2000 }).allocations).toEqual([]);
  });

  it('takes at once what belonged to a host that has left, even with the grace period off', () => {
    const audit = leaking(allocation('10.65.0.1', { state: 'nodeGone' }));
    const now = new IpamCandidates().judge(audit, { ...TIMES, graceMs: 0, nowMs: 0 });
    expect(now.allocations.map(({ ip }) => ip)).toEqual(['10.65.0.1']);
    const off = new IpamCandidates();
    off.judge(leaking(allocation('10.65.0.1')), { ...TIMES, graceMs: 0, nowMs: 0 });
    expect(
      off.judge(leaking(allocation('10.65.0.1')), { ...TIMES, graceMs: 0, nowMs: 1e6 }).allocations,
    ).toEqual([]);
  });

  it('lets a handle go whole or not at all', () => {
    const candidates = new IpamCandidates();
    candidates.judge(leaking(allocation('10.65.0.1')), { ...TIMES, nowMs: 0 });
    const both = leaking(allocation('10.65.0.1'), allocation('10.65.0.2'));
    expect(candidates.judge(both, { ...TIMES, nowMs: 1500 }).allocations).toEqual([]);
    expect(candidates.judge(both, { ...TIMES, nowMs: 2500 }).allocations).toHaveLength(2);
    const used = { ...both, leakedHandles: [] };
    expect(candidates.judge(used, { ...TIMES, nowMs: 4000 }).allocations).toEqual([]);
  });

  it('leaves a host one empty block of each family', () => {
    const candidates = new IpamCandidates();
    const owner = { type: 'host', host: 'node-1' } as const;
    const emptyBlocks = [
      { block: '10.65.0.0/26', owner },
      { block: '10.65.0.64/26', owner },
      { block: 'fd00::/122', owner },
      { block: '10.65.9.0/26', owner: undefined },
    ];
    const audit = { ...NOTHING, emptyBlocks };
    candidates.judge(audit, { ...TIMES, nowMs: 0 });
    expect(candidates.judge(audit, { ...TIMES, nowMs: 1000 }).blocks.map(({ block }) => block)).toEqual([
      '10.65.0.64/26',
      '10.65.9.0/26',
    ]);
    const used = {
      ...audit,
      allocations: [allocation('10.65.5.1', { state: 'inUse', block: '10.65.5.0/26' })],
    };
    expect(candidates.judge(used, { ...TIMES, nowMs: 2500 }).blocks.map(({ block }) => block)).toEqual([
      '10.65.0.64/26',
      '10.65.9.0/26',
    ]);
    expect(candidates.judge(used, { ...TIMES, nowMs: 4000 }).blocks.map(({ block }) => block)).toContain(
      '10.65.0.0/26',
    );
  });
});
