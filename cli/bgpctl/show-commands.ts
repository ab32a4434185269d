// bgpctl's commands that look: status, peers, routes, why, history, events, metrics.

import type { Command } from 'commander';
import type { BgpdClient } from '../../lib/protocol/bgpd-client.ts';
import type { BgpdPeerStatus } from '../../lib/protocol/bgpd-status.ts';
import { CliError, usageError } from '../cli-error.ts';
import { renderEvent, renderHistory } from '../output/bgp/history.ts';
import { complaintsOf, renderPeer, renderPeers, renderStatus } from '../output/bgp/peers.ts';
import { renderDestinations, renderReceived, renderSent, renderWhy } from '../output/bgp/routes.ts';
import { FORMAT_OPTION, parseFormat, renderAs } from '../output/format.ts';
import { parsePrefix, prefixQuery } from '../prefix-argument.ts';
import { type BgpctlContext, examples } from './context.ts';

interface OutputOptions {
  readonly output: string;
}
interface PageOptions extends OutputOptions {
  readonly limit: string;
}

const LIMIT_OPTION = ['--limit <n>', 'so many at most', '1000'] as const;
const UNHEALTHY = 1;

export function addShowCommands(program: Command, context: BgpctlContext): void {
  addPeerCommands(program, context);
  addRouteCommands(program, context);
  addEventsCommand(program, context);
  program
    .command('metrics')
    .description('Its metrics, in the form of Prometheus')
    .action(() => context.withBgpd(async (client) => context.out(await client.metrics())));
}

function addPeerCommands(program: Command, context: BgpctlContext): void {
  program
    .command('status')
    .description('What it is and does; exit code 1: something is not well')
    .option(...FORMAT_OPTION)
    .addHelpText('after', examples('status', 'status -o json'))
    .action(({ output }: OutputOptions) => {
      const format = parseFormat(output);
      return context.withBgpd(async (client) => {
        const status = await client.status();
        context.out(renderAs(format, status, () => renderStatus(status, context.now())));
        if (complaintsOf(status).length > 0) context.setExitCode(UNHEALTHY);
      });
    });
  program
    .command('peers')
    .description('All peers with state and counts; why a session is down, and what to do')
    .option(...FORMAT_OPTION)
    .addHelpText('after', examples('peers', 'peers -o wide'))
    .action(({ output }: OutputOptions) => {
      const format = parseFormat(output);
      return context.withBgpd(async (client) => {
        const { peers } = await client.status();
        const rows = peers.map((peer) => ({ peer }));
        context.out(renderAs(format, peers, (isWide) => renderPeers(rows, context.now(), isWide)));
      });
    });
  program
    .command('peer')
    .description('One peer in full: what was agreed on, counts, why it is down')
    .argument('<name>')
    .option(...FORMAT_OPTION)
    .addHelpText('after', examples('peer node-2'))
    .action((name: string, { output }: OutputOptions) => {
      const format = parseFormat(output);
      return context.withBgpd(async (client) => {
        const peer = await peerOf(client, name);
        context.out(renderAs(format, peer, () => renderPeer(peer, context.now())));
      });
    });
  program
    .command('history')
    .description('What has happened to the sessions with a peer, with NOTIFICATIONs decoded')
    .argument('<peer>')
    .option('--raw', 'malformed messages octet by octet')
    .option(...FORMAT_OPTION)
    .addHelpText('after', examples('history node-2', 'history node-2 --raw'))
    .action((peer: string, { output, raw }: OutputOptions & { readonly raw?: boolean }) => {
      const format = parseFormat(output);
      return context.withBgpd(async (client) => {
        const history = await client.history(peer, raw === true);
        context.out(renderAs(format, history, () => renderHistory(history)));
      });
    });
}

