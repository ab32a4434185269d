// What a check of the stored records finds: leaks, doubled and lost addresses, handles, affinities, hosts that have left.

import { beforeEach, describe, expect, it } from '@jest/globals';
import { renderAudit } from '../../../cli/output/ipam.ts';
import type { Ipam } from '../../../lib/ipam/allocator.ts';
import { type AddressUser, addressUsers, unreadableUsers } from '../../../lib/ipam/audit.ts';
import { encodeAffinity, encodeHandle } from '../../../lib/ipam/block-json.ts';
import { inspectIpam } from '../../../lib/ipam/inspection.ts';
import type { CalicoNode, WorkloadEndpoint } from '../../../lib/model/endpoint-types.ts';
import { blockAffinityKey, blockKey, handleKey } from '../../../lib/model/ipam-keys.ts';
import { keyForResource } from '../../../lib/model/keys.ts';
import { formatCidr } from '../../../lib/net/ip.ts';
import { IpamFixture } from '../../support/ipam-fixture.ts';

let fixture: IpamFixture;
let ipam: Ipam;

beforeEach(async () => {
  fixture = await IpamFixture.create({ pools: { pool: { cidr: '10.0.0.0/24', blockSize: 29 } } });
  ipam = fixture.ipam();
});

async function assignPod(node: string, pod: string, count = 1): Promise<string[]> {
  const attributes = { node, namespace: 'ns', pod };
  const { v4 } = await ipam.autoAssign({
    host: node,
    use: 'Workload',
    v4: count,
    handle: `h-${pod}`,
    attributes,
  });
  return v4.addresses.map(({ ip }) => ip);
}

function podUser(node: string, pod: string, ips: readonly string[]): AddressUser {
  return { kind: 'workload', name: `ns/${pod}`, node, namespace: 'ns', pod, ips };
}

const NODES = new Set(['a', 'b']);

