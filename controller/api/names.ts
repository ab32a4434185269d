// Shapes of names and labels that the API insists on (RFC 1123; Kubernetes "Object Names and IDs", "Labels").

import type { Resource } from '../../lib/model/metadata.ts';
import type { StatusCause } from './api-error.ts';

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const QUALIFIED_NAME = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

export function isDnsLabel(text: string): boolean {
  return text.length <= 63 && LABEL.test(text);
}
function isDnsSubdomain(text: string): boolean {
  return text.length <= 253 && SUBDOMAIN.test(text);
}

/** `[prefix/]name` of labels and annotations. */
export function isQualifiedName(text: string): boolean {
  const slash = text.indexOf('/');
  const name = slash < 0 ? text : text.slice(slash + 1);
  if (slash >= 0 && !isDnsSubdomain(text.slice(0, slash))) return false;
  return name.length <= 63 && QUALIFIED_NAME.test(name);
}

export function isLabelValue(text: string): boolean {
  return text === '' || (text.length <= 63 && QUALIFIED_NAME.test(text));
}

const SUBDOMAIN_RULE =
  'a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, "-" or ".", and must start and ' +
  'end with an alphanumeric character';
const LABEL_RULE =
  'a lowercase RFC 1123 label must consist of at most 63 lower case alphanumeric characters or "-", and must start and ' +
  'end with an alphanumeric character';

export function invalidValue(field: string, value: unknown, rule: string): StatusCause {
  return { reason: 'FieldValueInvalid', field, message: `Invalid value: ${JSON.stringify(value)}: ${rule}` };
}
export function requiredValue(field: string, detail = ''): StatusCause {
  return {
    reason: 'FieldValueRequired',
    field,
    message: `Required value${detail === '' ? '' : `: ${detail}`}`,
  };
}
export function forbiddenValue(field: string, detail: string): StatusCause {
  return { reason: 'FieldValueForbidden', field, message: `Forbidden: ${detail}` };
}
export function notSupportedValue(field: string, value: unknown, supported: readonly string[]): StatusCause {
  const list = supported.map((entry) => JSON.stringify(entry)).join(', ');
  const message = `Unsupported value: ${JSON.stringify(value)}: supported values: ${list}`;
  return { reason: 'FieldValueNotSupported', field, message };
}

/** Name, labels and annotations of any object. */
export function validateMetadata(object: Resource, nameShape: 'label' | 'subdomain'): StatusCause[] {
  const { name, labels, annotations } = object.metadata;
  const causes: StatusCause[] = [];
  if (nameShape === 'label' ? !isDnsLabel(name) : !isDnsSubdomain(name))
    causes.push(invalidValue('metadata.name', name, nameShape === 'label' ? LABEL_RULE : SUBDOMAIN_RULE));
  for (const [key, value] of Object.entries(labels ?? {})) {
    if (!isQualifiedName(key))
      causes.push(invalidValue('metadata.labels', key, 'not a qualified label name'));
    if (typeof value !== 'string' || !isLabelValue(value))
      causes.push(
        invalidValue(
          'metadata.labels',
          value,
          'a valid label must be an empty string or consist of alphanumeric characters, "-", "_" or ".", and must start and end with an alphanumeric character, at most 63 of them',
        ),
      );
  }
  for (const key of Object.keys(annotations ?? {}))
    if (!isQualifiedName(key.toLowerCase()))
      causes.push(invalidValue('metadata.annotations', key, 'not a qualified annotation name'));
  return causes;
}
