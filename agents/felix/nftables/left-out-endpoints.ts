// Endpoints that the kernel refuses, as it may for a name or a rule of theirs: everything else is programmed without them, and they are
// tried again when they, or what they are judged by, have changed (docs/dataplane.md "Driver").

import type { EventSink } from '../../../lib/events/event.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import type { KernelWriterClient } from '../kernel/writer-client.ts';
import { faultyEndpoints } from './faulty-endpoints.ts';
import type { Changes, DataplaneState } from './render/dataplane-state.ts';

export interface LeftOutEndpointsOptions {
  readonly writer: KernelWriterClient;
  readonly state: DataplaneState;
  readonly events: EventSink;
  readonly logger: Logger;
}

export class LeftOutEndpoints {
  readonly #options: LeftOutEndpointsOptions;
  readonly #keys = new Set<string>();

  constructor(options: LeftOutEndpointsOptions) {
    this.#options = options;
  }

  get keys(): ReadonlySet<string> {
    return this.#keys;
  }

  /**
   * The changes, and with them endpoints that are to be programmed again: those that have been written anew, and those that the kernel takes
   * now. It is asked first, under the names of an epoch that is not in use, as a refusal makes everything anew.
   */
  async readmit(changes: Changes, epoch: number): Promise<Changes> {
    for (const key of [...changes.endpoints, ...changes.hostEndpoints]) this.#keys.delete(key);
    const isConcerned = changes.policies.size + changes.profiles.size > 0 || changes.surroundings;
    if (this.#keys.size === 0 || !isConcerned) return changes;
    const { state, logger, writer } = this.#options;
    const candidates = [...this.#keys].filter(
      (key) => state.endpoints.has(key) || state.hostEndpoints.has(key),
    );
    const faulty = await faultyEndpoints(writer, state, candidates, epoch);
    if (faulty === undefined) return changes;
    const refused = new Set(faulty.map(({ key }) => key));
    const readmitted = candidates.filter((key) => !refused.has(key));
    for (const key of readmitted) {
      this.#keys.delete(key);
      logger.info('endpoint programmed again: the kernel takes it now', { endpoint: key });
    }
    const endpoints = readmitted.filter((key) => state.endpoints.has(key));
    const hostEndpoints = readmitted.filter((key) => state.hostEndpoints.has(key));
    return {
      ...changes,
      endpoints: new Set([...changes.endpoints, ...endpoints]),
      hostEndpoints: new Set([...changes.hostEndpoints, ...hostEndpoints]),
    };
  }

  /** Finds those that the kernel refuses now, and says so of each. */
  async leaveOut(epoch: number): Promise<void> {
    const { state, logger, events, writer } = this.#options;
    const known = [...state.endpoints.keys(), ...state.hostEndpoints.keys()];
    const candidates = known.filter((key) => !this.#keys.has(key));
    for (const { key, why } of (await faultyEndpoints(writer, state, candidates, epoch)) ?? []) {
      this.#keys.add(key);
      logger.error('endpoint left out: the kernel refuses it', { endpoint: key, why });
      events.emit({
        component: 'agent',
        kind: 'kernelRefused',
        object: `${state.hostEndpoints.has(key) ? 'HostEndpoint' : 'WorkloadEndpoint'}/${key}`,
        cause: why.slice(0, 300),
      });
    }
  }
}
