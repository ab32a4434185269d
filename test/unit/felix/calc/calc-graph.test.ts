// What the graph promises as a whole: when it speaks, what it takes for absent, how it merges.

import { describe, expect, it } from '@jest/globals';
import { CalcGraph } from '../../../../agents/felix/calc/calc-graph.ts';
import type { CalcMessage } from '../../../../agents/felix/calc/messages.ts';
import { SelectorSequencer } from '../../../../agents/felix/calc/selector-sequencer.ts';
import { keyOf } from '../../../../lib/model/keys.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';
import type { EndpointTier } from '../../../../lib/policy/compiled.ts';

const API = 'projectcalico.org/v3';
const HOST = 'node-1';
const endpoint = (pod: string, labels: Record<string, string>, ip = '10.0.0.1/32'): Resource => ({
  apiVersion: API,
  kind: 'WorkloadEndpoint',
  metadata: { name: `node--1-k8s-${pod}-eth0`, namespace: 'default', labels },
  spec: {
    node: HOST,
    orchestrator: 'k8s',
    pod,
    endpoint: 'eth0',
    interfaceName: `cali${pod}`,
    ipNetworks: [ip],
    profiles: ['kns.default'],
  },
});
const policy = (name: string, spec: object): Resource => ({
  apiVersion: API,
  kind: 'GlobalNetworkPolicy',
  metadata: { name },
  spec: { tier: 'default', types: ['Ingress'], selector: "role == 'web'", ...spec },
});
const tier = (name: string, spec: object): Resource => ({
  apiVersion: API,
  kind: 'Tier',
  metadata: { name },
  spec,
});

class Driver {
  readonly graph = new CalcGraph({ hostname: HOST });
  private revision = 0;

  put(...resources: readonly Resource[]): this {
    for (const value of resources)
      this.graph.onUpdate({ key: keyOf(value), value, revision: ++this.revision });
    return this;
  }

  delete(...resources: readonly Resource[]): this {
    for (const resource of resources) {
      this.graph.onUpdate({ key: keyOf(resource), value: undefined, revision: ++this.revision });
    }
    return this;
  }

  flush(): readonly CalcMessage[] {
    return this.graph.flush().messages;
  }

  types(): string[] {
    return this.flush().map(({ type }) => type);
  }
}

const web = endpoint('web', { role: 'web' });
const allowDb = policy('allow-db', { ingress: [{ action: 'Allow', source: { selector: "role == 'db'" } }] });

