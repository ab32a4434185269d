// Changes between classes of subjects, told by the groups that people know: those that fare alike in one line.

import type { Family } from '../../net/ip.ts';
import type { SubjectClass } from './classes.ts';
import type { Subject } from './subjects.ts';

export type Place = 'oneHost' | 'twoHosts';

/** What the pairs of two classes lose and gain, in words; empty text: nothing. */
export interface ClassChange {
  readonly from: SubjectClass;
  readonly to: SubjectClass;
  readonly lost: string;
  readonly gained: string;
  /** Undefined: alike over both that they have. */
  readonly family: Family | undefined;
  /** Undefined: wherever the two are. */
  readonly place: Place | undefined;
}

/** The same of all pairs of some groups. */
export interface ConnectivityChange {
  /** Names of groups, sorted. */
  readonly from: readonly string[];
  readonly to: readonly string[];
  readonly lost: string;
  readonly gained: string;
  readonly family: Family | undefined;
}

/** Labels that tell one replica, or one generation of replicas, from another: nobody's policy is about them. */
const INCIDENTAL: ReadonlySet<string> = new Set([
  'pod-template-hash',
  'controller-revision-hash',
  'pod-template-generation',
  'statefulset.kubernetes.io/pod-name',
  'apps.kubernetes.io/pod-index',
  'job-name',
  'batch.kubernetes.io/job-name',
  'controller-uid',
  'batch.kubernetes.io/controller-uid',
]);
const MAX_LABELS = 3;

/**
 * Sources that fare alike towards a group are told together; then destinations that do so from the same sources. `classes` are
 * all that were asked about.
 */
export function mergeChanges(
  changes: readonly ClassChange[],
  classes: readonly SubjectClass[],
): ConnectivityChange[] {
  const nameOfGroup = nameClasses(changes, classes);
  const single = changes.flatMap((change) =>
    groupsOf(change.from).flatMap((source) =>
      groupsOf(change.to)
        .filter((target) => !isOnlyItself(change, source, target))
        .map(
          (target): ConnectivityChange => ({
            lost: change.lost,
            gained: change.gained,
            family: change.family,
            from: [nameOfGroup(change.from, source, placeWords(change, 'from'))],
            to: [nameOfGroup(change.to, target, placeWords(change, 'to'))],
          }),
        ),
    ),
  );
  const bySource = merge(single, 'from', (change) => JSON.stringify([change.to, ...effect(change)]));
  return merge(bySource, 'to', (change) => JSON.stringify([change.from, ...effect(change)]));
}

function effect({ lost, gained, family }: Pick<ClassChange, 'lost' | 'gained' | 'family'>): unknown[] {
  return [lost, gained, family ?? 0];
}

function merge(
  changes: readonly ConnectivityChange[],
  side: 'from' | 'to',
  keyOf: (change: ConnectivityChange) => string,
): ConnectivityChange[] {
  const merged = [...Map.groupBy(changes, keyOf).values()].flatMap((alike) => {
    const [first] = alike;
    if (first === undefined) return [];
    return [{ ...first, [side]: [...new Set(alike.flatMap((change) => change[side]))].sort() }];
  });
  const text = (change: ConnectivityChange): string =>
    JSON.stringify([change.to, change.from, ...effect(change)]);
  return merged.sort((a, b) => (text(a) < text(b) ? -1 : 1));
}

/** A group whose classes do not all fare alike is told class by class, with the labels that make the difference. */
function nameClasses(
  changes: readonly ClassChange[],
  classes: readonly SubjectClass[],
): (subjects: SubjectClass, group: string, also: readonly string[]) => string {
  const fates = new Map<SubjectClass, string[]>();
  const note = (subjects: SubjectClass, fate: unknown): void => {
    const noted = fates.get(subjects) ?? [];
    fates.set(subjects, noted);
    noted.push(JSON.stringify(fate));
  };
  for (const change of changes) {
    note(change.from, ['from', groupsOf(change.to), ...effect(change), change.place ?? '']);
    note(change.to, ['to', groupsOf(change.from), ...effect(change), change.place ?? '']);
  }
  const fateOf = new Map(
    classes.map((subjects) => [subjects, [...new Set(fates.get(subjects))].sort().join('\n')]),
  );
  const classesByGroup = new Map<string, SubjectClass[]>();
  for (const subjects of classes) {
    for (const group of groupsOf(subjects))
      classesByGroup.set(group, [...(classesByGroup.get(group) ?? []), subjects]);
  }
  const mixed = new Map(
    [...classesByGroup].filter(
      ([, siblings]) => new Set(siblings.map((subjects) => fateOf.get(subjects))).size > 1,
    ),
  );
  return (subjects, group, also) => {
    const siblings = mixed.get(group);
    const words = [...(siblings === undefined ? [] : difference(subjects, siblings, group)), ...also];
    return words.length === 0 ? group : `${group}{${words.join(', ')}}`;
  };
}

/** Said of the node where one of the two is a node, else of the destination. */
function placeWords({ from, to, place }: ClassChange, side: 'from' | 'to'): string[] {
  if (place === undefined) return [];
  const isNode = (subjects: SubjectClass): boolean => subjects.members[0]?.end.type === 'host';
  if (side !== (isNode(from) ? 'from' : 'to')) return [];
  if (isNode(from) || isNode(to)) return [place === 'oneHost' ? 'its own' : 'not its own'];
  return [place === 'oneHost' ? 'on the same node' : 'on another node'];
}

/** Of a class of several groups the one in a group that has no other member: it is not told of as talking to itself. */
function isOnlyItself({ from, to }: ClassChange, source: string, target: string): boolean {
  return (
    from === to && source === target && from.members.filter(({ group }) => group === source).length === 1
  );
}

const groupsKnown = new WeakMap<SubjectClass, readonly string[]>();

/** Sorted. */
function groupsOf(subjects: SubjectClass): readonly string[] {
  const groups = groupsKnown.get(subjects) ?? [...new Set(subjects.members.map(({ group }) => group))].sort();
  groupsKnown.set(subjects, groups);
  return groups;
}

/** `track=canary`, or the name of one where no label tells. */
function difference(subjects: SubjectClass, siblings: readonly SubjectClass[], group: string): string[] {
  const member = subjects.members.find((each) => each.group === group);
  if (member === undefined) return [];
  const others = siblings.flatMap(({ members }) => members.slice(0, 1));
  const names = [...new Set(others.flatMap(({ labels }) => Object.keys(labels)))].sort();
  const telling = names
    .filter((name) => !INCIDENTAL.has(name) && !name.startsWith('pcns.') && !name.startsWith('pcsa.'))
    .filter((name) => new Set(others.map(({ labels }) => labels[name])).size > 1)
    .slice(0, MAX_LABELS)
    .map((name) => (member.labels[name] === undefined ? `no ${name}` : `${name}=${member.labels[name]}`));
  return telling.length > 0 ? telling : [nameOf(subjects, member)];
}

function nameOf({ members }: SubjectClass, { key, end }: Subject): string {
  if (end.type === 'address') return `IPv${end.address.family}`;
  const name = key.split(' ').at(-1) ?? key;
  return members.length === 1 ? name : `${name} and ${members.length - 1} more`;
}
