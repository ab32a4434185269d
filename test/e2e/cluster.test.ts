// The mini cluster as a user meets it: compose.yaml from an empty volume, kubectl, hosts that come, go and come back.
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { runOk } from '../../lib/process/run.ts';
import type { Cluster } from '../../scripts/cluster.ts';
import { type E2eCluster, PROJECT, startE2eCluster } from './support/e2e-cluster.ts';
import { addressesByNode, podAddress, podOn, readyNodes, uidsOfNodes } from './support/kubectl.ts';
import { waitUntil } from './support/wait-until.ts';

// A first build and three hosts on a busy machine.
jest.setTimeout(600_000);

let e2e: E2eCluster;
let cluster: Cluster;

beforeAll(async () => {
  e2e = await startE2eCluster();
  cluster = e2e.cluster;
  await waitUntil('three nodes Ready', async () => (await readyNodes(cluster)).length === 3, 60_000);
  const pods = [podOn('client', 'node-1'), podOn('server', 'node-2'), podOn('other', 'node-3')];
  await cluster.apply(...pods);
  await cluster.kubectl('wait', '--for=condition=Ready', '--timeout=60s', 'pod', '--all');
});
afterAll(async () => {
  expect(await e2e?.stop()).toEqual([]);
});

const inPod = (pod: string, ...argv: readonly string[]) =>
  cluster.exec('controller', ['kubectl', 'exec', pod, '--', ...argv]);
const pings = async (pod: string, address: string): Promise<boolean> =>
  (await inPod(pod, 'ping', '-c', '1', '-W', '1', address)).code === 0;
const connects = async (pod: string, address: string): Promise<boolean> =>
  (await inPod(pod, 'probe', 'connect', 'tcp', address, '8080', '1')).code === 0;

/** Last octet. */
const numberOfAddress = (address: string | undefined): number => Number(address?.split('.').at(-1));

describe('a cluster that has just come up', () => {
  it('has three hosts that are Ready, by the names node-1 to node-3', async () => {
    expect(await readyNodes(cluster)).toEqual(['node-1', 'node-2', 'node-3']);
  });

  it('shows its keys to a bare etcdctl beside etcd', async () => {
    const etcd = e2e.environment.getContainer('etcd-1');
    const { output } = await etcd.exec(['etcdctl', 'get', '--prefix', '/calico', '--keys-only']);
    expect(output).toContain('/calico/resources/v3/projectcalico.org/ippools/default-ipv4-ippool');
    expect(output).toContain('/calico/resources/v3/projectcalico.org/nodes/node-3');
  });

  it('answers nobody without a certificate', async () => {
    const get = ['etcdctl', '--command-timeout=1s', 'get', '--prefix', '--keys-only', '--limit=1', '/calico'];
    const anonymously = ['env', '-u', 'ETCDCTL_CERT', '-u', 'ETCDCTL_KEY'];
    expect((await cluster.exec('etcd', get)).code).toBe(0);
    const etcd = await cluster.exec('etcd', [...anonymously, ...get]);
    expect(etcd.code).not.toBe(0);
    const ping = (...flags: readonly string[]) =>
      cluster.exec('redis', ['redis-cli', '--tls', '--cacert', '/certs/redis/ca.pem', ...flags, 'ping']);
    const own = ['--cert', '/certs/redis/cert.pem', '--key', '/certs/redis/key.pem'];
    expect((await ping(...own)).stdout).toContain('PONG');
    expect((await ping()).stdout).not.toContain('PONG');
  });

  it('lets a host read what is Calico’s in etcd, and no API object', async () => {
    const folder = '/certs/etcd-agent';
    const asHost = [
      ...['-v', `${PROJECT}_certs-etcd-agent:${folder}:ro`],
      ...['-e', `ETCDCTL_CERT=${folder}/cert.pem`, '-e', `ETCDCTL_KEY=${folder}/key.pem`],
    ];
    const read = (prefix: string) =>
      cluster.compose(
        ...['run', '--rm', '--no-deps', '-T', ...asHost, 'etcd-roles'],
        ...['etcdctl', 'get', '--prefix', '--limit=1', '--keys-only', prefix],
      );
    expect(await read('/calico/')).toContain('/calico/');
    await expect(read('/registry/')).rejects.toThrow(/permission denied/);
  });
});

