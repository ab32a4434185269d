// What the CNI server does, in which order, and what is left when a step fails (CNI 1.1.0; deny until programmed).
import { describe, expect, it } from '@jest/globals';
import { CniFailure } from '../../../agents/cni/failure.ts';
import type { CniAnswer, CniError, CniResult } from '../../../lib/protocol/cni.ts';
import { CniFixture, cniRequest, Gate, POD_ARGS } from '../../support/cni-fixture.ts';

function errorOf(answer: CniAnswer): CniError {
  if ('error' in answer) return answer.error;
  throw new Error(`no error but ${JSON.stringify(answer)}`);
}
function resultOf(answer: CniAnswer): CniResult | undefined {
  if ('result' in answer) return answer.result;
  throw new Error(`no result but ${JSON.stringify(answer)}`);
}
const config = (changes: object) => ({ cniVersion: '1.0.0', name: 'net', type: 'calico', ...changes });

/** Nothing is held any more. */
function expectNothingLeft(fixture: CniFixture): void {
  expect([...fixture.endpoints.keys()]).toEqual([]);
  expect([...fixture.interfaces.keys()]).toEqual([]);
  expect([...fixture.addressesByHandle.keys()]).toEqual([]);
}

describe('ADD', () => {
  it('of a pod reads, makes its interface and gives back what it had, waits for its policies, assigns, addresses, writes and waits for the kernel, in this order', async () => {
    const fixture = new CniFixture();
    const result = resultOf(await fixture.handle(cniRequest({ args: POD_ARGS })));
    expect(fixture.steps).toEqual([
      ...['readPod', 'readNamespace', 'find', 'prepare', 'create', 'mirrored 77'],
      ...['assign', 'address', 'write', 'programmed 101'],
    ]);
    expect([...fixture.interfaceAddresses]).toEqual([[expect.stringMatching(/^cali/), ['10.65.0.1']]]);
    expect(result?.ips).toEqual([{ address: '10.65.0.1/32', interface: 1 }]);
    expect(fixture.events.map(({ kind }) => kind)).toEqual([
      'vethCreated',
      'cniWait',
      'endpointWritten',
      'cniAdd',
    ]);
    expect(fixture.events.at(-1)).toMatchObject({ object: 'Pod/shop/web-1', revision: 101 });
  });

  it('of a pod writes its labels, profiles and container id', async () => {
    const fixture = new CniFixture();
    await fixture.handle(cniRequest({ args: POD_ARGS }));
    const endpoint = fixture.endpoints.get('shop/node--1-k8s-web--1-eth0');
    expect(endpoint?.metadata.labels).toMatchObject({ app: 'web', 'projectcalico.org/namespace': 'shop' });
    expect(endpoint?.spec).toMatchObject({
      orchestrator: 'k8s',
      node: 'node-1',
      pod: 'web-1',
      containerID: 'c0ffee0123456789',
      ipNetworks: ['10.65.0.1/32'],
      profiles: expect.arrayContaining(['kns.shop']),
    });
    expect(endpoint?.spec?.interfaceName).toMatch(/^cali[0-9a-f]{11}$/);
  });

  it('of a plain container makes the profile of its network before the endpoint that names it', async () => {
    const fixture = new CniFixture();
    await fixture.handle(cniRequest());
    expect(fixture.steps).toEqual([
      'find',
      'prepare',
      'create',
      'assign',
      'address',
      'ensureProfile',
      'write',
      'programmed 101',
    ]);
    expect(fixture.profiles.get('net')?.spec).toEqual({
      egress: [{ action: 'Allow' }],
      ingress: [{ action: 'Allow', source: { selector: 'has(net)' } }],
      labelsToApply: { net: '' },
    });
    const endpoint = fixture.endpoints.get('default/node--1-cni-c0ffee0123456789-eth0');
    expect(endpoint?.spec).toMatchObject({ profiles: ['net'], interfaceName: 'calic0ffee01234' });
  });

  it.each(['prepare', 'assign', 'create', 'address', 'write', 'programmed 101'])(
    'leaves nothing behind when "%s" fails',
    async (step) => {
      const fixture = new CniFixture();
      fixture.failures.set(step, new Error('no'));
      const failure = errorOf(await fixture.handle(cniRequest({ args: POD_ARGS })));
      expect(failure.code).toBe(step.startsWith('programmed') ? 11 : 100);
      expectNothingLeft(fixture);
      expect(fixture.events.map(({ kind }) => kind)).not.toContain('cniAdd');
    },
  );

  it.each([
    ['address', 'write'],
    ['write', 'address'],
  ])('undoes both when "%s" fails beside "%s", once that has ended', async (failing, other) => {
    const fixture = new CniFixture();
    const gate = new Gate();
    fixture.failures.set(failing, new Error('no'));
    fixture.gates.set(other, gate);
    const answer = fixture.handle(cniRequest({ args: POD_ARGS }));
    while (!fixture.steps.includes(other)) await Promise.resolve();
    await new Promise((resolve) => setImmediate(resolve));
    expect(fixture.steps.slice(-2)).toEqual(['address', 'write']);
    gate.open();
    expect(errorOf(await answer).code).toBe(100);
    expect(fixture.steps.slice(-3)).toEqual(['removeEndpoint', 'removeInterface', 'release']);
    expectNothingLeft(fixture);
  });

  it('gives the endpoint and the interface one address of its own', async () => {
    const fixture = new CniFixture();
    await fixture.handle(cniRequest({ args: POD_ARGS }));
    const [made] = [...fixture.interfaces.values()];
    const [endpoint] = [...fixture.endpoints.values()];
    expect(made?.mac).toMatch(/^[0-9a-f][26ae](:[0-9a-f]{2}){5}$/);
    expect(endpoint?.spec?.mac).toBe(made?.mac);
  });

  it.each(['readPod', 'readNamespace', 'mirrored 77'])(
    'takes the interface away, once it is made, and takes nothing else when "%s" fails',
    async (step) => {
      const fixture = new CniFixture();
      const gate = new Gate();
      fixture.failures.set(step, new Error('no'));
      fixture.gates.set('create', gate);
      const answer = fixture.handle(cniRequest({ args: POD_ARGS }));
      while (!fixture.steps.includes(step) || !fixture.steps.includes('create')) await Promise.resolve();
      await new Promise((resolve) => setImmediate(resolve));
      expect(fixture.steps).not.toContain('removeInterface');
      gate.open();
      errorOf(await answer);
      expect(fixture.steps.at(-1)).toBe('removeInterface');
      expect(fixture.steps.filter((done) => /assign|address|write/.test(done))).toEqual([]);
      expectNothingLeft(fixture);
    },
  );

  describe('beside a container that runs under the same names', () => {
    const running = cniRequest({ args: POD_ARGS, containerId: 'old' });
    const run = async () => {
      const fixture = new CniFixture();
      resultOf(await fixture.handle(running));
      fixture.steps.length = 0;
      return {
        fixture,
        interfaces: [...fixture.interfaces.values()],
        endpoints: [...fixture.endpoints.values()],
      };
    };

    it.each([
      ...['readPod', 'readNamespace', 'mirrored 77', 'find', 'prepare', 'assign'].map((step) => [
        'new',
        step,
      ]),
      ['old', 'readPod'],
    ])(
      'of container "%s" leaves interface and endpoint as they are when "%s" fails',
      async (containerId, step) => {
        const { fixture, interfaces, endpoints } = await run();
        fixture.failures.set(step, new Error('no'));
        errorOf(await fixture.handle({ ...running, containerId }));
        expect(fixture.steps.filter((done) => /create|remove/.test(done))).toEqual([]);
        expect([...fixture.interfaces.values()]).toEqual(interfaces);
        expect([...fixture.endpoints.values()]).toEqual(endpoints);
        if (containerId === 'new') expect([...fixture.addressesByHandle.keys()]).toEqual(['net.old']);
      },
    );

    it('replaces its interface and endpoint once the new address is there', async () => {
      const { fixture, interfaces } = await run();
      resultOf(await fixture.handle({ ...running, containerId: 'new' }));
      expect(fixture.steps.slice(-5)).toEqual(['assign', 'create', 'address', 'write', 'programmed 102']);
      expect([...fixture.interfaces.values()]).not.toEqual(interfaces);
      expect([...fixture.endpoints.values()].map(({ spec }) => spec?.containerID)).toEqual(['new']);
    });
  });

  it.each([
    ['the kernel is behind', 'the dataplane has not programmed the endpoint in time: the kernel is behind'],
    ['', 'the dataplane has not programmed the endpoint in time'],
  ])('says what the dataplane waits for, if that is known: "%s"', async (awaited, message) => {
    const fixture = new CniFixture();
    fixture.awaited = awaited;
    fixture.failures.set('programmed 101', new Error('no'));
    expect(errorOf(await fixture.handle(cniRequest({ args: POD_ARGS }))).msg).toBe(message);
  });

  it.each([
    ['removeEndpoint', 0, 1],
    ['removeInterface', 1, 0],
  ])(
    'undoes in reverse, goes on when "%s" fails, and keeps the address that is still in use then',
    async (step, interfaces, endpoints) => {
      const fixture = new CniFixture();
      fixture.failures.set('programmed 101', new Error('no'));
      fixture.failures.set(step, new Error('busy'));
      errorOf(await fixture.handle(cniRequest()));
      expect(fixture.steps.slice(-3)).toEqual(['programmed 101', 'removeEndpoint', 'removeInterface']);
      expect([...fixture.addressesByHandle.keys()]).toEqual(['net.c0ffee0123456789']);
      expect([fixture.interfaces.size, fixture.endpoints.size]).toEqual([interfaces, endpoints]);
      fixture.failures.clear();
      await fixture.handle(cniRequest({ command: 'DEL' }));
      expect(fixture.addressesByHandle.size).toBe(0);
    },
  );

  it('is undone when its caller goes away half-way', async () => {
    const fixture = new CniFixture();
    const [gate, caller] = [new Gate(), new AbortController()];
    fixture.gates.set('programmed 101', gate);
    const answer = fixture.handle(cniRequest(), caller.signal);
    while (!fixture.steps.includes('programmed 101')) await Promise.resolve();
    caller.abort();
    gate.open();
    expect(errorOf(await answer).code).toBe(11);
    expectNothingLeft(fixture);
  });

  it('says "try again later" with the reason while the node takes no work', async () => {
    const fixture = new CniFixture();
    fixture.notReady = new CniFailure(11, 'the node takes no work: is etcd up?');
    expect(errorOf(await fixture.handle(cniRequest()))).toMatchObject({
      code: 11,
      msg: expect.stringContaining('etcd'),
    });
    expect(fixture.steps).toEqual([]);
  });

  it('refuses pods where no API is configured, and an empty namespace path', async () => {
    const fixture = new CniFixture({ pods: undefined });
    expect(errorOf(await fixture.handle(cniRequest({ args: POD_ARGS }))).code).toBe(50);
    expect(errorOf(await fixture.handle(cniRequest({ netns: '' }))).code).toBe(4);
  });

  it.each([
    [{ code: 'unavailable' }, 11],
    [{ code: 'timeout' }, 11],
    [{ code: 'writerEnded' }, 11],
    [{ code: 'status', status: 503 }, 11],
    [{ code: 'status', status: 429 }, 11],
    [{ code: 'status', status: 404 }, 100],
    [{ code: 'exhausted' }, 100],
  ])('tells faults that pass from others by their type: %j → %i', async (type, code) => {
    const fixture = new CniFixture();
    fixture.failures.set('assign', Object.assign(new Error('x'), { type }));
    expect(errorOf(await fixture.handle(cniRequest())).code).toBe(code);
  });
});

