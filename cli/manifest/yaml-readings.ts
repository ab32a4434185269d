// Scalars that YAML 1.2, as it is read here, takes for something else than YAML 1.1, as kubectl reads it: `yes` and `010`
// (docs/calicoctl.md "Manifests").

import { type Document, parse, visit } from 'yaml';

/** Whether they are others in YAML 1.1, the library knows. */
const CANDIDATE = /^(?:[a-z]{1,3}|[-+]?0[0-7_]+)$/i;

/** A sentence each; `placeText` of an offset. */
export function otherReadings(document: Document, placeText: (offset: number) => string): string[] {
  const found: string[] = [];
  visit(document, {
    Scalar: (_key, { type, tag, source = '', value, range }) => {
      if (type !== 'PLAIN' || tag !== undefined || !CANDIDATE.test(source)) return;
      const other: unknown = parse(source, { version: '1.1' });
      if (other !== value)
        found.push(
          `${placeText(range?.[0] ?? 0)}: ${source} is ${JSON.stringify(value)} here, but ${JSON.stringify(other)} where YAML 1.1 is read, as by kubectl: quote it, or write it another way`,
        );
    },
  });
  return found;
}
