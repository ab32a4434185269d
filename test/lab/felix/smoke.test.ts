import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { CalcMessage } from '../../../agents/felix/calc/messages.ts';
import { Probe, probeAll, Servers } from './support/probes.ts';
import { countDenials, Fabric, TestHost } from './support/test-host.ts';
import { createLogger } from '../../../lib/logging/logger.ts';

const noSide = { nets: [], notNets: [], selectors: [], notSelectors: [], ports: [], namedPorts: [], notPorts: [], notNamedPorts: [] };

describe('smoke', () => {
  let fabric: Fabric; let host: TestHost; const servers = new Servers();
  beforeAll(async () => {
    fabric = await Fabric.create();
    host = await TestHost.create(fabric, 'n1', '172.30.0.11', createLogger({component: 'felix', host: 'n1', level: 'debug'}));
  });
  afterAll(async () => { servers.close(); await host?.close(); fabric?.close(); });
  it('works', async () => {
    await host.dataplane.start();
    const a = await host.addPod('default', 'a', ['10.80.0.2', 'fd00:80::2']);
    const b = await host.addPod('default', 'b', ['10.80.0.3', 'fd00:80::3']);
    const wep = (name: string, iface: string, mac: string, ip: string, ip6: string, identity: number, tiers: any[]): CalcMessage => ({ type: 'workloadEndpointUpdate', endpoint: {
      id: { host: 'n1', orchestrator: 'k8s', workload: `default/${name}`, endpoint: 'eth0' }, interfaceName: iface, mac, nets4: [`${ip}/32`], nets6: [`${ip6}/128`],
      allowSpoofedSourcePrefixes: [], profiles: ['kns.default'], tiers, identity, revision: 1 } });
    const t = performance.now();
    const np = { kind: 'NetworkPolicy', namespace: 'default', name: 'p' } as const;
    const rule = (index: number, more: object) => ({ ref: { type: 'policy', policy: np, direction: 'ingress', index }, verdict: 'allow', ipVersion: undefined, protocol: 6, notProtocol: undefined, icmp: undefined, notIcmp: undefined, source: noSide, destination: noSide, ...more } as any);
    const ack = await host.dataplane.apply({ revision: 5, invalid: [], messages: [
      { type: 'identityUpdate', identity: { id: 1, labels: { app: 'a' }, ports: [] } },
      { type: 'identityUpdate', identity: { id: 2, labels: { app: 'b' }, ports: [] } },
      { type: 'memberUpdate', net: '10.80.0.2/32', identities: [1] }, { type: 'memberUpdate', net: '10.80.0.3/32', identities: [2] },
      { type: 'memberUpdate', net: 'fd00:80::2/128', identities: [1] }, { type: 'memberUpdate', net: 'fd00:80::3/128', identities: [2] },
      { type: 'selectorUpdate', selector: { id: 's:a', canonical: "app == 'a'" }, identities: [1] },
      { type: 'policyUpdate', policy: { id: np, tier: 'default', ingress: [
        rule(0, { source: { ...noSide, selectors: ['s:a'] }, destination: { ...noSide, ports: [{ min: 80, max: 81 }] } }),
        rule(1, { source: { ...noSide, nets: ['10.0.0.0/8'], notNets: ['10.80.0.3/32'] }, destination: { ...noSide, ports: [{ min: 8000, max: 8100 }] } }),
        rule(2, { protocol: 1, icmp: { type: 8, code: undefined }, source: { ...noSide, notSelectors: ['s:b'] } }),
      ], egress: [], governs: { ingress: true, egress: false }, staged: false, untracked: false, preDnat: false, applyOnForward: false, revision: 3 } },
      { type: 'profileUpdate', profile: { name: 'kns.default', exists: true, ingress: [rule(0, { protocol: undefined, ref: { type: 'profile', profile: 'kns.default', direction: 'ingress', index: 0 } })], egress: [rule(0, { protocol: undefined, ref: { type: 'profile', profile: 'kns.default', direction: 'egress', index: 0 } })] } },
      wep('a', a.interfaceName, a.mac, '10.80.0.2', 'fd00:80::2', 1, []),
      wep('b', b.interfaceName, b.mac, '10.80.0.3', 'fd00:80::3', 2, [{ name: 'default', defaultAction: 'deny', ingress: [np], egress: [] }]),
      { type: 'inSync' },
    ] });
    console.log(ack, performance.now() - t);
    await host.dataplane.waitForEndpoint('n1/k8s/default/b/eth0', 1, AbortSignal.timeout(3000));
    await host.dataplane.waitForEndpoint('n1/k8s/default/a/eth0', 1, AbortSignal.timeout(3000));
    console.log(await host.namespace.exec('nft', 'list', 'table', 'inet', 'calico'));
    console.log(await host.namespace.exec('ip', 'route'), host.events);
    for (const [ip, p] of [['10.80.0.3', b], ['fd00:80::3', b], ['10.80.0.2', a]] as const) for (const port of [80, 82, 8050]) servers.add(p.namespace, ip, 'TCP', port);
    const probes: Probe[] = [80, 82, 8050].flatMap((port) => [
      { name: `v4 ${port}`, from: a.namespace, fromAddress: '10.80.0.2', to: '10.80.0.3', protocol: 'TCP' as const, port },
      { name: `v6 ${port}`, from: a.namespace, fromAddress: 'fd00:80::2', to: 'fd00:80::3', protocol: 'TCP' as const, port },
      { name: `back ${port}`, from: b.namespace, fromAddress: '10.80.0.3', to: '10.80.0.2', protocol: 'TCP' as const, port },
    ]);
    probes.push({ name: 'icmp', from: a.namespace, fromAddress: '10.80.0.2', to: '10.80.0.3', protocol: 'ICMP' });
    const v = await probeAll(probes, servers, () => countDenials([host]));
    console.log(probes.map((p, i) => `${p.name}=${v[i]}`).join(' '));
    console.log(await host.namespace.exec('nft', 'list', 'set', 'inet', 'calico', 'dlog4_v1'));
    expect(1).toBe(1);
  }, 30000);
});
