// The measure of the API: an unmodified kubectl against a real controller on a real etcd. No kubelet runs, so pods stay
// where the test puts them by hand, as a kubelet would.

import { get } from 'node:https';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { NODES, PODS } from '../../lib/kube-client/client.ts';
import { type RunResult, run } from '../../lib/process/run.ts';
import {
  type ControllerCluster,
  readyNode,
  startControllerCluster,
  until,
} from '../support/controller-cluster.ts';

let cluster: ControllerCluster;

beforeAll(async () => {
  // No kubelet renews a lease here.
  cluster = await startControllerCluster(['--node-grace-seconds', '3600']);
  await cluster.client.create(NODES, undefined, readyNode('node-1'));
});
afterAll(async () => {
  if (process.env['SHOW_CONTROLLER'] === '1') process.stderr.write(cluster.controllers[0]?.output() ?? '');
  await cluster?.stop();
});

async function ok(args: string, input?: string): Promise<string> {
  const result = await cluster.kubectl(args.split(' '), input);
  if (result.code !== 0) throw new Error(`kubectl ${args}: ${result.stderr}`);
  return result.stdout;
}

async function fails(args: string, input?: string): Promise<string> {
  const result: RunResult = await cluster.kubectl(args.split(' '), input);
  expect(result.code).not.toBe(0);
  return result.stderr;
}

/** As a kubelet does. */
async function runPod(name: string): Promise<void> {
  await until(`${name} to be bound`, async () => {
    const pod = await cluster.client.get(PODS, 'default', name);
    return (pod.spec as { nodeName?: string }).nodeName === 'node-1';
  });
  const time = '2026-01-01T00:00:00Z';
  const status = {
    phase: 'Running',
    podIP: '10.65.0.2',
    podIPs: [{ ip: '10.65.0.2' }],
    conditions: [
      { type: 'PodScheduled', status: 'True', lastTransitionTime: time },
      { type: 'Ready', status: 'True', lastTransitionTime: time },
    ],
    containerStatuses: [
      {
        name,
        image: 'busybox',
        imageID: '',
        ready: true,
        restartCount: 0,
        state: { running: { startedAt: time } },
      },
    ],
  };
  await cluster.client.patch(PODS, 'default', name, { status }, { subresource: 'status' });
}

const POLICY = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: default}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
    - from: [{podSelector: {matchLabels: {app: web}}}]
      ports: [{protocol: TCP, port: 5432}]
