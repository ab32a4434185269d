// Services and EndpointSlices for the BGP configuration: watched over the API, and only while BGPConfiguration announces
// addresses of services.

import { ENDPOINT_SLICES, type KubeClient, SERVICES } from '../../../lib/kube-client/client.ts';
import { Informer } from '../../../lib/kube-client/informer.ts';
import type { Logger } from '../../../lib/logging/logger.ts';
import type { EndpointSlice, Service } from '../../../lib/model/kubernetes-service-types.ts';
import type { Resource } from '../../../lib/model/metadata.ts';

/** The rest of BGP waits no longer for an API that does not answer. */
const PATIENCE_MS = 30_000;

export interface ServiceSourceOptions {
  readonly api: KubeClient;
  readonly logger: Logger;
  readonly onChange: () => void;
}

export class ServiceSource {
  readonly #options: ServiceSourceOptions;
  #informers: { readonly services: Informer; readonly slices: Informer } | undefined;
  #stopping: Promise<unknown> = Promise.resolve();
  #patience: NodeJS.Timeout | undefined;
  #isLate = false;

  constructor(options: ServiceSourceOptions) {
    this.#options = options;
  }

  /** Whether both are known, or the API has been away for too long: until then what was announced stays. */
  get isReady(): boolean {
    return this.#isLate || this.#isSynced;
  }

  get #isSynced(): boolean {
    return this.#informers?.services.isSynced === true && this.#informers.slices.isSynced;
  }

  get services(): readonly Service[] {
    return objects(this.#informers?.services, isService);
  }

  get endpointSlices(): readonly EndpointSlice[] {
    return objects(this.#informers?.slices, isEndpointSlice);
  }

  /** Begins or ends watching. */
  setWanted(isWanted: boolean): void {
    if (isWanted === (this.#informers !== undefined)) return;
    if (!isWanted) {
      void this.stop();
      return;
    }
    const { api, logger, onChange } = this.#options;
    const callbacks = { onObject: onChange, onSynced: onChange };
    const informer = (kind: typeof SERVICES): Informer =>
      new Informer({ client: api, kind, logger, callbacks });
    this.#informers = { services: informer(SERVICES), slices: informer(ENDPOINT_SLICES) };
    this.#informers.services.start();
    this.#informers.slices.start();
    this.#patience = setTimeout(() => {
      if (this.#isSynced) return;
      this.#isLate = true;
      logger.warn(
        'the API does not answer: networks of services are announced, their single addresses are not',
      );
      onChange();
    }, PATIENCE_MS);
  }

  async stop(): Promise<void> {
    const informers = this.#informers;
    this.#informers = undefined;
    clearTimeout(this.#patience);
    this.#isLate = false;
    if (informers !== undefined)
      this.#stopping = Promise.all([this.#stopping, informers.services.stop(), informers.slices.stop()]);
    await this.#stopping;
  }
}

function objects<R extends Resource>(
  informer: Informer | undefined,
  is: (object: Resource) => object is R,
): readonly R[] {
  return [...(informer?.objects.values() ?? [])].filter(is);
}

function isService(object: Resource): object is Service {
  return object.kind === 'Service';
}

function isEndpointSlice(object: Resource): object is EndpointSlice {
  return object.kind === 'EndpointSlice';
}
