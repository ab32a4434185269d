// JSON that looks like a kind's objects, and is not quite: for what stands before, and behind, validation.

import fc from 'fast-check';
import type { Schema } from '../../lib/model/validation/schema.ts';

const scalar = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    '',
    'all()',
    'global()',
    'Allow',
    'TCP',
    'ICMP',
    '10.0.0.0/8',
    'fd00::/64',
    '1:10',
    true,
  ),
  fc.integer({ min: -2, max: 70_000 }),
  fc.string({ maxLength: 8 }),
);

/** Values of the schema's shape, with wrong ones strewn in. */
export function valueFor(schema: Schema, depth = 0): fc.Arbitrary<unknown> {
  if (depth > 5) return scalar;
  const right = (): fc.Arbitrary<unknown> => {
    switch (schema.type) {
      case 'object':
        return fc.record(
          Object.fromEntries(
            Object.entries(schema.fields).map(([name, field]) => [name, valueFor(field, depth + 1)]),
          ),
          { requiredKeys: [] },
        );
      case 'map':
        return fc.dictionary(fc.string({ maxLength: 6 }), valueFor(schema.values, depth + 1), { maxKeys: 3 });
      case 'list':
        return fc.array(valueFor(schema.items, depth + 1), { maxLength: 3 });
      case 'text':
        return schema.enum === undefined ? scalar : fc.constantFrom<unknown>(...schema.enum);
      default:
        return scalar;
    }
  };
  return fc.oneof({ weight: 6, arbitrary: right() }, { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) });
}

const strangeText = fc.oneof(
  fc.constantFrom(
    '',
    'all()',
    "a in {'b'}",
    '10.0.0.0/8',
    '10.0.0.1',
    'fd00::1/64',
    '1:10',
    'Allow',
    'n1',
    '(',
  ),
  fc.string({ maxLength: 6 }),
);
const strangeNumber = fc.constantFrom(0, 1, -2, 7, 4789, 70_000, 2 ** 40);

/** Values that have the schema's shape, whatever their texts and numbers say. */
export function shapedValueFor(schema: Schema): fc.Arbitrary<unknown> {
  switch (schema.type) {
    case 'object': {
      const fields = Object.entries(schema.fields).map(([name, field]) => [name, shapedValueFor(field)]);
      const shape = Object.fromEntries(fields) as Record<string, fc.Arbitrary<unknown>>;
      return fc.record(shape, { requiredKeys: [...schema.required] });
    }
    case 'map':
      return fc.dictionary(fc.string({ maxLength: 6 }), shapedValueFor(schema.values), { maxKeys: 3 });
    case 'list':
      return fc.array(shapedValueFor(schema.items), { maxLength: 3 });
    case 'text':
      return schema.enum === undefined ? strangeText : fc.constantFrom<unknown>(...schema.enum, '', 'Other');
    case 'number':
    case 'integer':
      return strangeNumber;
    case 'boolean':
      return fc.boolean();
    case 'numberOrText':
      return fc.oneof(strangeNumber, strangeText, fc.constantFrom('TCP', 'http', '1:70000'));
    case 'any':
      return fc.jsonValue({ maxDepth: 2 });
  }
}