`;

describe('discovery and identity', () => {
  it('is listed, with Kubernetes network policies before Calico ones', async () => {
    const resources = await ok('api-resources');
    expect(resources).toMatch(/networkpolicies +netpol +networking\.k8s\.io\/v1/);
    expect(resources).toMatch(/networkpolicies +cnp,caliconetworkpolicy +projectcalico\.org\/v3/);
    expect(await ok('api-versions')).toContain('projectcalico.org/v3');
    expect(await ok('version')).toContain('Server Version: v1.32');
    expect(await ok('get networkpolicies -A')).not.toContain('TIER');
  });

  it('knows who asks and what they may do', async () => {
    expect(await ok('auth whoami')).toMatch(/Username +admin[\s\S]*system:masters/);
    expect((await ok('auth can-i create pods')).trim()).toBe('yes');
    expect(await ok('auth can-i --list')).toContain('*');
    expect(await fails('get pods --as somebody')).toContain('impersonation is not served');
  });

  it('answers 401 without a certificate', async () => {
    const code = await new Promise<number | undefined>((resolve, reject) => {
      const options = { rejectUnauthorized: false, agent: false } as const;
      get(`${cluster.server}/api`, options, (response) => resolve(response.resume().statusCode)).on(
        'error',
        reject,
      );
    });
    expect(code).toBe(401);
  });
});

describe('objects', () => {
  it('are created by protobuf, applied, changed in every way and deleted', async () => {
    await ok('create namespace shop');
    await ok('create serviceaccount web -n shop');
    await ok('create configmap settings --from-literal=a=1 -n shop');
    expect(await ok('describe namespace shop')).toMatch(/Name: +shop\n[\s\S]*Status: +Active/);
    expect(await ok('describe serviceaccount web -n shop')).toMatch(/Name: +web\nNamespace: +shop\n/);
    expect(await ok('describe configmap settings -n shop')).toMatch(/Data\n====\na:\n----\n1\n/);
    expect(await ok('get cm settings -n shop -o jsonpath={.data.a}')).toBe('1');
    await ok('label cm settings -n shop tier=back');
    await ok('annotate cm settings -n shop note=yes');
    expect(await ok('get cm -n shop -l tier=back -o name')).toBe('configmap/settings\n');
    await ok('patch cm settings -n shop --type=merge -p {"data":{"b":"2"}}');
    await ok('patch cm settings -n shop --type=json -p [{"op":"remove","path":"/data/a"}]');
    await ok('patch cm settings -n shop -p {"data":{"c":"3"}}');
    expect(JSON.parse(await ok('get cm settings -n shop -o jsonpath={.data}'))).toEqual({ b: '2', c: '3' });
    expect(
      await fails('patch cm settings -n shop --type=json -p [{"op":"remove","path":"/data/zzz"}]'),
    ).toContain('the server rejected our request');
    await ok('delete namespace shop --timeout=20s');
    expect(await fails('get ns shop')).toContain('namespaces "shop" not found');
  });

  it('keep their fields through apply, diff, edit, replace', async () => {
    expect(await ok('apply -f -', POLICY)).toContain('created');
    expect(await ok('apply -f -', POLICY)).toContain('unchanged');
    const changed = POLICY.replace('5432', '5433');
    const diff = await cluster.kubectl(['diff', '-f', '-'], changed);
    expect(diff.code).toBe(1);
    expect(diff.stdout).toMatch(/-\s+- port: 5432\n\+\s+- port: 5433|- {4}- port: 5432/);
    expect(diff.stdout).not.toMatch(/^[-+]\s+protocol/m);
    expect(await ok('apply -f -', changed)).toContain('configured');
    expect(await ok('describe networkpolicy db')).toContain('To Port: 5433/TCP');
    expect(await ok('edit networkpolicy db')).toBe('');
    const stored = await ok('get networkpolicy db -o json');
    expect(await ok('replace -f -', stored)).toContain('replaced');
    const stale = stored.replace(/"resourceVersion": "\d+"/, '"resourceVersion": "1"');
    expect(await fails('replace -f -', stale)).toContain('the object has been modified');
    expect(await ok('get netpol')).toMatch(/NAME +POD-SELECTOR +AGE\ndb +app=db/);
    expect(await ok('apply --dry-run=server -f -', POLICY)).toContain('server dry run');
    await ok('delete netpol db');
  });

  it('are refused with every problem by field, and nothing is stored', async () => {
    const bad = POLICY.replace('5432', '99999').replace('app: db', "'a b': db");
    const text = await fails('apply -f -', bad);
    expect(text).toContain('spec.ingress[0].ports[0].port');
    expect(text).toContain('spec.podSelector.matchLabels');
    expect(await fails('apply -f -', POLICY.replace('podSelector:', 'podSelectr:'))).toContain(
      'unknown field "spec.podSelectr"',
    );
    const flat = `${POLICY.slice(0, POLICY.indexOf('  ingress:'))}  ingress: 5\n`;
    expect(await fails('apply --validate=false -f -', flat)).toContain(
      'spec.ingress: expected a list, found number',
    );
    expect(await fails('get netpol db')).toContain('not found');
    expect(await fails('apply --server-side -f -', POLICY)).toContain('server-side apply is not served');
  });
});

describe('pods', () => {
  it('are run, waited for, described, deleted with grace', async () => {
    await ok('run web --image=busybox --labels=app=web -- sleep 100');
    await runPod('web');
    expect(await ok('wait pod/web --for=condition=Ready --timeout=10s')).toContain('condition met');
    expect(await ok('get pods -o wide')).toMatch(/web +1\/1 +Running +0 +\S+ +10\.65\.0\.2 +node-1/);
    await until('the event', async () => (await ok('events --for pod/web')).includes('Scheduled'));
    const [event = ''] = (await ok('get events --field-selector reason=Scheduled -o name')).split('\n');
    expect(await ok(`describe ${event}`)).toMatch(/Kind: +Event[\s\S]*Reason: +Scheduled/);
    expect(await ok('describe pod web')).toMatch(/Node: +node-1\/[\s\S]*Scheduled/);
    expect(await ok('get pods --field-selector spec.nodeName=node-1 -o name')).toBe('pod/web\n');
    expect(await fails('get pods --field-selector foo=bar')).toContain('field label not supported: foo');
    expect(await fails('patch pod web -p {"spec":{"nodeName":"other"}}')).toContain(
      'pod updates may not change',
    );
    await ok('delete pod web --wait=false');
    const marked = (await cluster.client.get(PODS, 'default', 'web')).metadata;
    expect(marked.deletionGracePeriodSeconds).toBe(30);
    expect(await ok('get pod web')).toContain('Terminating');
    const waiting = ok('wait --for=delete pod/web --timeout=10s');
    await cluster.client.delete(PODS, 'default', 'web', { gracePeriodSeconds: 0 });
    await waiting;
  });

  it('say why they fit nowhere', async () => {
    await ok('cordon node-1');
    await ok('run lost --image=busybox');
    await until('the reason', async () =>
      (await ok('get pod lost -o jsonpath={.status.conditions[0].message}')).includes('unschedulable'),
    );
    await ok('uncordon node-1');
    await until(
      'lost to be bound',
      async () => (await ok('get pod lost -o jsonpath={.spec.nodeName}')) === 'node-1',
    );
    await ok('delete pod lost --force --grace-period=0');
  });

  it('are watched as a table until the client goes', async () => {
    await ok('run seen --image=busybox');
    const seen = run('timeout', ['6', 'kubectl', 'get', 'pods', '-w'], { env: cluster.environment });
    await ok('label pod seen step=1');
    await ok('delete pod seen --force --grace-period=0');
    const lines = (await seen).stdout.trim().split('\n');
    expect(lines[0]).toMatch(/^NAME +READY +STATUS/);
    expect(lines.filter((line) => line.startsWith('seen')).length).toBeGreaterThan(0);
    expect(lines.filter((line) => line.startsWith('NAME'))).toHaveLength(1);
  });

  it('are drained from a node that is tainted', async () => {
    await ok('run moved --image=busybox');
    await until(
      'moved to be bound',
      async () => (await ok('get pod moved -o jsonpath={.spec.nodeName}')) === 'node-1',
    );
    await ok('taint node node-1 key=value:NoSchedule');
    const drained = ok('drain node-1 --force --grace-period=1 --timeout=20s');
    await until('the eviction', async () => {
      const pod = await cluster.client.find(PODS, 'default', 'moved');
      return pod === undefined || pod.metadata.deletionTimestamp !== undefined;
    });
    await cluster.client.delete(PODS, 'default', 'moved', { gracePeriodSeconds: 0 }).catch(() => undefined);
    expect(await drained).toContain('drained');
    expect(await ok('describe node node-1')).toMatch(/Taints: +key=value:NoSchedule/);
    await ok('taint node node-1 key-');
    await ok('uncordon node-1');
    expect(await ok('get nodes')).toMatch(/node-1 +Ready/);
  });
});

describe('Calico kinds', () => {
  it('are served from their own keys by their own rules', async () => {
    const policy = (tier: string) => `
apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {name: deny}
spec: {tier: ${tier}, order: 10, selector: all(), ingress: [{action: Deny}]}
`;
    expect(await fails('apply -f -', policy('nowhere'))).toContain(
      'tiers.projectcalico.org "nowhere" not found',
    );
    const tier =
      '{"apiVersion":"projectcalico.org/v3","kind":"Tier","metadata":{"name":"edge"},"spec":{"order":5}}';
    await ok('apply -f -', tier);
    await ok('apply -f -', policy('edge'));
    expect(await ok('get gnp')).toMatch(/NAME +TIER +ORDER +AGE\ndeny +edge +10/);
    expect(
      (await cluster.calico.get({ kind: 'GlobalNetworkPolicy', name: 'deny' })).metadata.labels,
    ).toMatchObject({
      'projectcalico.org/tier': 'edge',
    });
    expect(await fails('delete tier edge')).toContain('it holds GlobalNetworkPolicy deny');
    await ok('delete gnp deny');
    await ok('delete tier edge');
    expect(await ok('get profiles')).toContain('projectcalico-default-allow');
    expect(await fails('delete profile projectcalico-default-allow')).toContain('built in');
  });

  it('that mirror a Kubernetes policy are the plugin’s', async () => {
    await ok('apply -f -', POLICY);
    await until('the mirrored policy', async () =>
      (await ok('get cnp -n default -o name')).includes('knp.default.db'),
    );
    expect(await fails('delete cnp knp.default.db')).toContain(
      'mirrors networkpolicies.networking.k8s.io "db"',
    );
    expect(await fails('patch cnp knp.default.db --type=merge -p {"spec":{"order":1}}')).toContain(
      'change networkpolicies.networking.k8s.io "db" instead',
    );
    await ok('delete netpol db');
    await until('the mirrored policy to go', async () => (await ok('get cnp -n default -o name')) === '');
  });
});