describe('settings of an ADD', () => {
  const requestOf = async (
    configuration: object,
    annotations: Record<string, string> = {},
    ofNamespace = {},
  ) => {
    const fixture = new CniFixture();
    fixture.pod = { ...fixture.pod, metadata: { ...fixture.pod.metadata, annotations } };
    fixture.namespace = { ...fixture.namespace, metadata: { name: 'shop', annotations: ofNamespace } };
    const answer = await fixture.handle(cniRequest({ args: POD_ARGS, config: configuration }));
    return { fixture, answer, request: fixture.assignRequests[0] };
  };

  it('by default: one IPv4 address, from any pool, the MTU of the node', async () => {
    const { fixture, request } = await requestOf(config({}));
    expect(request).toMatchObject({ ipv4: true, ipv6: false, pools4: [], pools6: [], addresses: [] });
    expect(request?.attributes).toEqual({
      node: 'node-1',
      pod: 'web-1',
      namespace: 'shop',
      network: 'net',
      timestamp: '1970-01-01T00:00:00.000Z',
    });
    expect(request?.handle).toBe('net.c0ffee0123456789');
    expect([...fixture.interfaces.values()][0]?.mtu).toBe(1450);
  });

  it('pod annotation wins over namespace annotation, that over the configuration', async () => {
    const base = config({
      mtu: 1300,
      ipam: { assign_ipv4: 'false', assign_ipv6: 'true', ipv4_pools: ['a'] },
    });
    const name = 'cni.projectcalico.org/ipv4pools';
    expect((await requestOf(base)).request).toMatchObject({ ipv4: false, ipv6: true, pools4: ['a'] });
    expect((await requestOf(base, {}, { [name]: '["b"]' })).request?.pools4).toEqual(['b']);
    expect((await requestOf(base, { [name]: '["c"]' }, { [name]: '["b"]' })).request?.pools4).toEqual(['c']);
  });

  it('takes addresses, families and MAC from annotations', async () => {
    const { fixture, request } = await requestOf(config({}), {
      'cni.projectcalico.org/ipAddrs': '["10.65.0.9"]',
      'cni.projectcalico.org/ipFamilies': '["IPv6"]',
      'cni.projectcalico.org/hwAddr': '02:00:00:00:00:09',
    });
    expect(request).toMatchObject({ addresses: ['10.65.0.9'], ipv4: false, ipv6: true });
    expect([...fixture.interfaces.values()][0]?.mac).toBe('02:00:00:00:00:09');
  });

  it.each([
    ['ipv4pools', 'pool-a', 7],
    ['ipFamilies', '["IPv5"]', 7],
    ['hwAddr', '02:00', 7],
    ['floatingIPs', '["1.2.3.4"]', 2],
  ])('refuses the annotation %s: %s', async (name, value, code) => {
    const { fixture, answer } = await requestOf(config({}), { [`cni.projectcalico.org/${name}`]: value });
    expect(errorOf(answer)).toMatchObject({ code, msg: expect.stringContaining(name) });
    expect(fixture.addressesByHandle.size).toBe(0);
  });

  it.each([
    [config({ cniVersion: '0.1.0' }), 1],
    [config({ cniVersion: '2.0.0' }), 1],
    [config({ name: 'no spaces' }), 7],
    [config({ mtu: -1 }), 7],
    [null, 7],
  ])('refuses the configuration %j', async (configuration, code) => {
    const fixture = new CniFixture();
    expect(errorOf(await fixture.handle(cniRequest({ config: configuration }))).code).toBe(code);
    expect(fixture.steps).toEqual([]);
  });

  it.each([
    ['0.3.1', { address: '10.65.0.1/32', interface: 1, version: '4' }, undefined],
    ['0.4.0', { address: '10.65.0.1/32', interface: 1, version: '4' }, undefined],
    ['1.0.0', { address: '10.65.0.1/32', interface: 1 }, undefined],
    ['1.1.0', { address: '10.65.0.1/32', interface: 1 }, 1450],
  ])('answers %s in its own form', async (cniVersion, ip, mtu) => {
    const result = resultOf(await new CniFixture().handle(cniRequest({ config: config({ cniVersion }) })));
    expect(result).toMatchObject({ cniVersion, ips: [ip] });
    expect(result?.interfaces.map((entry) => entry.mtu)).toEqual([mtu, mtu]);
    expect(result?.interfaces.map(({ sandbox }) => sandbox)).toEqual(['', '/run/netns/pod']);
  });
});

