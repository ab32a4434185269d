// Schema of a Kubernetes label selector (meta/v1 LabelSelector).

import { list, map, object, oneOf, text } from './schema.ts';

export const labelSelector = object({
  matchLabels: map(text()),
  matchExpressions: list(
    object(
      { key: text(), operator: oneOf('In', 'NotIn', 'Exists', 'DoesNotExist'), values: list(text()) },
      { required: ['key', 'operator'] },
    ),
  ),
});
