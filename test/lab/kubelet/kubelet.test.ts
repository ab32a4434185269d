// The kubelet in a whole cluster: etcd, controller, agent and bgpd are real, pods are created with kubectl and looked at from
// the host (docs/kubelet.md).
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { LabHost } from '../../../lab/host.ts';
import { FABRIC_PROCESSES, NODE_PROCESSES } from '../../../lab/processes.ts';
import type { Pod } from '../../../lib/model/kubernetes-pod-types.ts';
import { type RunOptions, type RunResult, run } from '../../../lib/process/run.ts';
import { until } from '../../support/until.ts';
import { startTestLab, type TestLab, waitUntil } from '../support/test-lab.ts';

let test: TestLab;
let host: LabHost;

function kubectl(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return run('kubectl', ['--kubeconfig', test.lab.kubeconfig, ...args], { timeoutMs: 60_000, ...options });
}

async function kubectlOk(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await kubectl(args);
  if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`);
  return stdout;
}

async function apply(name: string, spec: object): Promise<void> {
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name }, spec };
  const result = await kubectl(['apply', '-f', '-'], { input: JSON.stringify(pod) });
  if (result.code !== 0) throw new Error(result.stderr);
}

const busybox = (script: string, more: object = {}): object => ({
  containers: [{ name: 'main', image: 'busybox', command: ['sh', '-c', script] }],
  ...more,
});

async function getPod(name: string): Promise<Pod> {
  return JSON.parse(await kubectlOk('get', 'pod', name, '-o', 'json')) as Pod;
}

async function ready(name: string): Promise<Pod> {
  await kubectlOk('wait', '--for=condition=Ready', `pod/${name}`, '--timeout=50s');
  return getPod(name);
}

const events = (name: string): Promise<string> =>
  kubectlOk('get', 'events', '--field-selector', `involvedObject.name=${name}`, '-o', 'wide');

const podFolder = (uid: string | undefined): string => join(host.stateDir, 'kubelet/pods', uid ?? 'none');
const namespacesOnDisk = (): readonly string[] => readdirSync(join(host.stateDir, 'kubelet/netns'));

async function etcdKeys(prefix: string): Promise<readonly string[]> {
  const argv = ['etcdctl', 'get', '--prefix', prefix, '--keys-only'] as const;
  const text = await host.execOk(argv, { env: test.lab.etcdctlEnvironment });
  return text.split('\n').filter((line) => line !== '');
}
const handles = (): Promise<readonly string[]> => etcdKeys('/calico/ipam/v2/handle/');

/** Processes of the container's namespace that a user would recognise. */
const inPod = (name: string, ...argv: string[]): Promise<RunResult> => kubectl(['exec', name, '--', ...argv]);

beforeAll(async () => {
  const programs = ['controller', 'bgpd', 'agent', 'kubelet', 'redis'];
  test = await startTestLab({
    hosts: 1,
    nodeProcesses: NODE_PROCESSES.filter(({ name }) => programs.includes(name)),
    fabricProcesses: FABRIC_PROCESSES.filter(({ name }) => programs.includes(name)),
  });
  host = test.lab.host('node-1');
  // Each kubectl is a process that takes a tenth of a second of a processor, which the cluster needs to start.
  const isThere = async (): Promise<boolean> => (await kubectl(['get', 'node', 'node-1'])).code === 0;
  await until('node-1 is there', isThere, 60_000, 500);
  await kubectlOk('wait', '--for=condition=Ready', 'node/node-1', '--timeout=60s');
}, 150_000);

afterAll(async () => {
  await test?.stop();
}, 30_000);

afterEach(async () => {
  await kubectl(['delete', 'pod', '--all', '--grace-period=1', '--timeout=50s']);
}, 60_000);

describe('a pod', () => {
  it('runs in namespaces of its own, with the address that CNI gave it', async () => {
    await apply('web', busybox('echo started; exec sleep 1000'));
    const pod = await ready('web');
    const address = pod.status?.podIP ?? '';
    expect((await inPod('web', 'ip', '-4', 'addr', 'show', 'eth0')).stdout).toContain(`inet ${address}/32`);
    expect((await inPod('web', 'hostname')).stdout).toBe('web\n');
    expect((await inPod('web', 'ls', '/')).stdout).not.toMatch(/^(boot|work|srv)$/m);
    const { stdout } = await inPod('web', 'ps', '-o', 'pid,args');
    // The heading, the first process, the command, ps: nothing of the host.
    expect(stdout.trimEnd().split('\n')).toHaveLength(4);
    expect(stdout).toMatch(/^ *\d+ sleep 1000$/m);
    expect(await kubectlOk('logs', 'web')).toBe('started\n');
    // kubectl sorts by whole seconds and so says nothing about the order of these two.
    const said = await events('web');
    for (const reason of ['Scheduled', 'Pulled', 'Created', 'Started']) expect(said).toContain(reason);
  }, 90_000);

  it('may not mount, nor change the kernel or its links, but may ping and listen on low ports', async () => {
    await apply('web', busybox('httpd -f -p 80 -h /etc'));
    await ready('web');
    // Both programs are there and answer what needs no privilege.
    expect((await inPod('web', 'mount')).stdout).toContain(' on / ');
    expect((await inPod('web', 'ip', 'link', 'show', 'eth0')).stdout).toContain('eth0');
    const refused = expect.stringMatching(/permission denied|not permitted/i);
    const mounted = await inPod('web', 'mount', '-t', 'tmpfs', 'x', '/tmp');
    expect(mounted).toMatchObject({ stderr: refused });
    expect(mounted.code).not.toBe(0);
    expect((await inPod('web', 'sh', '-c', 'echo 1 > /proc/sys/kernel/panic')).stderr).toMatch(/Read-only/);
    const lowered = await inPod('web', 'ip', 'link', 'set', 'eth0', 'down');
    expect(lowered).toMatchObject({ stderr: refused });
    expect(lowered.code).not.toBe(0);
    expect((await inPod('web', 'ping', '-c', '1', '-W', '2', '127.0.0.1')).code).toBe(0);
    expect((await inPod('web', 'wget', '-qO-', 'http://127.0.0.1/hostname')).stdout).toBe('web\n');
  }, 90_000);

  it('is gone after its deletion with all that it had: processes, namespace, address, files', async () => {
    await apply('web', busybox('trap "echo bye; exit 0" TERM; while :; do sleep 0.1; done'));
    const { metadata } = await ready('web');
    expect(namespacesOnDisk()).toHaveLength(1);
    expect(await handles()).toHaveLength(1);
    await kubectlOk('delete', 'pod', 'web', '--timeout=50s');
    await waitUntil('its files are gone', () => !existsSync(podFolder(metadata.uid)));
    expect(namespacesOnDisk()).toEqual([]);
    expect(await handles()).toEqual([]);
    expect(await host.execOk(['ip', '-o', 'link'])).not.toMatch(/cali/);
  }, 90_000);

  it('that does not end at TERM is killed after its grace period', async () => {
    await apply('web', busybox('trap "" TERM; while :; do sleep 0.1; done'));
    await ready('web');
    const started = performance.now();
    await kubectlOk('delete', 'pod', 'web', '--grace-period=1', '--timeout=50s');
    expect(performance.now() - started).toBeGreaterThan(900);
    expect((await kubectl(['get', 'pod', 'web'])).code).not.toBe(0);
  }, 90_000);

  it('that has ended keeps its output and its exit code, and gives its address back', async () => {
    await apply('job', busybox('echo result; exit 3', { restartPolicy: 'Never' }));
    await kubectlOk('wait', '--for=jsonpath={.status.phase}=Failed', 'pod/job', '--timeout=50s');
    const { status } = await getPod('job');
    expect(status?.containerStatuses?.[0]?.state?.terminated).toMatchObject({ exitCode: 3, reason: 'Error' });
    expect(await kubectlOk('logs', 'job')).toBe('result\n');
    await waitUntil('its address is given back', async () => (await handles()).length === 0);
  }, 90_000);

  it('that crashes is started again, then backed off, and shows what it said before', async () => {
    await apply('crash', busybox('echo attempt; exit 1'));
    await waitUntil(
      'it is backed off',
      async () => {
        const state = (await getPod('crash')).status?.containerStatuses?.[0]?.state;
        return state?.waiting?.reason === 'CrashLoopBackOff';
      },
      50_000,
    );
    const status = (await getPod('crash')).status?.containerStatuses?.[0];
    expect(status?.restartCount).toBe(1);
    expect(status?.lastState?.terminated?.exitCode).toBe(1);
    expect(await kubectlOk('logs', 'crash', '--previous')).toBe('attempt\n');
    expect(await events('crash')).toMatch(/BackOff/);
  }, 90_000);

  it('of an image that cannot be run here says so, and holds no address', async () => {
    await apply('nginx', { containers: [{ name: 'main', image: 'nginx:1.27' }] });
    await waitUntil(
      'it says why it waits',
      async () => {
        const waiting = (await getPod('nginx')).status?.containerStatuses?.[0]?.state?.waiting;
        return waiting?.reason === 'ErrImagePull' && /Docker engine/.test(waiting.message ?? '');
      },
      50_000,
    );
    expect(await events('nginx')).toMatch(/Failed.*nginx:1\.27/);
    expect(await handles()).toEqual([]);
  }, 90_000);
});

describe('exec', () => {
  it('passes exit codes and keeps both outputs apart', async () => {
    await apply('tools', busybox('exec sleep 1000'));
    await ready('tools');
    const result = await inPod('tools', 'sh', '-c', 'echo out; echo err >&2; exit 3');
    expect(result).toMatchObject({ code: 3, stdout: 'out\n' });
    expect(result.stderr).toMatch(/^err\n/);
    const text = 'x'.repeat(3_000_000);
    const echoed = await kubectl(['exec', '-i', 'tools', '--', 'cat'], { input: text });
    expect(echoed.stdout === text).toBe(true);
    expect((await inPod('tools', 'no-such-program')).code).toBe(127);
    const sized = `stty rows 33 cols 101; kubectl --kubeconfig ${test.lab.kubeconfig} exec -it tools -- sh -c 'until stty size | grep 101; do sleep 0.1; done'`;
    const typed = await run('script', ['-qec', sized, '/dev/null'], { timeoutMs: 30_000 });
    expect(typed).toMatchObject({ code: 0, stdout: expect.stringContaining('33 101') });
  }, 90_000);

  it('is refused over anything but a WebSocket, with a reason', async () => {
    await apply('tools', busybox('exec sleep 1000'));
    await ready('tools');
    const env = { ...process.env, KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false' };
    const { code, stderr } = await kubectl(['exec', 'tools', '--', 'ls'], { env });
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/served over WebSocket .* only, not over SPDY/);
  }, 90_000);
});

describe('the kubelet', () => {
  it('killed and started again takes its pods over: same process, same address, no restart', async () => {
    await apply('web', busybox('while :; do date; sleep 0.2; done'));
    const before = await ready('web');
    const kubelet = host.process('kubelet');
    kubelet?.kill('SIGKILL');
    await waitUntil('it was started again', async () => (await inPod('web', 'true')).code === 0, 30_000);
    const after = await getPod('web');
    expect(after.status?.podIP).toBe(before.status?.podIP);
    expect(after.status?.containerStatuses?.[0]).toMatchObject({
      restartCount: 0,
      containerID: before.status?.containerStatuses?.[0]?.containerID,
      state: before.status?.containerStatuses?.[0]?.state,
    });
    await kubectlOk('delete', 'pod', 'web', '--grace-period=1', '--timeout=50s');
    expect(await handles()).toEqual([]);
  }, 120_000);

  it('whose agent is away keeps a new pod waiting, and says what for', async () => {
    const agent = NODE_PROCESSES.find(({ name }) => name === 'agent');
    if (agent === undefined) throw new Error('the lab has no agent');
    await host.stopProcess('agent');
    try {
      await apply('late', busybox('exec sleep 1000', { nodeName: 'node-1' }));
      await waitUntil(
        'it says what it waits for',
        async () => /FailedCreatePodSandBox.*agent/.test(await events('late')),
        50_000,
      );
      const { status } = await getPod('late');
      expect(status?.phase).toBe('Pending');
      expect(status?.conditions?.find(({ type }) => type === 'Ready')?.message).toMatch(/agent/);
    } finally {
      await host.startProcess(agent, test.lab.contextOf(host));
    }
    await ready('late');
  }, 150_000);

  it('on a host that was cut off and booted again starts its pods anew, and no address leaks', async () => {
    await apply('web', busybox('exec sleep 1000', { nodeName: 'node-1' }));
    const before = await ready('web');
    await test.lab.removeHost('node-1', { how: 'power-off', keepState: true });
    host = await test.lab.addHost('node-1');
    await waitUntil(
      'the pod was started again',
      async () => (await getPod('web')).status?.containerStatuses?.[0]?.restartCount === 1,
      60_000,
    );
    const after = await ready('web');
    expect(after.metadata.uid).toBe(before.metadata.uid);
    const shown = await inPod('web', 'ip', '-4', 'addr', 'show', 'eth0');
    expect(shown.stdout).toContain(`inet ${after.status?.podIP ?? 'none'}/32`);
    expect(await handles()).toHaveLength(1);
    expect(namespacesOnDisk()).toHaveLength(1);
  }, 150_000);
});
