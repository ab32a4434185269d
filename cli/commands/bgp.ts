// `calicoctl bgp peers|rib|rib-in|rib-out|routes|why|history`: what the bgpd of every node does, from anywhere. `bgpctl` shows
// more of one.

import type { Command } from 'commander';
import type { KubeClient } from '../../lib/kube-client/client.ts';
import type { BgpdHistory } from '../../lib/protocol/bgpd-status.ts';
import {
  parseNodeHistory,
  parseNodeRib,
  parseNodeRibIn,
  parseNodeRibOut,
  parseNodeWhy,
} from '../../lib/protocol/node-bgp.ts';
import type { NodeStatus } from '../../lib/protocol/node-status.ts';
import { CliError } from '../cli-error.ts';
import { renderHistory } from '../output/bgp/history.ts';
import { type PeerRow, renderPeers } from '../output/bgp/peers.ts';
import {
  clusterRoutes,
  type NodeRoutes,
  type NodeWhy,
  renderClusterRoutes,
  renderReachability,
} from '../output/bgp/reachability.ts';
import { renderDestinations, renderReceived, renderSent, renderWhy } from '../output/bgp/routes.ts';
import { FORMAT_OPTION, parseFormat, renderAs } from '../output/format.ts';
import { parsePrefix, prefixQuery } from '../prefix-argument.ts';
import type { ProgramContext } from '../program-context.ts';
import { collect, examples } from './command-parts.ts';
import { askNodeFor, askNodes, statusOfNode } from './node-views.ts';

interface BgpOptions {
  readonly node?: readonly string[];
  readonly output: string;
}

const NODE_OPTION = ['--node <name>', 'of this node only; may be repeated (default: all)', collect] as const;
/** Destinations that are asked of each node. */
const RIB_LIMIT = '100000';
const UNHEALTHY = 1;

export function addBgpCommands(program: Command, context: ProgramContext): void {
  const bgp = program
    .command('bgp')
    .description("The nodes' BGP speakers, through the controller of the cluster; bgpctl shows more of one");
  bgp
    .command('peers')
    .description('Peers of all nodes; why a session is down and what to do; exit code 1 if one is')
    .option(...NODE_OPTION)
    .option(...FORMAT_OPTION)
    .addHelpText('after', examples('bgp peers', 'bgp peers --node node-1 -o wide'))
    .action((options: BgpOptions) => peers(context, options));
  bgp
    .command('rib')
    .description('Loc-RIBs: every path, the verdict on it, and by which step it won or lost')
    .argument('[prefix]', 'one destination')
    .option(...NODE_OPTION)
    .option(...FORMAT_OPTION)
    .addHelpText('after', examples('bgp rib --node node-1', 'bgp rib 10.65.0.0/26'))
    .action((prefix: string | undefined, options: BgpOptions) => rib(context, prefixQuery(prefix), options));
  addAdjacentCommand(bgp, context, {
    name: 'rib-in',
    description: 'Adj-RIB-In: what a peer has announced, and what the import policy made of it',
    parse: parseNodeRibIn,
    render: renderReceived,
  });
  addAdjacentCommand(bgp, context, {
    name: 'rib-out',
    description: 'Adj-RIB-Out: what a peer has been told, with the attributes it has seen',
    parse: parseNodeRibOut,
    render: renderSent,
  });
  bgp
    .command('routes')
    .description('Where destinations are originated and who reaches them; with PREFIX by which way')
    .argument('[prefix]', 'prefix or address')
    .option(...NODE_OPTION)
    .option(...FORMAT_OPTION)
    .addHelpText('after', examples('bgp routes', 'bgp routes 10.65.0.7'))
    .action((prefix: string | undefined, options: BgpOptions) =>
      prefix === undefined ? allRoutes(context, options) : routesTo(context, prefix, options),
    );
  bgp
    .command('why')
    .description('A destination explained: each path, the kernel, and each peer: what it is told or why not')
    .argument('<prefix>', 'prefix or address; without a route of its own the nearest that cover it')
    .option(...NODE_OPTION)
    .option(...FORMAT_OPTION)
    .addHelpText('after', examples('bgp why 10.65.0.7 --node node-1'))
    .action((prefix: string, options: BgpOptions) => why(context, prefix, options));
  bgp
    .command('history')
    .description('What has happened to sessions, with NOTIFICATIONs decoded')
    .argument('[peer]', 'name of a peer (default: all)')
    .option('--raw', 'malformed messages octet by octet')
    .option(...NODE_OPTION)
    .option(...FORMAT_OPTION)
    .addHelpText('after', examples('bgp history --node node-1', 'bgp history node.node-2.v4'))
    .action((peer: string | undefined, options: BgpOptions & { readonly raw?: boolean }) =>
      history(context, peer, options),
    );
}

