// `calicoctl ipam show|check|release|configure`: pools, blocks and addresses, from etcd or through the controller.

import type { Command } from 'commander';
import type { IpamInspection } from '../../lib/ipam/inspection.ts';
import type { IpamSettings } from '../../lib/ipam/types.ts';
import { CliError, usageError } from '../cli-error.ts';
import {
  problemsOf,
  renderAddress,
  renderAudit,
  renderBorrowed,
  renderSettings,
  renderUsage,
} from '../output/ipam.ts';
import type { ProgramContext } from '../program-context.ts';
import { examples } from './command-parts.ts';

interface ShowOptions {
  readonly ip?: string;
  readonly showBlocks?: boolean;
  readonly showBorrowed?: boolean;
  readonly showConfiguration?: boolean;
  readonly output?: string;
}
interface CheckOptions {
  readonly showAllIps?: boolean;
  readonly showProblemIps?: boolean;
  readonly output?: string;
}
interface ConfigureOptions {
  readonly strictaffinity?: string;
  readonly autoAllocateBlocks?: string;
  readonly maxBlocksPerHost?: string;
  readonly kubevirtIpPersistence?: string;
  readonly ipCooldownSeconds?: string;
}

export function addIpamCommands(program: Command, context: ProgramContext): void {
  const ipam = program.command('ipam').description('Show and check address management');
  const withIpam = (work: (ipam: IpamInspection) => Promise<void>): Promise<void> =>
    context.connections().withBackend((backend) => work(backend.ipam));
  ipam
    .command('show')
    .description('How full the pools are; or one address, blocks, borrowed addresses, settings')
    .option('--ip <address>', 'who has this address')
    .option('--show-blocks', 'the blocks of each pool')
    .option('--show-borrowed', "addresses in other hosts' blocks")
    .option('--show-configuration', 'the settings')
    .option('-o, --output <format>', 'json')
    .addHelpText('after', examples('ipam show --show-blocks', 'ipam show --ip=10.65.0.4'))
    .action((options: ShowOptions) => withIpam((access) => show(context, access, options)));
  ipam
    .command('check')
    .description(
      'Hold what is stored against what is used; exit code 1 if there are problems. Changes nothing',
    )
    .option('--show-all-ips', 'every address with its state')
    .option('--show-problem-ips', 'the addresses with a problem')
    .option('-o, --output <format>', 'json')
    .addHelpText('after', examples('ipam check --show-problem-ips'))
    .action((options: CheckOptions) => withIpam((access) => check(context, access, options)));
  ipam
    .command('release')
    .description('Give an address back that nobody uses any more')
    .requiredOption('--ip <address>', 'the address')
    .addHelpText('after', examples('ipam release --ip=10.65.0.4'))
    .action(({ ip }: { ip: string }) =>
      withIpam(async (access) => {
        if (!(await access.release(ip)))
          throw new CliError({ code: 'failed' }, `IP address ${ip} is not assigned`, {
            next: '"calicoctl ipam show --show-blocks" shows the blocks',
          });
        context.out(`Successfully released IP address ${ip}\n`);
      }),
    );
  ipam
    .command('configure')
    .description('Change the settings of address management')
    .option('--strictaffinity <boolean>', "no addresses in other hosts' blocks")
    .option('--auto-allocate-blocks <boolean>', 'hosts claim new blocks')
    .option('--max-blocks-per-host <n>', '0: the default of 20')
    .option('--kubevirt-ip-persistence <mode>', 'Enabled or Disabled')
    .option('--ip-cooldown-seconds <n>', 'how long a released address is not assigned again')
    .addHelpText('after', examples('ipam configure --strictaffinity=true --max-blocks-per-host=4'))
    .action((options: ConfigureOptions) => withIpam((access) => configure(context, access, options)));
}

async function show(context: ProgramContext, ipam: IpamInspection, options: ShowOptions): Promise<void> {
  const isJson = isJsonOutput(options.output);
  const print = <T>(value: T, render: (value: T) => string): void =>
    context.out(isJson ? `${JSON.stringify(value, null, 2)}\n` : render(value));
  if (options.ip !== undefined) print(await ipam.address(options.ip), renderAddress);
  else if (options.showBorrowed === true) {
    const [audit, usage] = [await ipam.audit(), await ipam.usage()];
    const borrowed = audit.allocations.filter(({ isBorrowed }) => isBorrowed);
    print(borrowed, (allocations) => renderBorrowed(allocations, usage));
  } else if (options.showConfiguration === true) print(await ipam.settings(), renderSettings);
  else print(await ipam.usage(), (usage) => renderUsage(usage, options.showBlocks === true));
}

async function check(context: ProgramContext, ipam: IpamInspection, options: CheckOptions): Promise<void> {
  const audit = await ipam.audit();
  const text = isJsonOutput(options.output)
    ? `${JSON.stringify(audit, null, 2)}\n`
    : renderAudit(audit, { all: options.showAllIps === true, problems: options.showProblemIps === true });
  context.out(text);
  if (problemsOf(audit).length > 0) context.setExitCode(1);
}

async function configure(
  context: ProgramContext,
  ipam: IpamInspection,
  options: ConfigureOptions,
): Promise<void> {
  const { strictaffinity, autoAllocateBlocks, maxBlocksPerHost, kubevirtIpPersistence, ipCooldownSeconds } =
    options;
  const change: Partial<IpamSettings> = {
    ...(strictaffinity === undefined
      ? {}
      : { strictAffinity: parseBoolean('strictaffinity', strictaffinity) }),
    ...(autoAllocateBlocks === undefined
      ? {}
      : { autoAllocateBlocks: parseBoolean('auto-allocate-blocks', autoAllocateBlocks) }),
    ...(maxBlocksPerHost === undefined
      ? {}
      : { maxBlocksPerHost: parseCount('max-blocks-per-host', maxBlocksPerHost) }),
    ...(kubevirtIpPersistence === undefined
      ? {}
      : { kubeVirtVMAddressPersistence: parsePersistence(kubevirtIpPersistence) }),
    ...(ipCooldownSeconds === undefined
      ? {}
      : { ipCooldownSeconds: parseCount('ip-cooldown-seconds', ipCooldownSeconds) }),
  };
  if (Object.keys(change).length === 0)
    throw usageError('name a setting to change', '"calicoctl ipam configure --help"');
  await ipam.setSettings({ ...(await ipam.settings()), ...change });
  for (const [name, value] of Object.entries(change))
    context.out(`Successfully set ${name} to: ${String(value)}\n`);
}

function isJsonOutput(output: string | undefined): boolean {
  if (output !== undefined && output !== 'json')
    throw usageError(`unrecognized output format ${output}`, 'use json');
  return output === 'json';
}

function parseBoolean(name: string, text: string): boolean {
  if (/^(true|false)$/i.test(text)) return text.toLowerCase() === 'true';
  throw usageError(`--${name} is true or false, not ${text}`);
}

function parseCount(name: string, text: string): number {
  if (/^\d{1,7}$/.test(text)) return Number(text);
  throw usageError(`--${name} is a number, not ${text}`);
}

function parsePersistence(text: string): 'Enabled' | 'Disabled' {
  if (text === 'Enabled' || text === 'Disabled') return text;
  throw usageError(`--kubevirt-ip-persistence is Enabled or Disabled, not ${text}`);
}
