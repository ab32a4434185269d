// bgpctl's commands that change something: sessions, the configuration, the process itself.

import type { Command } from 'commander';
import type { BgpdConfigurationInput, BgpdFieldError } from '../../lib/protocol/bgpd.ts';
import { readBgpdFile } from '../../lib/protocol/bgpd-file.ts';
import { CliError } from '../cli-error.ts';
import { type BgpctlContext, examples } from './context.ts';

export function addActCommands(program: Command, context: BgpctlContext): void {
  program
    .command('configure')
    .description('Puts a whole configuration in force; bgpd finds out what is different (docs/bgp.md)')
    .argument('<file>', 'YAML or JSON')
    .addHelpText('after', examples('configure bgpd.yaml'))
    .action((file: string) => configure(context, file));
  for (const [name, description] of [
    ['reset', "Ends a peer's session and begins it anew (Cease 6/4)"],
    ['refresh', 'Asks a peer for its routes again (RFC 2918)'],
  ] as const) {
    program
      .command(name)
      .description(description)
      .argument('<peer>')
      .addHelpText('after', examples(`${name} node-2`))
      .action((peer: string) => context.withBgpd((client) => client.actOnPeer(name, peer)));
  }
  for (const [name, description] of [
    ['shutdown', 'Ends bgpd for good: peers drop our routes, the kernel loses them'],
    ['restart', 'Ends bgpd for a graceful restart: routes stay, here and at the peers'],
  ] as const) {
    program
      .command(name)
      .description(description)
      .action(() => context.withBgpd((client) => client.end(name)));
  }
}

async function configure(context: BgpctlContext, path: string): Promise<void> {
  const file = await readBgpdFile(path);
  if (!file.ok) throw unusable(file.errors);
  await context.withBgpd(async (client) => {
    const number = 1 + (client.hello.configurationNumber ?? 0);
    const result = await client.configure(number, file.document as BgpdConfigurationInput);
    if (!result.ok)
      throw unusable(result.errors.map(({ field, message }) => ({ field: `${path}: ${field}`, message })));
    context.out(`configuration ${number} is in force\n`);
  });
}

function unusable(errors: readonly BgpdFieldError[]): CliError {
  const problems = errors.map(({ field, message }) => `${field}: ${message}`);
  return new CliError({ code: 'manifest', problems }, problems.join('\n'), {
    next: 'nothing was changed: mend the file and hand it over again',
  });
}
