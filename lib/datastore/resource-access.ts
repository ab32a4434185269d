// What the resource client offers, as types: so that the rules of single kinds can use it, and tests can see its shape.

import type { ResourceKey } from '../model/keys.ts';
import type { Resource } from '../model/metadata.ts';

/** A key whose value is no object of the kind: it is there, and nobody knows what it says. */
export interface UnreadableValue {
  readonly ref: ResourceKey;
  readonly revision: number;
  /** In words: `spec.nets must be a list`. */
  readonly reason: string;
}

export interface ResourceList<R extends Resource = Resource> {
  /** In key order. Values that are no objects of the kind are left out. */
  readonly items: readonly R[];
  /** Those values, in key order: who concludes from what is missing in `items` has to think of them. */
  readonly unreadable: readonly UnreadableValue[];
  /** Store revision at which the list is true: watch from the next. */
  readonly revision: number;
}

export type ResourceEvent<R extends Resource = Resource> =
  | {
      readonly type: 'added' | 'modified';
      readonly ref: ResourceKey;
      readonly resource: R;
      readonly previous: R | undefined;
      readonly revision: number;
    }
  /** `previous` is what was deleted, unless that has been compacted since. */
  | {
      readonly type: 'deleted';
      readonly ref: ResourceKey;
      readonly previous: R | undefined;
      readonly revision: number;
    }
  /** The new value of a key is no object of the kind. */
  | { readonly type: 'unparsable'; readonly ref: ResourceKey; readonly revision: number }
  /** Everything up to this revision has been told. */
  | { readonly type: 'progress'; readonly revision: number };

export interface ListOptions {
  readonly namespace?: string;
  readonly signal?: AbortSignal;
}

export interface WatchOptions {
  readonly namespace?: string;
  /** First revision; what is there now comes first, as `added`, if left out. */
  readonly fromRevision?: number;
  readonly signal: AbortSignal;
}

export interface DeleteOptions {
  /** Only if this is still its version. */
  readonly resourceVersion?: string;
  /** Only if it is still this object, and not another of the same name. */
  readonly uid?: string;
  readonly signal?: AbortSignal;
}

/** All throw ResourceError for what the caller decides, DatastoreError for what the store could not do. */
export interface ResourceAccess {
  /** Fills uid and creationTimestamp; `resourceVersion` must not be set. */
  create<R extends Resource>(resource: R, signal?: AbortSignal): Promise<R>;
  /** Replaces exactly the version that `resourceVersion` names. uid and creationTimestamp must be set. */
  update<R extends Resource>(resource: R, signal?: AbortSignal): Promise<R>;
  get<R extends Resource = Resource>(ref: ResourceKey, signal?: AbortSignal): Promise<R>;
  list<R extends Resource = Resource>(kind: string, options?: ListOptions): Promise<ResourceList<R>>;
}