type PrefixQuery = ReturnType<typeof prefixQuery>;

/** One of the two tables that belong to a peer (RFC 4271 §3.2). */
interface AdjacentView<Path> {
  readonly name: 'rib-in' | 'rib-out';
  readonly description: string;
  readonly parse: (answer: unknown) => readonly Path[] | undefined;
  readonly render: (paths: readonly Path[]) => string;
}

function addAdjacentCommand<Path>(bgp: Command, context: ProgramContext, view: AdjacentView<Path>): void {
  const { name, description } = view;
  bgp
    .command(name)
    .description(description)
    .argument('<peer>', 'name of a peer, as "bgp peers" lists it')
    .argument('[prefix]', 'one destination')
    .option(...NODE_OPTION)
    .option(...FORMAT_OPTION)
    .addHelpText(
      'after',
      examples(`bgp ${name} node.node-2.v4 --node node-1`, `bgp ${name} node.node-2.v4 10.65.0.0/26`),
    )
    .action((peer: string, prefix: string | undefined, options: BgpOptions) =>
      adjacent(context, view, peer, prefixQuery(prefix), options),
    );
}

/** Of the nodes that have a peer of that name. */
function adjacent<Path>(
  context: ProgramContext,
  { name: view, parse, render }: AdjacentView<Path>,
  peer: string,
  query: PrefixQuery,
  { node = [], output }: BgpOptions,
): Promise<void> {
  const format = parseFormat(output);
  return context.connections().withApi(async (client) => {
    const asked = await askNodes(context, client, node, async (name) => {
      const peers = peerRows(await statusOfNode(context, client, name));
      if (!peers.some((row) => row.peer.name === peer)) return undefined;
      const asking = { peer, ...pageQuery(query) };
      return { node: name, paths: await askNodeFor(context, client, name, view, asking, parse) };
    });
    const answers = ofPeer(peer, asked);
    const sections = (): string =>
      answers.map(({ node: of, paths }) => `NODE ${of}\n${render(paths)}`).join('\n');
    context.out(renderAs(format, answers, sections));
    asked.report();
  });
}

/** Answers of the nodes that have the peer, where one is named. Throws CliError if none has. */
function ofPeer<T>(
  peer: string | undefined,
  { answers, isComplete }: { readonly answers: readonly (T | undefined)[]; readonly isComplete: boolean },
): T[] {
  const found = answers.filter((answer) => answer !== undefined);
  if (peer === undefined || found.length > 0 || !isComplete) return found;
  throw new CliError({ code: 'failed' }, `no node has a peer ${peer}`, {
    next: '"calicoctl bgp peers" lists them',
  });
}

function pageQuery({ prefix }: PrefixQuery): Readonly<Record<string, string>> {
  return prefix === undefined ? { limit: RIB_LIMIT } : { prefix };
}

function peers(context: ProgramContext, { node = [], output }: BgpOptions): Promise<void> {
  const format = parseFormat(output);
  return context.connections().withApi(async (client) => {
    const asked = await askNodes(context, client, node, (name) => statusOfNode(context, client, name));
    const rows = asked.answers.flatMap(peerRows);
    context.out(renderAs(format, rows, (isWide) => renderPeers(rows, context.now(), isWide)));
    for (const status of asked.answers)
      if ('error' in status.bgp) context.err(`${status.node}: ${status.bgp.error}\n`);
    asked.report();
    const isWell = asked.answers.every(({ bgp }) => !('error' in bgp));
    if (!isWell || rows.some(({ peer }) => peer.state !== 'Established')) context.setExitCode(UNHEALTHY);
  });
}

function peerRows({ node, bgp }: NodeStatus): PeerRow[] {
  return 'error' in bgp ? [] : bgp.peers.map((peer) => ({ node, peer }));
}