describe('DEL', () => {
  it('removes endpoint, interface and address, and is fine a second time and without a namespace', async () => {
    const fixture = new CniFixture();
    await fixture.handle(cniRequest());
    fixture.steps.length = 0;
    expect(await fixture.handle(cniRequest({ command: 'DEL', netns: '' }))).toEqual({
      version: 1,
      result: undefined,
    });
    expect(fixture.steps).toEqual(['find', 'removeEndpoint', 'removeInterface', 'release']);
    expectNothingLeft(fixture);
    expect(await fixture.handle(cniRequest({ command: 'DEL', netns: '' }))).toEqual({
      version: 1,
      result: undefined,
    });
  });

  it('of an old sandbox leaves the new one its endpoint and interface, and gives the old address back', async () => {
    const fixture = new CniFixture();
    const old = cniRequest({ args: POD_ARGS, containerId: 'old' });
    await fixture.handle(old);
    await fixture.handle({ ...old, containerId: 'new' });
    await fixture.handle({ ...old, command: 'DEL' });
    expect([...fixture.addressesByHandle.keys()]).toEqual(['net.new']);
    expect([...fixture.endpoints.values()].map(({ spec }) => spec?.containerID)).toEqual(['new']);
    expect(fixture.interfaces.size).toBe(1);
  });

  it('waits for the ADD of its container, and does not hold up another one', async () => {
    const fixture = new CniFixture();
    const gate = new Gate();
    fixture.gates.set('create', gate);
    const adding = fixture.handle(cniRequest());
    const deleting = fixture.handle(cniRequest({ command: 'DEL' }));
    const other = await fixture.handle(cniRequest({ command: 'DEL', containerId: 'other' }));
    expect(other).toEqual({ version: 1, result: undefined });
    expect(fixture.steps).not.toContain('removeEndpoint');
    gate.open();
    resultOf(await adding);
    await deleting;
    expectNothingLeft(fixture);
  });

  it('of an old sandbox ends before the ADD of the new one begins', async () => {
    const fixture = new CniFixture();
    const gate = new Gate();
    const old = cniRequest({ args: POD_ARGS, containerId: 'old' });
    resultOf(await fixture.handle(old));
    fixture.gates.set('removeEndpoint', gate);
    const deleting = fixture.handle({ ...old, command: 'DEL' });
    const adding = fixture.handle({ ...old, containerId: 'new' });
    gate.open();
    await deleting;
    resultOf(await adding);
    expect(fixture.steps.lastIndexOf('removeInterface')).toBeLessThan(fixture.steps.lastIndexOf('create'));
    expect([...fixture.endpoints.values()].map(({ spec }) => spec?.containerID)).toEqual(['new']);
    expect(fixture.interfaces.size).toBe(1);
  });

  it('is not begun for a caller that has gone while it waited', async () => {
    const fixture = new CniFixture();
    const [gate, caller] = [new Gate(), new AbortController()];
    fixture.gates.set('create', gate);
    const adding = fixture.handle(cniRequest());
    const deleting = fixture.handle(cniRequest({ command: 'DEL' }), caller.signal);
    caller.abort();
    gate.open();
    await adding;
    expect(errorOf(await deleting).code).toBe(11);
    expect(fixture.interfaces.size).toBe(1);
  });
});

