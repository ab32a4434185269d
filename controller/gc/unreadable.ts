// Says once of each stored value that cannot be read that nothing is concluded from it: a warning in the log and an event.

import type { UnreadableValue } from '../../lib/datastore/resource-access.ts';
import type { EventSink } from '../../lib/events/event.ts';
import type { Logger } from '../../lib/logging/logger.ts';

export class UnreadableNotice {
  readonly #options: { readonly events: EventSink; readonly logger: Logger };
  /** By the object told of, the revision it had. */
  #told = new Map<string, number>();

  constructor(options: { readonly events: EventSink; readonly logger: Logger }) {
    this.#options = options;
  }

  /** All there are now: what is written anew is told of again, and what was mended forgotten. */
  tell(values: readonly UnreadableValue[]): void {
    const now = new Map<string, number>();
    for (const { ref, revision, reason } of values) {
      const object = [ref.kind, ref.namespace, ref.name].filter((part) => part !== undefined).join('/');
      now.set(object, revision);
      if (this.#told.get(object) === revision) continue;
      const cause = `${reason}; what it may hold is left alone`;
      this.#options.logger.warn('a value cannot be read', { object, revision, reason });
      this.#options.events.emit({ component: 'controller', kind: 'valueRefused', object, revision, cause });
    }
    this.#told = now;
  }
}
