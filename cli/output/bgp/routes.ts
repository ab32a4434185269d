// BGP routes as tables: Loc-RIB, Adj-RIB-In, Adj-RIB-Out (RFC 4271 §3.2), and one destination explained.

import type {
  BgpdAdvertisement,
  BgpdAttributes,
  BgpdDestination,
  BgpdExplainedPath,
  BgpdReceivedPath,
  BgpdSentPath,
  BgpdWhy,
} from '../../../lib/protocol/bgpd-routes.ts';
import { renderTable } from '../table.ts';

/** A destination, and at which node where several are shown. */
export interface DestinationRow {
  readonly node?: string;
  readonly destination: BgpdDestination;
}

const ATTRIBUTE_HEADINGS = ['NEXT-HOP', 'LOCAL-PREF', 'MED', 'AS-PATH', 'ORIGIN'];

/** A line a path, the best of a destination first. */
export function renderDestinations(rows: readonly DestinationRow[], isWide: boolean): string {
  if (rows.length === 0) return 'No routes.\n';
  const hasNodes = rows.some(({ node }) => node !== undefined);
  const headings = [
    ...(hasNodes ? ['NODE'] : []),
    ...['PREFIX', 'VERDICT', 'FROM', ...ATTRIBUTE_HEADINGS],
    ...(isWide ? ['COMMUNITIES', 'ADVERTISED-TO'] : []),
    'REASON',
  ];
  return renderTable(
    headings,
    rows.flatMap(({ node = '', destination: { prefix, paths, advertisedTo } }) =>
      paths.map((path) => [
        ...(hasNodes ? [node] : []),
        prefix,
        path.stale ? `${path.verdict}, stale` : path.verdict,
        path.source,
        ...attributeCells(path),
        ...(isWide ? [listText(path.communities), listText(advertisedTo)] : []),
        path.reason ?? '',
      ]),
    ),
  );
}

/** As they came, and what the import policy made of them. */
export function renderReceived(paths: readonly BgpdReceivedPath[]): string {
  if (paths.length === 0) return 'Nothing received.\n';
  return renderTable(
    ['PREFIX', ...ATTRIBUTE_HEADINGS, 'COMMUNITIES', 'VERDICT', 'POLICY'],
    paths.map(({ prefix, received, accepted, verdict, why, stale }) => [
      prefix,
      ...attributeCells(received),
      listText(received.communities),
      stale ? `${verdict}, stale` : verdict,
      accepted === undefined ? (why ?? 'not accepted') : changesOf(received, accepted),
    ]),
  );
}

export function renderSent(paths: readonly BgpdSentPath[]): string {
  if (paths.length === 0) return 'Nothing advertised.\n';
  return renderTable(
    ['PREFIX', ...ATTRIBUTE_HEADINGS, 'COMMUNITIES'],
    paths.map(({ prefix, attributes }) => [
      prefix,
      ...attributeCells(attributes),
      listText(attributes.communities),
    ]),
  );
}

/** `asked`: prefix or address as it was asked for. */
export function renderWhy(asked: string, found: readonly BgpdWhy[]): string {
  const [first] = found;
  if (first === undefined) return `No route for ${asked}, and none that covers it.\n`;
  const head = first.isExact ? [] : [`No route for ${asked} itself; the nearest that cover it:\n`];
  return [...head, ...found.map(renderOne)].join('\n');
}

function renderOne({ prefix, paths, kernel, advertised }: BgpdWhy): string {
  return [
    `${prefix}\n`,
    '  Paths\n',
    ...paths.map((path) => `    ${pathHead(path)}\n      ${path.why}\n`),
    `  Kernel\n    ${kernel.why}\n`,
    '  Peers\n',
    ...(advertised.length === 0
      ? ['    none\n']
      : advertised.map((one) => `    ${one.peer}: ${toldText(one)}\n`)),
  ].join('');
}

function pathHead(path: BgpdExplainedPath): string {
  const from = path.source === 'local' ? 'our own' : `from ${path.source}`;
  return `${path.verdict}, ${from}: ${attributesText(path)}`;
}

function toldText({ sent, isPending, why }: BgpdAdvertisement): string {
  if (sent.length === 0) return why;
  const texts = sent.map(attributesText).join(' | ');
  return isPending === true ? `${why}: ${texts}` : `told ${texts}`;
}

function attributesText(attributes: BgpdAttributes): string {
  const { nextHop, asPath, localPref, multiExitDisc, origin, communities } = attributes;
  return [
    `next hop ${nextHop}`,
    `AS_PATH ${asPath === '' ? 'empty' : asPath}`,
    ...(localPref === undefined ? [] : [`LOCAL_PREF ${localPref}`]),
    ...(multiExitDisc === undefined ? [] : [`MED ${multiExitDisc}`]),
    `ORIGIN ${origin}`,
    ...(communities.length === 0 ? [] : [`communities ${communities.join(' ')}`]),
  ].join(', ');
}

function attributeCells(attributes: BgpdAttributes): string[] {
  const { nextHop, localPref, multiExitDisc, asPath, origin } = attributes;
  return [
    nextHop,
    String(localPref ?? '-'),
    String(multiExitDisc ?? '-'),
    asPath === '' ? '-' : asPath,
    origin,
  ];
}

/** What of the attributes that a table shows is not as it came. */
function changesOf(received: BgpdAttributes, accepted: BgpdAttributes): string {
  const [before, after] = [attributeCells(received), attributeCells(accepted)];
  const changes = ATTRIBUTE_HEADINGS.flatMap((heading, index) =>
    before[index] === after[index] ? [] : [`${heading} ${after[index] ?? '-'}`],
  );
  const added = accepted.communities.filter((community) => !received.communities.includes(community));
  if (added.length > 0) changes.push(`+COMMUNITIES ${added.join(' ')}`);
  return changes.length === 0 ? 'accepted' : `accepted with ${changes.join(', ')}`;
}

function listText(list: readonly string[]): string {
  return list.length === 0 ? '-' : list.join(',');
}
