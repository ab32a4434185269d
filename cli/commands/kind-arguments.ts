// `KIND [NAME…]` and `KIND/NAME` on the command line, with the namespace that applies (calicoctl/resourcemgr; kubectl's form).

import type { ResourceKey } from '../../lib/model/keys.ts';
import { CALICO_KINDS, findKindByAlias, type KindInfo } from '../../lib/model/kinds.ts';
import { usageError } from '../cli-error.ts';
import { DEFAULT_NAMESPACE } from '../manifest/check.ts';

export interface NamespaceOptions {
  readonly namespace?: string;
  readonly allNamespaces?: boolean;
}

export interface KindArguments {
  readonly info: KindInfo;
  readonly names: readonly string[];
  /** Undefined for global kinds and for all namespaces. */
  readonly namespace: string | undefined;
}

/** Throws CliError: unknown kinds, options that do not fit the kind. */
export function parseKindArguments(args: readonly string[], options: NamespaceOptions): KindArguments {
  const [first = '', ...rest] = args;
  const [alias = '', ...inline] = first.split('/');
  if (inline.length > 1) throw usageError(`${first} is neither KIND nor KIND/NAME`);
  const info = findKindByAlias(alias);
  if (info === undefined) throw unknownKind(alias);
  const names = [...inline, ...rest];
  const { namespace, allNamespaces = false } = options;
  if (!info.namespaced) {
    if (namespace !== undefined || allNamespaces)
      throw usageError(`${info.kind} is not namespaced: leave -n and -A out`);
    return { info, names, namespace: undefined };
  }
  if (allNamespaces && namespace !== undefined) throw usageError('use either -n or -A');
  if (allNamespaces && names.length > 0) throw usageError('names need a namespace: use -n instead of -A');
  return { info, names, namespace: allNamespaces ? undefined : (namespace ?? DEFAULT_NAMESPACE) };
}

export function refsOf({ info, names, namespace }: KindArguments): ResourceKey[] {
  return names.map((name) =>
    namespace === undefined ? { kind: info.kind, name } : { kind: info.kind, namespace, name },
  );
}

function unknownKind(alias: string): Error {
  const wanted = alias.toLowerCase();
  const near = CALICO_KINDS.filter(({ inCalicoctl }) => inCalicoctl)
    .flatMap(({ singular, plural }) => [singular, plural])
    .find((name) => isNear(name, wanted));
  const isKubernetes = /^(pods?|po|namespaces?|ns|services?|svc|deployments?|events?|serviceaccounts?)$/.test(
    wanted,
  );
  const next = isKubernetes
    ? `${alias} are Kubernetes': use kubectl`
    : near === undefined
      ? '"calicoctl get --help" lists the kinds'
      : `did you mean ${near}?`;
  return usageError(`resource type ${JSON.stringify(alias)} is not supported`, next);
}

/** One letter more, less or other, or a beginning of at least four. */
function isNear(name: string, wanted: string): boolean {
  if (wanted.length >= 4 && name.startsWith(wanted)) return true;
  if (Math.abs(name.length - wanted.length) > 1) return false;
  const [short, long] = name.length < wanted.length ? [name, wanted] : [wanted, name];
  let at = 0;
  while (at < short.length && short[at] === long[at]) at += 1;
  const isSameLength = short.length === long.length;
  return short.slice(isSameLength ? at + 1 : at) === long.slice(at + 1);
}
