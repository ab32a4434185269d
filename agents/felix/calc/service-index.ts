// The endpoints of services that active rules name (Felix's service index): slices are kept as they come, and count for
// identities only while a rule asks for their service.

import type { SelectorId } from '../../../lib/policy/compiled.ts';
import type { SliceMembers } from '../../../lib/policy/services.ts';
import { MultiMap } from './multi-map.ts';

export interface ServiceIndexCallbacks {
  /** A slice of an active service is now so, or (undefined) counts no more. */
  onSlice(name: string, members: SliceMembers | undefined): void;
}

export class ServiceIndex {
  private readonly callbacks: ServiceIndexCallbacks;
  private readonly slices = new Map<string, SliceMembers>();
  private readonly slicesByService = new MultiMap<string, string>();
  /** By service: the selectors of active rules that name it. */
  private readonly activeSelectors = new MultiMap<string, SelectorId>();
  private readonly serviceBySelector = new Map<SelectorId, string>();

  constructor(callbacks: ServiceIndexCallbacks) {
    this.callbacks = callbacks;
  }

  /** `name` is the slice's `namespace/name`. */
  updateSlice(name: string, members: SliceMembers | undefined): void {
    const previous = this.slices.get(name);
    if (previous !== undefined) this.slicesByService.remove(previous.service, name);
    if (members === undefined) this.slices.delete(name);
    else {
      this.slices.set(name, members);
      this.slicesByService.add(members.service, name);
    }
    const isActive = members !== undefined && this.isActive(members.service);
    const wasActive = previous !== undefined && this.isActive(previous.service);
    if (isActive || wasActive) this.callbacks.onSlice(name, isActive ? members : undefined);
  }

  /** Active rules select the service's endpoints by `id`. */
  activate(id: SelectorId, service: string): void {
    const wasActive = this.isActive(service);
    this.activeSelectors.add(service, id);
    this.serviceBySelector.set(id, service);
    if (!wasActive) this.report(service);
  }

  deactivate(id: SelectorId): void {
    const service = this.serviceBySelector.get(id);
    if (service === undefined) return;
    this.serviceBySelector.delete(id);
    this.activeSelectors.remove(service, id);
    if (!this.isActive(service)) this.report(service);
  }

  private isActive(service: string): boolean {
    return this.activeSelectors.get(service) !== undefined;
  }

  private report(service: string): void {
    const isActive = this.isActive(service);
    for (const name of this.slicesByService.get(service) ?? [])
      this.callbacks.onSlice(name, isActive ? this.slices.get(name) : undefined);
  }
}