function rib(context: ProgramContext, query: PrefixQuery, { node = [], output }: BgpOptions): Promise<void> {
  const format = parseFormat(output);
  return context.connections().withApi(async (client) => {
    const asked = await askNodes(context, client, node, (name) => ribOf(context, client, name, query));
    const rows = asked.answers.flatMap(({ node: of, destinations }) =>
      destinations.map((destination) => ({ node: of, destination })),
    );
    context.out(renderAs(format, asked.answers, (isWide) => renderDestinations(rows, isWide)));
    if (query.prefix === undefined) sayWhatIsCut(context, asked.answers);
    asked.report();
  });
}

function allRoutes(context: ProgramContext, { node = [], output }: BgpOptions): Promise<void> {
  const format = parseFormat(output);
  return context.connections().withApi(async (client) => {
    const asked = await askNodes(context, client, node, (name) => ribOf(context, client, name, {}));
    const routes = clusterRoutes(asked.answers);
    context.out(renderAs(format, routes, () => renderClusterRoutes(routes)));
    sayWhatIsCut(context, asked.answers);
    asked.report();
  });
}

async function ribOf(
  context: ProgramContext,
  client: KubeClient,
  node: string,
  query: PrefixQuery,
): Promise<NodeRoutes> {
  return { node, ...(await askNodeFor(context, client, node, 'rib', pageQuery(query), parseNodeRib)) };
}

function sayWhatIsCut(context: ProgramContext, answers: readonly NodeRoutes[]): void {
  for (const { node, destinations, total } of answers)
    if (total > destinations.length)
      context.err(`# ${node}: ${destinations.length} of ${total}; "bgpctl rib --limit" on it shows more\n`);
}

function routesTo(context: ProgramContext, prefix: string, { node = [], output }: BgpOptions): Promise<void> {
  const format = parseFormat(output);
  const asking = parsePrefix(prefix);
  return context.connections().withApi(async (client) => {
    const asked = await askNodes(context, client, node, (name) => whyOf(context, client, name, asking));
    context.out(renderAs(format, asked.answers, () => renderReachability(asked.answers)));
    asked.report();
  });
}

function why(context: ProgramContext, prefix: string, { node = [], output }: BgpOptions): Promise<void> {
  const format = parseFormat(output);
  const asking = parsePrefix(prefix);
  return context.connections().withApi(async (client) => {
    const asked = await askNodes(context, client, node, (name) => whyOf(context, client, name, asking));
    const sections = (): string =>
      asked.answers
        .map(({ node: of, destinations }) => `NODE ${of}\n${renderWhy(prefix, destinations)}`)
        .join('\n');
    context.out(renderAs(format, asked.answers, sections));
    asked.report();
    if (asked.answers.some(({ destinations }) => destinations.length === 0)) context.setExitCode(UNHEALTHY);
  });
}

async function whyOf(
  context: ProgramContext,
  client: KubeClient,
  node: string,
  prefix: string,
): Promise<NodeWhy> {
  return {
    node,
    destinations: await askNodeFor(context, client, node, 'why', { prefix }, parseNodeWhy),
  };
}

function history(
  context: ProgramContext,
  peer: string | undefined,
  { node = [], output, raw }: BgpOptions & { readonly raw?: boolean },
): Promise<void> {
  const format = parseFormat(output);
  return context.connections().withApi(async (client) => {
    const asked = await askNodes(context, client, node, async (name) => {
      const status = await statusOfNode(context, client, name);
      const names = peerRows(status)
        .map((row) => row.peer.name)
        .filter((one) => peer === undefined || one === peer);
      if (peer !== undefined && names.length === 0) return undefined;
      const ask = (one: string): Promise<BgpdHistory> => {
        const query = { peer: one, ...(raw === true ? { raw: 'true' } : {}) };
        return askNodeFor(context, client, name, 'history', query, parseNodeHistory);
      };
      return { node: name, histories: await Promise.all(names.map(ask)) };
    });
    const answers = ofPeer(peer, asked);
    const sections = (): string =>
      answers
        .map(({ node: of, histories }) => `NODE ${of}\n${histories.map(renderHistory).join('')}`)
        .join('\n');
    context.out(renderAs(format, answers, sections));
    asked.report();
  });
}