function addRouteCommands(program: Command, context: BgpctlContext): void {
  program
    .command('rib')
    .description('Loc-RIB: every path, the verdict on it, and by which step it won or lost')
    .argument('[prefix]', 'one destination')
    .option(...LIMIT_OPTION)
    .option(...FORMAT_OPTION)
    .addHelpText('after', examples('rib', 'rib 10.65.0.0/26 -o wide', 'rib --limit 100000 -o json'))
    .action((prefix: string | undefined, options: PageOptions) => {
      const format = parseFormat(options.output);
      const page = { limit: parseLimit(options.limit), ...prefixQuery(prefix) };
      return context.withBgpd(async (client) => {
        const rib = await client.rib(page);
        const rows = rib.destinations.map((destination) => ({ destination }));
        context.out(renderAs(format, rib, (isWide) => renderDestinations(rows, isWide)));
        if (prefix === undefined && rib.total > rows.length)
          context.err(`# ${rows.length} of ${rib.total}; --limit shows more\n`);
      });
    });
  for (const [name, direction] of [
    ['rib-in', 'Adj-RIB-In: what a peer has announced, and what the import policy made of it'],
    ['rib-out', 'Adj-RIB-Out: what a peer has been told, with the attributes it has seen'],
  ] as const) {
    program
      .command(name)
      .description(direction)
      .argument('<peer>')
      .argument('[prefix]', 'one destination')
      .option(...LIMIT_OPTION)
      .option(...FORMAT_OPTION)
      .addHelpText('after', examples(`${name} node-2`, `${name} node-2 10.65.0.0/26`))
      .action((peer: string, prefix: string | undefined, options: PageOptions) => {
        const format = parseFormat(options.output);
        const page = { limit: parseLimit(options.limit), ...prefixQuery(prefix) };
        return context.withBgpd(async (client) => {
          if (name === 'rib-in') {
            const paths = await client.ribIn(peer, page);
            context.out(renderAs(format, paths, () => renderReceived(paths)));
          } else {
            const paths = await client.ribOut(peer, page);
            context.out(renderAs(format, paths, () => renderSent(paths)));
          }
        });
      });
  }
  program
    .command('why')
    .description('A destination explained: each path, the kernel, and each peer: what it is told or why not')
    .argument('<prefix>', 'prefix or address; without a route of its own the nearest that cover it')
    .option(...FORMAT_OPTION)
    .addHelpText('after', examples('why 10.65.0.0/26', 'why 10.65.0.7'))
    .action((prefix: string, { output }: OutputOptions) => {
      const format = parseFormat(output);
      const asked = parsePrefix(prefix);
      return context.withBgpd(async (client) => {
        const found = await client.why(asked);
        context.out(renderAs(format, found, () => renderWhy(prefix, found)));
        if (found.length === 0) context.setExitCode(1);
      });
    });
}

interface EventsOptions extends OutputOptions {
  readonly follow?: boolean;
  readonly after: string;
}

function addEventsCommand(program: Command, context: BgpctlContext): void {
  program
    .command('events')
    .description('What has happened, oldest first')
    .option('-f, --follow', 'go on with what happens')
    .option('--after <seq>', 'those behind this number', '0')
    .option('-o, --output <format>', 'table, or json: an object a line', 'table')
    .addHelpText('after', examples('events', 'events -f', 'events -f -o json'))
    .action(({ follow, after, output }: EventsOptions) => {
      if (!/^\d{1,15}$/.test(after)) throw usageError(`--after ${after} is no number`);
      if (output !== 'table' && output !== 'json')
        throw usageError(`unrecognized output format ${output}`, 'use table or json');
      return context.withBgpd(async (client) => {
        const stop = new Promise<void>((resolve) => {
          if (context.signal.aborted) resolve();
          context.signal.addEventListener('abort', () => resolve(), { once: true });
        });
        client.follow(
          Number(after),
          (event) => context.out(output === 'json' ? `${JSON.stringify(event)}\n` : renderEvent(event)),
          (count) => context.err(`# ${count} events were overwritten before they could be told\n`),
        );
        // Requests are answered in order: the past is there when the next answer is.
        await client.status();
        if (follow === true) await Promise.race([client.closed, stop]);
      });
    });
}

async function peerOf(client: BgpdClient, name: string): Promise<BgpdPeerStatus> {
  const { peers } = await client.status();
  const peer = peers.find((one) => one.name === name || one.address === name);
  if (peer !== undefined) return peer;
  throw new CliError({ code: 'failed' }, `no peer is named ${name}`, { next: '"bgpctl peers" lists them' });
}

function parseLimit(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw usageError(`--limit ${text} is no count`);
}