describe('CalcGraph', () => {
  it('says nothing before it is in sync, then everything in order, and that it is in sync last', () => {
    const driver = new Driver().put(allowDb, web);
    expect(driver.types()).toEqual([]);
    driver.graph.onInSync();
    expect(driver.types()).toEqual([
      'configUpdate',
      'identityUpdate',
      'memberUpdate',
      'selectorUpdate',
      'policyUpdate',
      'profileUpdate',
      'workloadEndpointUpdate',
      'routeUpdate',
      'encapsulationUpdate',
      'inSync',
    ]);
    expect(driver.types()).toEqual([]);
  });

  it('removes the other way round', () => {
    const driver = new Driver().put(allowDb, web);
    driver.graph.onInSync();
    driver.flush();
    expect(driver.delete(allowDb, web).types()).toEqual([
      'workloadEndpointRemove',
      'profileRemove',
      'policyRemove',
      'selectorRemove',
      'memberRemove',
      'identityRemove',
      'routeRemove',
    ]);
  });

  it('carries the highest revision it was given, also without a change', () => {
    const driver = new Driver().put(web);
    driver.graph.onInSync();
    expect(driver.graph.flush().revision).toBe(1);
    driver.graph.onRevision(40);
    expect(driver.graph.flush()).toEqual({ messages: [], revision: 40, invalid: [] });
    driver.graph.onRevision(7);
    expect(driver.graph.flush().revision).toBe(40);
  });

  it('a change that is taken back before the flush is none', () => {
    const driver = new Driver().put(web, allowDb);
    driver.graph.onInSync();
    driver.flush();
    driver.graph.onUpdate({ key: keyOf(web), value: undefined, revision: 3 });
    driver.graph.onUpdate({ key: keyOf(web), value: web, revision: 1 });
    expect(driver.flush()).toEqual([]);
  });

  it('an endpoint with known labels costs one member, one endpoint and one route', () => {
    const driver = new Driver().put(web, allowDb);
    driver.graph.onInSync();
    driver.flush();
    expect(driver.put(endpoint('web2', { role: 'web' }, '10.0.0.2/32')).types()).toEqual([
      'memberUpdate',
      'workloadEndpointUpdate',
      'routeUpdate',
    ]);
  });

  it('a label that a policy starts to select adds an identity to its selector', () => {
    const driver = new Driver().put(web, allowDb);
    driver.graph.onInSync();
    driver.flush();
    const messages = driver.put(endpoint('db', { role: 'db' }, '10.0.0.9/32')).flush();
    expect(messages).toContainEqual(
      expect.objectContaining({ type: 'selectorDelta', added: [2], removed: [] }),
    );
    const changed = driver.put(endpoint('db', { role: 'cache' }, '10.0.0.9/32')).flush();
    expect(changed.map(({ type }) => type)).toEqual([
      'identityUpdate',
      'memberUpdate',
      'selectorDelta',
      'workloadEndpointUpdate',
      'identityRemove',
    ]);
    expect(changed).toContainEqual(
      expect.objectContaining({ type: 'selectorDelta', added: [], removed: [2] }),
    );
  });

  it('an identity’s number is never given out again', () => {
    const driver = new Driver().put(web);
    driver.graph.onInSync();
    const numbers: number[] = [];
    for (let round = 0; round < 3; round++) {
      for (const message of driver.flush()) {
        if (message.type === 'identityUpdate') numbers.push(message.identity.id);
      }
      driver.delete(web).flush();
      driver.put(web);
    }
    expect(numbers).toEqual([1, 2, 3]);
  });

  it('an endpoint that stops matching loses the policy, and the policy goes', () => {
    const driver = new Driver().put(web, allowDb);
    driver.graph.onInSync();
    driver.flush();
    const messages = driver.put(endpoint('web', { role: 'other' })).flush();
    expect(messages).toContainEqual(
      expect.objectContaining({
        type: 'workloadEndpointUpdate',
        endpoint: expect.objectContaining({ tiers: [] }),
      }),
    );
    expect(messages.map(({ type }) => type)).toContain('policyRemove');
  });

  it('a tier that comes, changes and goes reorders the policies of endpoints', () => {
    const other = policy('other', { tier: 'platform' });
    const driver = new Driver().put(web, allowDb, other);
    driver.graph.onInSync();
    const tiersAfter = (messages: readonly CalcMessage[]): unknown[] =>
      messages.flatMap((message) =>
        message.type === 'workloadEndpointUpdate'
          ? [message.endpoint.tiers.map(({ name, defaultAction }) => `${name} ${defaultAction}`)]
          : [],
      );
    expect(tiersAfter(driver.flush())).toEqual([['default deny', 'platform deny']]);
    driver.put(
      tier('default', { order: 1_000_000, defaultAction: 'Deny' }),
      tier('platform', { order: 5, defaultAction: 'Pass' }),
    );
    expect(tiersAfter(driver.flush())).toEqual([['platform pass', 'default deny']]);
    driver.put(tier('platform', { order: 2_000_000, defaultAction: 'Pass' }));
    expect(tiersAfter(driver.flush())).toEqual([['default deny', 'platform pass']]);
    driver.delete(tier('default', {}));
    expect(tiersAfter(driver.flush())).toEqual([['platform pass', 'default deny']]);
  });

  it('endpoints that are alike share one list of policies, each leaves it with its labels, and a change reaches all', () => {
    const [one, two] = [endpoint('one', { role: 'web' }), endpoint('two', { role: 'web' }, '10.0.0.2/32')];
    const driver = new Driver().put(tier('default', { order: 100 }), allowDb, one, two);
    driver.graph.onInSync();
    const tiersOf = (): readonly (readonly EndpointTier[])[] =>
      driver
        .flush()
        .flatMap((message) => (message.type === 'workloadEndpointUpdate' ? [message.endpoint.tiers] : []));
    const [first, second] = tiersOf();
    expect(first?.[0]?.ingress.map(({ name }) => name)).toEqual(['allow-db']);
    expect(second).toBe(first);
    driver.put(policy('allow-all', { order: 1, ingress: [{ action: 'Allow' }] }));
    const [third, fourth] = tiersOf();
    expect(third?.[0]?.ingress.map(({ name }) => name)).toEqual(['allow-all', 'allow-db']);
    expect(fourth).toBe(third);
    driver.put(endpoint('two', { role: 'db' }, '10.0.0.2/32'));
    expect(tiersOf()).toEqual([[]]);
    driver.put(endpoint('two', { role: 'web' }, '10.0.0.2/32')).delete(one);
    expect(tiersOf()).toEqual([third]);
  });

  it('a staged policy is listed where it would apply; a staged deletion is no policy', () => {
    const staged = (name: string, spec: object): Resource => ({
      ...policy(name, spec),
      kind: 'StagedGlobalNetworkPolicy',
    });
    const driver = new Driver().put(
      web,
      staged('try', { stagedAction: 'Set' }),
      staged('end', { stagedAction: 'Delete' }),
    );
    driver.graph.onInSync();
    const policies = driver
      .flush()
      .flatMap((message) => (message.type === 'policyUpdate' ? [message.policy] : []));
    expect(policies.map(({ id, staged: isStaged }) => [id.name, isStaged])).toEqual([['try', true]]);
  });

  it('the profile that allows everything is there without being stored', () => {
    const open: Resource = {
      ...web,
      spec: { ...(web.spec as object), profiles: ['projectcalico-default-allow'] },
    };
    const driver = new Driver().put(open);
    driver.graph.onInSync();
    const profiles = driver
      .flush()
      .flatMap((message) => (message.type === 'profileUpdate' ? [message.profile] : []));
    expect(profiles).toMatchObject([
      { exists: true, ingress: [{ verdict: 'allow' }], egress: [{ verdict: 'allow' }] },
    ]);
    expect(driver.graph.counts().profiles).toBe(0);
  });

  it('an endpoint that has no address yet is not there', () => {
    const bare: Resource = { ...web, spec: { ...(web.spec as object), ipNetworks: [] } };
    const driver = new Driver().put(web);
    driver.graph.onInSync();
    driver.flush();
    expect(driver.put(bare).types()).toContain('workloadEndpointRemove');
  });

  it('settings of this host override those selected for it, and they the global ones, name by name', () => {
    const felix = (name: string, spec: object, creationTimestamp = '2026-01-01T00:00:00Z'): Resource => ({
      apiVersion: API,
      kind: 'FelixConfiguration',
      metadata: { name, creationTimestamp },
      spec,
    });
    const node = (labels: Record<string, string>): Resource => ({
      apiVersion: API,
      kind: 'Node',
      metadata: { name: HOST, labels },
      spec: {},
    });
    const configOf = (messages: readonly CalcMessage[]): unknown[] =>
      messages.flatMap((message) => (message.type === 'configUpdate' ? [message.config] : []));
    const driver = new Driver().put(
      felix(`node.${HOST}`, { logSeverityScreen: 'Debug' }),
      felix('default', { logSeverityScreen: 'Info', interfacePrefix: 'cali', floatingIPs: 'Disabled' }),
      felix('node.other', { interfacePrefix: 'tap' }),
      felix('new', { nodeSelector: "rack == '1'", floatingIPs: 'Enabled' }, '2026-03-01T00:00:00Z'),
      felix('old', { nodeSelector: 'has(rack)', interfacePrefix: 'cali,tap' }, '2026-02-01T00:00:00Z'),
    );
    driver.graph.onInSync();
    const withoutNode = { logSeverityScreen: 'Debug', interfacePrefix: 'cali', floatingIPs: 'Disabled' };
    expect(configOf(driver.flush())).toEqual([withoutNode]);
    driver.put(node({ rack: '1' }));
    expect(configOf(driver.flush())).toEqual([{ ...withoutNode, interfacePrefix: 'cali,tap' }]);
    driver.delete(felix('old', {}));
    expect(configOf(driver.flush())).toEqual([{ ...withoutNode, floatingIPs: 'Enabled' }]);
    driver.put(node({ rack: '2' }));
    expect(configOf(driver.flush())).toEqual([withoutNode]);
  });
});

