// What is wrong with an object: one entry a field and rule, all of them at once.

/** Stable names of the kinds of rules. `format`: checked by code; `crossField`: over several fields. */
export type ProblemRule =
  | 'required'
  | 'type'
  | 'enum'
  | 'pattern'
  | 'format'
  | 'minimum'
  | 'maximum'
  | 'minItems'
  | 'maxItems'
  | 'maxLength'
  | 'unique'
  | 'crossField'
  | 'forbidden'
  | 'immutable';

export interface Problem {
  /** `spec.ingress[0].icmp.type`; of the object that holds them for a rule over several fields; empty for the whole. */
  readonly path: string;
  readonly rule: ProblemRule;
  /** A sentence without the path: `must be one of Allow, Deny, Log, Pass`. */
  readonly message: string;
}

/** A text that is a plain key is written `.key`, any other `["ke.y"]`; a number `[0]`. */
export function joinPath(path: string, part: string | number): string {
  if (typeof part === 'number') return `${path}[${part}]`;
  if (!/^[A-Za-z_][A-Za-z0-9_-]*$/.test(part)) return `${path}[${JSON.stringify(part)}]`;
  return path === '' ? part : `${path}.${part}`;
}

/** Where a value is, put into words only where something is wrong: objects are read by the ten thousand. */
export type Path = string | { readonly parent: Path; readonly part: string | number };

export function pathText(path: Path): string {
  return typeof path === 'string' ? path : joinPath(pathText(path.parent), path.part);
}

export function formatProblem(problem: Problem): string {
  return problem.path === '' ? problem.message : `${problem.path}: ${problem.message}`;
}

/** The reason that Kubernetes' API gives a rule in the causes of a Status. */
export function kubernetesCauseReason(rule: ProblemRule): string {
  switch (rule) {
    case 'required':
      return 'FieldValueRequired';
    case 'enum':
      return 'FieldValueNotSupported';
    case 'unique':
      return 'FieldValueDuplicate';
    case 'forbidden':
      return 'FieldValueForbidden';
    case 'maxItems':
      return 'FieldValueTooMany';
    case 'maxLength':
      return 'FieldValueTooLong';
    case 'type':
      return 'FieldValueTypeInvalid';
    default:
      return 'FieldValueInvalid';
  }
}