describe('CHECK, GC, STATUS, VERSION', () => {
  it('CHECK says what is wrong, and knows no other container', async () => {
    const fixture = new CniFixture();
    await fixture.handle(cniRequest());
    expect(await fixture.handle(cniRequest({ command: 'CHECK' }))).toEqual({ version: 1, result: undefined });
    fixture.interfaceProblems = ['eth0 is down', 'no address'];
    expect(errorOf(await fixture.handle(cniRequest({ command: 'CHECK' })))).toMatchObject({
      code: 100,
      msg: 'eth0 is down; no address',
    });
    expect(errorOf(await fixture.handle(cniRequest({ command: 'CHECK', containerId: 'unknown' }))).code).toBe(
      3,
    );
  });

  it('GC removes what no valid attachment names, addresses without endpoint too', async () => {
    const fixture = new CniFixture();
    for (const containerId of ['aaaaaaaaaaaa', 'bbbbbbbbbbbb'])
      await fixture.handle(cniRequest({ containerId }));
    fixture.leak('net.leaked', 'net');
    const attachments = [{ containerID: 'aaaaaaaaaaaa', ifname: 'eth0' }];
    await fixture.handle(
      cniRequest({ command: 'GC', config: config({ 'cni.dev/valid-attachments': attachments }) }),
    );
    expect([...fixture.addressesByHandle.keys()]).toEqual(['net.aaaaaaaaaaaa']);
    expect([...fixture.interfaces.keys()]).toEqual(['caliaaaaaaaaaaa']);
    expect(fixture.endpoints.size).toBe(1);
  });

  it('GC leaves other networks alone, also one whose name begins the same', async () => {
    const fixture = new CniFixture();
    const containers = { net: 'aaaaaaaaaaaa', 'net.b': 'bbbbbbbbbbbb', other: 'cccccccccccc' };
    for (const [name, containerId] of Object.entries(containers))
      await fixture.handle(cniRequest({ containerId, config: config({ name }) }));
    await fixture.handle(cniRequest({ command: 'GC', config: config({ 'cni.dev/valid-attachments': [] }) }));
    expect([...fixture.addressesByHandle.keys()]).toEqual(['net.b.bbbbbbbbbbbb', 'other.cccccccccccc']);
    expect([...fixture.interfaces.keys()]).toEqual(['calibbbbbbbbbbb', 'calicccccccccccc'.slice(0, 15)]);
    expect(fixture.endpoints.size).toBe(2);
  });

  it('STATUS answers whether the node takes work', async () => {
    const fixture = new CniFixture();
    expect(await fixture.handle(cniRequest({ command: 'STATUS' }))).toEqual({
      version: 1,
      result: undefined,
    });
    fixture.notReady = new CniFailure(50, 'not ready');
    expect(errorOf(await fixture.handle(cniRequest({ command: 'STATUS' })))).toMatchObject({
      code: 50,
      msg: 'not ready',
    });
  });

  it("VERSION is the plugin program's own", async () => {
    expect(errorOf(await new CniFixture().handle(cniRequest({ command: 'VERSION' }))).code).toBe(100);
  });
});