describe('pods on two hosts', () => {
  it('reach each other over a route learned by BGP, and there is no bridge', async () => {
    const server = await podAddress(cluster, 'server');
    await waitUntil('a first answer', () => pings('client', server), 20_000);
    const routes = await cluster.exec('calico-node', ['ip', 'route', 'show', 'proto', '81'], 1);
    expect(routes.stdout).toMatch(/ via 172\.29\.41\./);
    const bridges = await cluster.exec('calico-node', ['ip', '-d', 'link', 'show', 'type', 'bridge'], 1);
    expect({ code: bridges.code, stdout: bridges.stdout }).toEqual({ code: 0, stdout: '' });
  });

  it('are kept apart by a NetworkPolicy, for as long as it is there', async () => {
    const server = await podAddress(cluster, 'server');
    expect(await connects('client', server)).toBe(true);
    expect(await connects('other', server)).toBe(true);
    await cluster.apply({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { name: 'client-only', namespace: 'default' },
      spec: {
        podSelector: { matchLabels: { name: 'server' } },
        ingress: [{ from: [{ podSelector: { matchLabels: { name: 'client' } } }] }],
      },
    });
    await waitUntil('other is denied', async () => !(await connects('other', server)), 10_000);
    expect(await connects('client', server)).toBe(true);
    const denied = () =>
      cluster.exec('controller', ['calicoctl', 'flows', '--src', 'other', '--dst', 'server']);
    await waitUntil(
      'the denial is in a flow record',
      async () => /deny/.test((await denied()).stdout),
      15_000,
    );
    const { stdout, stderr } = await denied();
    expect(stdout).toContain('client-only');
    expect(stderr).toBe('');
    await cluster.kubectl('delete', 'networkpolicy', 'client-only');
    await waitUntil('other is let in again', () => connects('other', server), 10_000);
  });

  it('have their policy, and tests of it, from files by standard input', async () => {
    const policy = {
      apiVersion: 'projectcalico.org/v3',
      kind: 'NetworkPolicy',
      metadata: { name: 'from-file' },
      spec: { selector: "name == 'server'", ingress: [{ action: 'Allow' }] },
    };
    const test = {
      apiVersion: 'calico-ts.dev/v1',
      kind: 'PolicyTest',
      cases: [
        {
          from: 'default/other',
          to: 'default/server',
          port: 'tcp/80',
          expect: 'allow',
          by: 'default/from-file',
        },
      ],
    };
    const calicoctl = (argv: readonly string[], value: object): Promise<string> =>
      cluster.pipe('controller', ['calicoctl', ...argv], JSON.stringify(value));
    expect(await calicoctl(['apply', '-f', '-'], policy)).toContain('from-file created');
    expect(await calicoctl(['test', '-', '--live'], test)).toContain('1 passed');
    expect(await calicoctl(['delete', '-f', '-'], policy)).toContain('from-file deleted');
  });

  it('say why when they cannot run', async () => {
    await cluster.apply({ ...podOn('stranger', 'node-1', 'debian:trixie-slim') });
    const reason = () =>
      cluster.kubectl(
        ...['get', 'pod', 'stranger', '-o'],
        'jsonpath={.status.containerStatuses[0].state.waiting.reason}',
      );
    await waitUntil('a reason', async () => /ErrImagePull|ImagePullBackOff/.test(await reason()), 20_000);
    await cluster.kubectl('delete', 'pod', 'stranger', '--grace-period=0', '--force');
  });
});

