// The cluster's event log as the scenes read it: for times, and to see that the chain of causes is whole.

import type { CalicoEvent, EventKind } from '../../lib/events/event.ts';
import { parseEventLine } from '../../lib/protocol/event-lines.ts';
import { compareRecords } from '../../lib/protocol/record-lines.ts';
import type { Stage } from './stage.ts';

/** Events of all hosts and the controller after `since`, in order. */
async function clusterEvents(stage: Stage, since: Date): Promise<readonly CalicoEvent[]> {
  // The log takes only what is later than `after`.
  const after = new Date(since.getTime() - 1).toISOString();
  const text = await stage.kubectl(['get', '--raw', `/apis/calico-ts.dev/v1/events?after=${after}`]);
  const lines = text.split('\n').filter((line) => line !== '');
  return lines
    .flatMap((line) => {
      const parsed = parseEventLine(JSON.parse(line));
      return parsed !== undefined && 'event' in parsed ? [parsed.event] : [];
    })
    .toSorted(compareRecords);
}

/** One link of a chain of causes: what is looked for, and in whose log. */
export interface Link {
  readonly kind: EventKind;
  readonly host?: string;
  readonly matches?: (event: CalicoEvent) => boolean;
  /** Done or stamped beside what follows, which may be earlier. */
  readonly isBeside?: boolean;
  /** What it means, for people. */
  readonly meaning: string;
}

export interface LinkFound {
  readonly link: Link;
  readonly event: CalicoEvent;
  /** Since the first link. */
  readonly ms: number;
}

export type ChainResult =
  | { readonly ok: true; readonly found: readonly LinkFound[] }
  | { readonly ok: false; readonly missing: Link; readonly found: readonly LinkFound[] };

/** Processes stamp their events after the deed: one that was told of it may stamp its own a little earlier. */
const STAMP_SLACK_MS = 50;

/**
 * Finds the links one after another: each at or after the one before it that is not beside it. The first that is missing ends the search. Events
 * must be in order.
 */
export function findChain(events: readonly CalicoEvent[], links: readonly Link[]): ChainResult {
  const found: LinkFound[] = [];
  let notBefore = Number.NEGATIVE_INFINITY;
  for (const link of links) {
    const event = events.find(
      (each) =>
        each.kind === link.kind &&
        (link.host === undefined || each.host === link.host) &&
        Date.parse(each.time) >= notBefore &&
        link.matches?.(each) !== false,
    );
    if (event === undefined) return { ok: false, missing: link, found };
    const at = Date.parse(event.time);
    const first = found[0] === undefined ? at : Date.parse(found[0].event.time);
    found.push({ link, event, ms: at - first });
    if (link.isBeside !== true) notBefore = at - STAMP_SLACK_MS;
  }
  return { ok: true, found };
}

/** A table: milliseconds, host, component, what it means. */
export function renderChain(found: readonly LinkFound[]): string {
  return found
    .map(({ link, event, ms }) => {
      const columns = [`${ms} ms`.padStart(8), event.host.padEnd(12), event.component.padEnd(10)];
      const detail = [event.object, event.cause].filter((text) => text !== undefined).join(': ');
      return `${columns.join(' ')} ${link.meaning}${detail === '' ? '' : `   (${detail})`}`;
    })
    .join('\n');
}

const CHAIN_TIMEOUT_MS = 10_000;

/** Tells when each link happened, by the event log alone; the scene ends if a link stays missing. */
export async function tellChain(
  stage: Stage,
  title: string,
  since: Date,
  links: readonly Link[],
): Promise<void> {
  const result = await stage.eventually(
    `the event log has every step ${title}`,
    async () => findChain(await clusterEvents(stage, since), links),
    ({ ok }) => ok,
    CHAIN_TIMEOUT_MS,
  );
  stage.narrator.step(`the event log, ${title}`);
  stage.narrator.artefact('calicoctl events', renderChain(result.found));
}