describe('values that cannot be used', () => {
  const key = keyOf(allowDb);
  it.each([
    ['a text', 'garbage'],
    ['another kind', tier('allow-db', {})],
    ['rules that are no list', { ...allowDb, spec: { ...(allowDb.spec as object), ingress: 'all' } }],
    ['a selector that does not parse', policy('allow-db', { selector: 'role ==' })],
    ['metadata that is no object', { ...allowDb, metadata: 7 }],
  ])('%s counts as absent and is told of', (_what, value) => {
    const driver = new Driver().put(web, allowDb);
    driver.graph.onInSync();
    driver.flush();
    driver.graph.onUpdate({ key, value, revision: 9 });
    const { messages, invalid } = driver.graph.flush();
    expect(messages.map(({ type }) => type)).toContain('policyRemove');
    expect(invalid).toEqual([{ key, revision: 9, reason: expect.any(String) }]);
    expect(driver.put(allowDb).types()).toContain('policyUpdate');
  });

  it('a block that is none counts as absent', () => {
    const driver = new Driver();
    driver.graph.onInSync();
    const blockPath = '/calico/ipam/v2/assignment/ipv4/block/10.0.0.0-29';
    driver.graph.onUpdate({ key: blockPath, value: { affinity: 'host:node-2' }, revision: 1 });
    expect(driver.types()).toContain('routeUpdate');
    driver.graph.onUpdate({
      key: blockPath,
      value: { affinity: 'host:node-2', allocations: 'all' },
      revision: 2,
    });
    const { messages, invalid } = driver.graph.flush();
    expect(messages).toEqual([{ type: 'routeRemove', dst: '10.0.0.0/29' }]);
    expect(invalid).toEqual([{ key: blockPath, revision: 2, reason: 'not an IPAM block' }]);
  });

  it('keys of no interest are passed over', () => {
    const driver = new Driver();
    driver.graph.onInSync();
    driver.flush();
    for (const path of [
      '/calico/resources/v3/projectcalico.org/bgpfilters/x',
      '/calico/ipam/v2/handle/x',
      '/registry/pods/x',
    ]) {
      driver.graph.onUpdate({ key: path, value: 'anything', revision: 3 });
    }
    expect(driver.graph.flush()).toEqual({ messages: [], revision: 3, invalid: [] });
  });
});

