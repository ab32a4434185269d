// Feeds a host's dataplane as its agent does: resources in the datastore's form through the host's own calculation graph. What
// changed from one list of resources to the next is worked out here.

import { CalcGraph } from '../../../../agents/felix/calc/calc-graph.ts';
import type { FlushAck } from '../../../../agents/felix/dataplane/flush-queue.ts';
import type { Resource } from '../../../../lib/model/metadata.ts';
import { storedResource } from '../../../support/stored-resource.ts';
import { felixConfiguration } from './host-policies.ts';
import type { TestHost } from './test-host.ts';

export type FelixConfigurationSpec = Readonly<Record<string, unknown>>;

/** Others use the low half of the packet mark: scratch is the packet's priority. */
export const PRIORITY_SCRATCH: FelixConfigurationSpec = { nftablesMarkMask: 0xffff0000 };

export class CalcFeed {
  readonly #host: TestHost;
  readonly #graph: CalcGraph;
  readonly #stored = new Map<string, string>();
  #revision = 0;
  #isInSync = false;

  constructor(host: TestHost) {
    this.#host = host;
    this.#graph = new CalcGraph({ hostname: host.name, routeSource: 'WorkloadIPs' });
  }

  /**
   * The datastore now holds exactly these, and the FelixConfiguration of this node has these settings besides; resolves when this host's
   * kernel has it.
   */
  async store(resources: readonly Resource[], settings: FelixConfigurationSpec = {}): Promise<FlushAck> {
    const now = new Map(
      this.#withSettings(resources, settings)
        .map(storedResource)
        .map(({ key, value }) => [key, value]),
    );
    this.#revision++;
    for (const key of [...this.#stored.keys()]) {
      if (now.has(key)) continue;
      this.#stored.delete(key);
      this.#graph.onUpdate({ key, value: undefined, revision: this.#revision });
    }
    for (const [key, value] of now) {
      const text = JSON.stringify(value);
      if (this.#stored.get(key) === text) continue;
      this.#stored.set(key, text);
      this.#graph.onUpdate({ key, value, revision: this.#revision });
    }
    if (!this.#isInSync) {
      this.#isInSync = true;
      this.#graph.onInSync();
    }
    this.#graph.onRevision(this.#revision);
    return await this.#host.dataplane.apply(this.#graph.flush());
  }

  #withSettings(resources: readonly Resource[], settings: FelixConfigurationSpec): readonly Resource[] {
    if (Object.keys(settings).length === 0) return resources;
    const name = `node.${this.#host.name}`;
    const isOwn = ({ kind, metadata }: Resource): boolean =>
      kind === 'FelixConfiguration' && metadata.name === name;
    const { spec = {} } = (resources.find(isOwn) ?? {}) as { readonly spec?: FelixConfigurationSpec };
    const own = felixConfiguration({ ...spec, ...settings }, name);
    return [...resources.filter((resource) => !isOwn(resource)), own];
  }
}
