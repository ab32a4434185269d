// `calicoctl version`: of this program, and of the cluster as its ClusterInformation says.

import type { Command } from 'commander';
import type { Resource } from '../../lib/model/metadata.ts';
import type { ProgramContext } from '../program-context.ts';
import { examples } from './command-parts.ts';

interface VersionOptions {
  readonly client?: boolean;
  readonly output?: string;
}

export function addVersionCommand(program: Command, context: ProgramContext, version: string): void {
  program
    .command('version')
    .description('Show the versions of this program and of the cluster')
    .option('--client', 'of this program alone')
    .option('-o, --output <format>', 'json')
    .addHelpText('after', examples('version', 'version --client'))
    .action(async (options: VersionOptions) => {
      const client = { clientVersion: `v${version}` };
      const cluster = options.client === true ? undefined : await clusterVersion(context);
      if (options.output === 'json') {
        context.out(`${JSON.stringify({ ...client, ...cluster }, null, 2)}\n`);
        return;
      }
      context.out(`Client Version:    ${client.clientVersion}\n`);
      if (cluster === undefined) return;
      context.out(`Cluster Version:   ${cluster.clusterVersion ?? 'unknown'}\n`);
      context.out(`Cluster Type:      ${cluster.clusterType ?? 'unknown'}\n`);
    });
}

interface ClusterVersion {
  readonly clusterVersion?: string;
  readonly clusterType?: string;
}

async function clusterVersion(context: ProgramContext): Promise<ClusterVersion> {
  const information: Resource = await context
    .connections()
    .withBackend((backend) => backend.get({ kind: 'ClusterInformation', name: 'default' }));
  const { calicoVersion, clusterType } = (information.spec ?? {}) as {
    calicoVersion?: string;
    clusterType?: string;
  };
  return {
    ...(calicoVersion === undefined ? {} : { clusterVersion: calicoVersion }),
    ...(clusterType === undefined ? {} : { clusterType }),
  };
}