describe('audit', () => {
  it('finds nothing where everything fits', async () => {
    const users = [
      podUser('a', 'p', await assignPod('a', 'p')),
      podUser('b', 'q', await assignPod('b', 'q')),
    ];
    const audit = await ipam.audit(users, NODES);
    expect(audit.allocations.map(({ state }) => state)).toEqual(['inUse', 'inUse']);
    const { allocations: _, ...findings } = audit;
    expect(Object.values(findings).flat()).toEqual([]);
  });

  it('takes an address whose pod is gone, or runs on another node, for a leak', async () => {
    const [first = ''] = await assignPod('a', 'p');
    const [second = ''] = await assignPod('a', 'q');
    const audit = await ipam.audit([podUser('b', 'q', [second])], NODES);
    expect(audit.leaked.map(({ ip, state }) => [ip, state])).toEqual([
      [first, 'gone'],
      [second, 'gone'],
    ]);
    expect(audit.leakedHandles).toEqual(['h-p', 'h-q']);
    expect(audit.departedHosts).toEqual([]);
  });

  it('is certain at once where the node is gone too, and names the host to be removed', async () => {
    await assignPod('a', 'p');
    const audit = await ipam.audit([], new Set(['b']));
    expect(audit.leaked.map(({ state }) => state)).toEqual(['nodeGone']);
    expect(audit.departedHosts).toEqual(['a']);
  });

  it('keeps a handle of which one address is in use, and a pod whose addresses are not known yet', async () => {
    const [used = ''] = await assignPod('a', 'two', 2);
    await assignPod('a', 'young');
    const audit = await ipam.audit([podUser('a', 'two', [used]), podUser('a', 'young', [])], NODES);
    expect(audit.leaked).toHaveLength(1);
    expect(audit.leakedHandles).toEqual([]);
  });

  it('never takes a tunnel of a living node, or an address of unknown use, for a leak', async () => {
    const tunnel = { node: 'a', type: 'vxlanTunnelAddress' };
    await ipam.autoAssign({
      host: 'a',
      use: 'Tunnel',
      v4: 1,
      handle: 'vxlan-tunnel-addr-a',
      attributes: tunnel,
    });
    await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1, handle: 'plain', attributes: { node: 'a' } });
    const alive = await ipam.audit([], NODES);
    expect(alive.allocations.map(({ state }) => state)).toEqual(['inUse', 'unknown']);
    const gone = await ipam.audit([], new Set(['b']));
    expect(gone.leaked.map(({ handle }) => handle)).toEqual(['vxlan-tunnel-addr-a']);
    // The address of unknown use keeps the host.
    expect(gone.departedHosts).toEqual([]);
  });

  it('finds addresses used twice, used without being allocated, and outside all pools', async () => {
    const [ip = ''] = await assignPod('a', 'p');
    const users = [podUser('a', 'p', [ip]), podUser('b', 'twin', [ip, '10.0.0.200', '192.0.2.1'])];
    const audit = await ipam.audit(users, NODES);
    expect(audit.doubled.map((doubled) => [doubled.ip, doubled.users.length])).toEqual([[ip, 2]]);
    expect(audit.unallocated.map((found) => found.ip)).toEqual(['10.0.0.200']);
    expect(audit.outsidePools.map((found) => found.ip)).toEqual(['192.0.2.1']);
  });

  it('takes what a workload endpoint that cannot be read may hold for in use', async () => {
    await assignPod('a', 'broken', 2);
    const [other = ''] = await assignPod('a', 'other');
    const users = unreadableUsers([
      {
        ref: { kind: 'WorkloadEndpoint', namespace: 'ns', name: 'a-k8s-broken-eth0' },
      },
      {
        ref: { kind: 'WorkloadEndpoint', namespace: 'ns', name: 'a-cni-0123-eth0' },
      },
    ]);
    const audit = await ipam.audit(users, NODES);
    expect(audit.leaked.map(({ ip }) => ip)).toEqual([other]);
    expect(audit.leakedHandles).toEqual(['h-other']);
    expect((await ipam.audit(users, new Set(['b']))).departedHosts).toEqual([]);
  });

  it('says of the datastore what cannot be read, and nothing of it is leaked', async () => {
    await assignPod('a', 'broken');
    const name = 'a-k8s-broken-eth0';
    await fixture.put(keyForResource('WorkloadEndpoint', 'ns', name), '{');
    await fixture.put(keyForResource('Node', undefined, 'a'), {
      kind: 'Node',
      metadata: { name: 'a' },
      spec: 4,
    });
    const audit = await inspectIpam(fixture.datastore).audit();
    expect([audit.leaked, audit.departedHosts]).toEqual([[], []]);
    expect(audit.unreadable.map(({ ref, reason }) => `${ref.kind} ${ref.name}: ${reason}`)).toEqual([
      `WorkloadEndpoint ${name}: it is no JSON`,
      'Node a: spec must be an object',
    ]);
    expect(renderAudit(audit, { all: false, problems: true })).toContain(
      `  WorkloadEndpoint/ns/${name}: it is no JSON\n`,
    );
  });

  it('takes every address of a namespace for in use where not even the key says whose it is', async () => {
    await assignPod('a', 'p');
    const users = unreadableUsers([{ ref: { kind: 'WorkloadEndpoint', namespace: 'ns', name: 'what' } }]);
    expect((await ipam.audit(users, NODES)).leaked).toEqual([]);
    const elsewhere = users.map((user) => ({ ...user, namespace: 'other' }));
    expect((await ipam.audit(elsewhere, NODES)).leaked).toHaveLength(1);
  });

  it('knows no address of a pod of which one is no address', async () => {
    await assignPod('a', 'p');
    expect((await ipam.audit([podUser('a', 'p', ['10.0.0.'])], NODES)).leaked).toEqual([]);
  });

  it('concludes nothing from a block that cannot be read', async () => {
    const [ip = ''] = await assignPod('a', 'p');
    const { block } = await ipam.ownerOfAddress(ip);
    await fixture.put(blockKey(formatCidr(block)), '{');
    const audit = await ipam.audit([podUser('a', 'p', [ip])], new Set(['b']));
    expect(audit.brokenBlocks.map(({ block: cidr }) => cidr)).toEqual([formatCidr(block)]);
    expect({ ...audit, allocations: [], brokenBlocks: [] }).toMatchObject({
      unallocated: [],
      emptyHandles: [],
      affinityProblems: [],
      departedHosts: [],
    });
    expect(await ipam.deleteUnusedHandle('h-p')).toBe(false);
  });

  it('finds handles without addresses and addresses without their handle', async () => {
    const [ip] = await assignPod('a', 'p');
    const key = handleKey('h-p');
    await fixture.datastore.transact({ compare: [], success: [{ type: 'delete', key }] });
    await fixture.put(handleKey('stray'), encodeHandle(new Map([['10.0.0.0/29', 1]])));
    const audit = await ipam.audit([], NODES);
    expect(audit.withoutHandle.map((allocation) => allocation.ip)).toEqual([ip]);
    expect(audit.emptyHandles).toEqual(['stray']);
    expect(await ipam.deleteUnusedHandle('stray')).toBe(true);
  });

  it('finds affinities and blocks that do not agree', async () => {
    const { v4 } = await ipam.autoAssign({ host: 'a', use: 'Workload', v4: 1 });
    const block = v4.addresses[0]?.block ?? '';
    await fixture.put(blockAffinityKey('a', block), encodeAffinity('pending'));
    await fixture.put(blockAffinityKey('b', block), encodeAffinity('confirmed'));
    await fixture.put(blockAffinityKey('b', '10.0.0.248/29'), encodeAffinity('confirmed'));
    const { affinityProblems } = await ipam.audit([], NODES);
    expect(affinityProblems.map(({ owner, reason }) => `${owner.host} ${reason}`).sort()).toEqual([
      'a unconfirmed',
      'b blockMissing',
      'b blockOfOther',
    ]);
  });

  it('finds empty blocks, and a block whose addresses do not add up', async () => {
    await assignPod('a', 'p');
    await ipam.releaseByHandle('h-p');
    const audit = await ipam.audit([], NODES);
    const [empty] = audit.emptyBlocks;
    expect(empty?.owner).toEqual({ type: 'host', host: 'a' });
    const key = blockKey(empty?.block ?? '');
    const json = JSON.parse((await fixture.get(key)) ?? '') as { unallocated: number[] };
    await fixture.put(key, { ...json, unallocated: json.unallocated.slice(1) });
    const { brokenBlocks } = await ipam.audit([], NODES);
    expect(brokenBlocks.map(({ problems }) => problems)).toEqual([['0 allocated and 7 free do not make 8']]);
  });
});

describe('addressUsers', () => {
  it('takes addresses of workload endpoints without their masks, and tunnels of nodes', () => {
    const endpoint: WorkloadEndpoint = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'WorkloadEndpoint',
      metadata: { name: 'a-k8s-p-eth0', namespace: 'ns' },
      spec: {
        orchestrator: 'k8s',
        node: 'a',
        pod: 'p',
        endpoint: 'eth0',
        ipNetworks: ['10.0.0.1/32', 'fd00::1/128'],
      },
    };
    const node: CalicoNode = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'Node',
      metadata: { name: 'a' },
      spec: { ipv4VXLANTunnelAddr: '10.0.0.9' },
    };
    expect(addressUsers([endpoint], [node])).toEqual([
      { kind: 'workload', name: 'ns/p', node: 'a', namespace: 'ns', pod: 'p', ips: ['10.0.0.1', 'fd00::1'] },
      { kind: 'tunnel', name: 'a', node: 'a', ips: ['10.0.0.9'] },
    ]);
  });
});