describe('hosts', () => {
  const leakedAddresses = async (): Promise<string | undefined> => {
    const { stdout } = await cluster.exec('controller', ['calicoctl', 'ipam', 'check']);
    return /found (\d+ problems)/.exec(stdout)?.[1];
  };
  const reachesAcross = async (): Promise<boolean> => {
    const server = await podAddress(cluster, 'server');
    return server !== '' && (await pings('client', server));
  };

  const reachesOther = async (): Promise<boolean> => {
    const other = await podAddress(cluster, 'other');
    return other !== '' && (await pings('client', other));
  };

  const areTheSame = async (): Promise<void> => {
    await waitUntil('pods reach each other again', reachesAcross, 90_000);
    await waitUntil('all Ready', async () => (await readyNodes(cluster)).length === 3, 60_000);
    await waitUntil('no address leaks', async () => (await leakedAddresses()) === '0 problems', 30_000);
    expect(await readyNodes(cluster)).toEqual(['node-1', 'node-2', 'node-3']);
  };

  it('keep their names when two come back with each other’s address while a third restarts', async () => {
    const before = await addressesByNode(cluster);
    const names = ['node-1', 'node-2'].toSorted(
      (a, b) => numberOfAddress(before[b]) - numberOfAddress(before[a]),
    );
    const containers = names.map((name) => name.replace('node-', `${PROJECT}-calico-node-`));
    await runOk('docker', ['stop', ...containers], { timeoutMs: 60_000 });
    // Docker gives the lowest free address: the host that had the higher one starts first.
    for (const container of containers) await runOk('docker', ['start', container], { timeoutMs: 60_000 });
    await runOk('docker', ['restart', `${PROJECT}-calico-node-3`], { timeoutMs: 60_000 });
    const swapped = async (): Promise<boolean> => {
      const after = await addressesByNode(cluster);
      return after['node-1'] === before['node-2'] && after['node-2'] === before['node-1'];
    };
    await waitUntil('the stale addresses are replaced', swapped, 60_000);
    await areTheSame();
    expect((await addressesByNode(cluster))['node-3']).toBe(before['node-3']);
    await waitUntil('the pod of the host that restarted is started anew', reachesOther, 30_000);
  });

  it('join by themselves when scaled', async () => {
    await cluster.up('--no-recreate', '--scale', 'calico-node=4');
    await waitUntil('node-4 Ready', async () => (await readyNodes(cluster)).includes('node-4'), 30_000);
    await cluster.apply(podOn('newcomer', 'node-4'));
    await cluster.kubectl('wait', '--for=condition=Ready', '--timeout=60s', 'pod/newcomer');
    const server = await podAddress(cluster, 'server');
    await waitUntil('the new host learned the routes', () => pings('newcomer', server), 20_000);
    await cluster.kubectl('delete', 'pod', 'newcomer', '--wait');
  });

  it('are the same when they are made anew, one less, now with the Docker engine in their hands', async () => {
    await e2e.clusterWithDocker.up(
      '--force-recreate',
      '--no-deps',
      '--scale',
      'calico-node=3',
      'calico-node',
    );
    await cluster.kubectl('delete', 'node', 'node-4');
    await areTheSame();
  });
});

describe('with the Docker engine', () => {
  it('a pod may be any image, and is policed as any other', async () => {
    await cluster.apply(podOn('real', 'node-3', 'debian:trixie-slim', ['sleep', '3600']));
    await cluster.kubectl('wait', '--for=condition=Ready', '--timeout=60s', 'pod/real', 'pod/server');
    const real = await podAddress(cluster, 'real');
    await waitUntil('the container answers', () => pings('server', real), 20_000);
    const release = await inPod('real', 'cat', '/etc/os-release');
    expect(release.stdout).toContain('trixie');
    const uid = await cluster.kubectl('get', 'pod', 'real', '-o', 'jsonpath={.metadata.uid}');
    await cluster.kubectl('delete', 'pod', 'real', '--wait');
    const filter = `label=calico-ts.dev/pod-uid=${uid}`;
    const containers = () => runOk('docker', ['ps', '-aq', '--filter', filter], { timeoutMs: 10_000 });
    await waitUntil('its containers are gone', async () => (await containers()).stdout === '', 30_000);
  });
});

describe('the whole cluster', () => {
  it('has the same hosts after down and up on the same volume', async () => {
    const before = await uidsOfNodes(cluster);
    await e2e.clusterWithDocker.compose('down');
    await cluster.up();
    const isReady = async () => (await readyNodes(cluster)).length === 3;
    await waitUntil('all Ready', isReady, 60_000);
    expect(await uidsOfNodes(cluster)).toEqual(before);
  });
});
