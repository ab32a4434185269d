// One compose cluster for a test file, through testcontainers: a project, network and port of its own, so that it runs
// beside a demo. What an earlier run left behind is swept by the project's label first.
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DockerComposeEnvironment, type StartedDockerComposeEnvironment } from 'testcontainers';
import { run } from '../../../lib/process/run.ts';
import { buildImages, Cluster } from '../../../scripts/cluster.ts';
import { type Engine, ensureEngine } from '../../../scripts/engine.ts';

const ROOT = join(import.meta.dirname, '../../..');
export const PROJECT = 'calico-ts-e2e';
/** Compose's own, and the kubelet's on what it runs in the engine. */
const LABELS = [`label=com.docker.compose.project=${PROJECT}`, `label=calico-ts.dev/cluster=${PROJECT}`];

export interface E2eCluster {
  readonly cluster: Cluster;
  /** The same containers with the Docker engine in the hosts' hands. */
  readonly clusterWithDocker: Cluster;
  readonly environment: StartedDockerComposeEnvironment;
  /** Removes everything, and answers what is left of containers, networks and volumes. */
  stop(): Promise<readonly string[]>;
}

export async function startE2eCluster(): Promise<E2eCluster> {
  const found = await ensureEngine({ mayInstall: true });
  await buildImages(found, { mayInstall: true });
  const variables = {
    COMPOSE_PROJECT_NAME: PROJECT,
    CALICO_TS_NETWORK: '172.29.41',
    CALICO_TS_POD_CIDR: '10.65.0.0/16',
    // A host that is slow to come back on a busy machine must not lose its pods.
    CALICO_TS_NODE_REMOVAL_SECONDS: '0',
    CALICO_TS_API_PORT: String(await freePort()),
  };
  const engine: Engine = { ...found, env: { ...found.env, ...variables } };
  const cluster = new Cluster(engine);
  await cluster.down();
  // It cannot be pulled everywhere; the label does its work.
  process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true';
  const environment = await new DockerComposeEnvironment(ROOT, 'compose.yaml')
    .withProjectName(PROJECT)
    .withEnvironment(variables)
    .withClientOptions({ commandOptions: ['--wait'] })
    .up();
  return {
    cluster,
    clusterWithDocker: new Cluster(engine, ['compose.yaml', 'compose.docker.yaml']),
    environment,
    stop: async () => {
      await environment.down({ removeVolumes: true });
      await cluster.down();
      return await leftOver(engine.env);
    },
  };
}

async function leftOver(env: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const listings = [
    ['ps', '-a', '--format', '{{.Names}}'],
    ['network', 'ls', '--format', '{{.Name}}'],
    ['volume', 'ls', '--format', '{{.Name}}'],
  ];
  const results = await Promise.all(
    LABELS.flatMap((label) => listings.map((args) => run('docker', [...args, '--filter', label], { env }))),
  );
  return results.flatMap(({ stdout }) => stdout.split('\n')).filter((line) => line !== '');
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('no port');
  return address.port;
}
