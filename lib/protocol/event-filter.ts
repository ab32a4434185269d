// Which events are asked for: by host, and by kind (docs/calicoctl.md "Events"). They cross from calicoctl to the controller as query
// parameters. Pure.

import { type CalicoEvent, EVENT_KINDS } from '../events/event.ts';

export interface EventFilter {
  /** Hosts that made the event; any if empty. */
  readonly host: readonly string[];
  readonly kind: readonly string[];
}

/** Throws an Error that says what is wrong. */
export function readEventFilter(parameters: URLSearchParams): EventFilter {
  const kind = parameters.getAll('kind');
  const known: ReadonlySet<string> = new Set(Object.values(EVENT_KINDS).flat());
  const unknown = kind.find((name) => !known.has(name));
  if (unknown !== undefined)
    throw new Error(`invalid kind: ${JSON.stringify(unknown)} is none of ${[...known].join(', ')}`);
  return { host: parameters.getAll('host'), kind };
}

/** Undefined if every event is wanted. */
export function eventMatcher({ host, kind }: EventFilter): ((event: CalicoEvent) => boolean) | undefined {
  if (host.length === 0 && kind.length === 0) return undefined;
  return (event) =>
    (host.length === 0 || host.includes(event.host)) && (kind.length === 0 || kind.includes(event.kind));
}
