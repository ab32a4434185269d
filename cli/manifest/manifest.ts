// Manifests: YAML streams or JSON, single objects, lists or arrays, each object with its place in the text, so that every
// complaint names file, line and column (Calico's calicoctl/resourcemgr; docs/calicoctl.md "Manifests").

import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, parseAllDocuments } from 'yaml';
import type { PlaceOf } from '../../lib/policy/rule-source.ts';
import { otherReadings } from './yaml-readings.ts';

export interface ManifestObject {
  /** Path of the file, or `-`. */
  readonly source: string;
  /** Not checked yet: any JSON object. */
  readonly value: Readonly<Record<string, unknown>>;
  /** `file.yaml:12:5` of a field path (`spec.ingress[0].action`), or of the nearest thing around it. */
  readonly locate: (path: string) => string;
  readonly placeOf: PlaceOf;
}

export interface ManifestText {
  readonly source: string;
  readonly text: string;
}

/**
 * Every object of a text in order. What cannot be read goes to `problems`, and what others would read otherwise to `warnings`,
 * one sentence each.
 */
export function parseManifest(
  manifest: ManifestText,
  problems: string[],
  warnings: string[],
): ManifestObject[] {
  const lines = new LineCounter();
  const documents = parseAllDocuments(manifest.text, {
    lineCounter: lines,
    prettyErrors: false,
    merge: true,
  });
  const place: Place = (offset) => lines.linePos(offset);
  const placeText = (offset: number): string => formatPlace(manifest.source, place(offset));
  return [...documents].flatMap((document) => {
    for (const { pos, message } of document.errors) problems.push(`${placeText(pos[0])}: ${message}`);
    if (document.errors.length > 0 || document.contents === null) return [];
    warnings.push(...otherReadings(document, placeText));
    return objectsOf(document, manifest.source, place, problems);
  });
}

type Place = (offset: number) => { readonly line: number; readonly col: number };

function formatPlace(source: string, { line, col }: ReturnType<Place>): string {
  return `${source}:${line}:${col}`;
}

function objectsOf(document: Document, source: string, place: Place, problems: string[]): ManifestObject[] {
  const offset = offsetOf(document.contents) ?? 0;
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    problems.push(
      `${formatPlace(source, place(offset))}: ${String((error as { message?: unknown }).message)}`,
    );
    return [];
  }
  return flatten(value, []).flatMap(({ item, base }) => {
    const placeAt = (path: string): ReturnType<Place> => place(offsetAt(document, base, splitPath(path)));
    const locate = (path: string): string => formatPlace(source, placeAt(path));
    const placeOf: PlaceOf = (path) => ({ file: source, line: placeAt(path).line });
    if (isObject(item)) return [{ source, value: item, locate, placeOf }];
    if (item === null) return [];
    problems.push(`${locate('')}: this is not an object with apiVersion, kind and metadata`);
    return [];
  });
}

type PathPart = string | number;
interface Found {
  readonly item: unknown;
  readonly base: readonly PathPart[];
}

function flatten(value: unknown, base: readonly PathPart[]): Found[] {
  if (Array.isArray(value)) return value.flatMap((item, index) => flatten(item, [...base, index]));
  const isList = isObject(value) && typeof value['kind'] === 'string' && value['kind'].endsWith('List');
  if (isList && Array.isArray(value['items'])) {
    const { kind, items } = value;
    return items.flatMap((item: unknown, index) => [
      {
        item: withKind(item, String(kind).slice(0, -4), value['apiVersion']),
        base: [...base, 'items', index],
      },
    ]);
  }
  return [{ item: value, base }];
}

/** Items of a typed list may leave out what the list says. */
function withKind(item: unknown, kind: string, apiVersion: unknown): unknown {
  if (!isObject(item) || kind === '') return item;
  return { apiVersion, kind, ...item };
}

/** The start of a key where there is one, else of the value; of what is around it if the path leads nowhere. */
function offsetAt(document: Document, base: readonly PathPart[], path: readonly PathPart[]): number {
  let node: unknown = document.contents;
  let offset = offsetOf(node) ?? 0;
  for (const part of [...base, ...path]) {
    if (isMap(node)) {
      const pair = node.items.find(
        ({ key }) => (isScalar(key) ? String(key.value) : undefined) === String(part),
      );
      if (pair === undefined) return offset;
      offset = offsetOf(pair.key) ?? offset;
      node = pair.value;
    } else if (isSeq(node) && typeof part === 'number') {
      node = node.items[part];
      offset = offsetOf(node) ?? offset;
    } else return offset;
  }
  return offset;
}

function offsetOf(node: unknown): number | undefined {
  return isNode(node) ? (node.range?.[0] ?? undefined) : undefined;
}

/** `spec.ingress[0].labels["a.b"]` → `spec`, `ingress`, 0, `labels`, `a.b`. */
function splitPath(path: string): PathPart[] {
  return [...path.matchAll(/\[(\d+)\]|\["((?:[^"\\]|\\.)*)"\]|([^.[\]]+)/g)].map(
    ([, index, quoted, plain]) => {
      if (index !== undefined) return Number(index);
      return quoted === undefined ? (plain ?? '') : (JSON.parse(`"${quoted}"`) as string);
    },
  );
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
