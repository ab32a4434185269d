// Tables: what `kubectl get` prints (docs/api.md "Tables"). Without them kubectl knows names and ages only.

import type { Resource } from '../../lib/model/metadata.ts';
import type { ApiKind } from './api-kind.ts';
import { apiVersionOf } from './registry.ts';

export type IncludeObject = 'Metadata' | 'Object' | 'None';

export interface TableContext {
  readonly kind: ApiKind;
  readonly include: IncludeObject;
  readonly now: Date;
}

export function table(
  context: TableContext,
  objects: readonly Resource[],
  metadata: Readonly<Record<string, unknown>>,
  withDefinitions = true,
): Record<string, unknown> {
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: withDefinitions ? columnDefinitions(context.kind) : [],
    rows: objects.map((object) => row(context, object)),
  };
}

function columnDefinitions(kind: ApiKind): object[] {
  return kind.columns.map(({ name, type, priority }) => ({
    name,
    type,
    format: name === 'Name' ? 'name' : '',
    description: '',
    priority,
  }));
}

function row({ kind, include, now }: TableContext, object: Resource): object {
  const cells = kind.columns.map((column) => column.cell(object, now));
  if (include === 'None') return { cells };
  if (include === 'Object')
    return { cells, object: { ...object, apiVersion: apiVersionOf(kind), kind: kind.kind } };
  return {
    cells,
    object: { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: object.metadata },
  };
}
