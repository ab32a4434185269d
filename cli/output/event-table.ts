// Events as lines under each other: TIME HOST COMPONENT KIND OBJECT CAUSE.

import type { CalicoEvent } from '../../lib/events/event.ts';
import { LiveTable } from './live-table.ts';

export function eventTable(isLive: boolean): LiveTable {
  return new LiveTable(
    ['TIME', 'HOST', 'COMPONENT', 'KIND', 'OBJECT', 'CAUSE'],
    [24, 10, 10, 18, 32],
    isLive,
  );
}

export function eventRow({ time, host, component, kind, object = '', ...rest }: CalicoEvent): string[] {
  const { peer, count, revision, generation, durationMs, cause } = rest;
  const details = [
    peer === undefined ? undefined : `peer=${peer}`,
    count === undefined ? undefined : `count=${count}`,
    revision === undefined ? undefined : `revision=${revision}`,
    generation === undefined ? undefined : `generation=${generation}`,
    durationMs === undefined ? undefined : `${Math.round(durationMs * 10) / 10}ms`,
    cause,
  ];
  return [time, host, component, kind, object, details.filter((detail) => detail !== undefined).join(' ')];
}