describe('SelectorSequencer', () => {
  const matching = new Set<number>();
  const selector = { id: 's:x', canonical: 'all()' };

  it('merges what was added and taken away again', () => {
    const sequencer = new SelectorSequencer(() => matching);
    sequencer.activate(selector);
    expect(sequencer.takeUpdates()).toEqual([{ type: 'selectorUpdate', selector, identities: [] }]);
    sequencer.add('s:x', 3);
    sequencer.remove('s:x', 3);
    sequencer.remove('s:x', 4);
    sequencer.add('s:x', 4);
    expect(sequencer.takeUpdates()).toEqual([]);
    sequencer.add('s:x', 6);
    sequencer.add('s:x', 5);
    expect(sequencer.takeUpdates()).toEqual([
      { type: 'selectorDelta', id: 's:x', added: [5, 6], removed: [] },
    ]);
  });

  it('sends a selector whole that went and came back, and no word of one that came and went', () => {
    const sequencer = new SelectorSequencer(() => matching);
    sequencer.activate(selector);
    sequencer.deactivate('s:x');
    expect([...sequencer.takeUpdates(), ...sequencer.takeRemoves()]).toEqual([]);
    sequencer.activate(selector);
    sequencer.takeUpdates();
    sequencer.deactivate('s:x');
    sequencer.activate(selector);
    expect([...sequencer.takeUpdates(), ...sequencer.takeRemoves()]).toEqual([
      { type: 'selectorUpdate', selector, identities: [] },
    ]);
    sequencer.deactivate('s:x');
    expect(sequencer.takeRemoves()).toEqual([{ type: 'selectorRemove', id: 's:x' }]);
  });
});
