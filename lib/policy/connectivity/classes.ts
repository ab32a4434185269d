// Classes of subjects whose members no rule tells apart: one of them stands for all.

import type { PolicyCluster } from '../cluster.ts';
import { Signer } from './signer.ts';
import type { Subject } from './subjects.ts';

export interface SubjectClass {
  readonly members: readonly Subject[];
}

/** Puts together those whom the policies of all the clusters judge alike, in whatever direction. */
export function classify(clusters: readonly PolicyCluster[], subjects: readonly Subject[]): SubjectClass[] {
  const signers = clusters.map((cluster) => new Signer(cluster));
  const classes = Map.groupBy(subjects, (subject) =>
    JSON.stringify(signers.map((signer) => signer.signature(subject))),
  );
  return [...classes.values()].map((members) => ({ members }));
}
