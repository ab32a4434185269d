// `calicoctl node flows` as text: a line a node, then a line for each rule of a staged policy that would have decided.

import type { FlowStatus } from '../../lib/protocol/flow-status.ts';
import { renderTable } from './table.ts';

type NodeFlowStatus = FlowStatus & { readonly node: string };

const NODE_HEADINGS = [
  'NODE',
  'RECORDS',
  'DENIED',
  'ALLOWED',
  'OVERWRITTEN',
  'SUPPRESSED',
  'OVERFLOWED',
  'NO-ROUTE',
  'WOULD-DENY',
  'WOULD-ALLOW',
];
const STAGED_HEADINGS = ['NODE', 'STAGED-POLICY', 'TIER', 'DIRECTION', 'RULE', 'ACTION', 'CONNECTIONS'];

export function renderFlowStatuses(statuses: readonly NodeFlowStatus[]): string {
  const nodes = statuses.map(({ node, records, overwritten, totals, staged }) => [
    node,
    ...[
      records,
      totals.denied,
      totals.allowed,
      overwritten,
      totals.suppressed,
      totals.overflowedDenied + totals.overflowedBegun,
      totals.withoutRoute,
      staged.wouldBecome.deny,
      staged.wouldBecome.allow,
    ].map(String),
  ]);
  const rules = statuses.flatMap(({ node, staged }) =>
    staged.policies.map(({ kind, namespace, name, tier, direction, index, action, connections }) => [
      node,
      `${kind} ${namespace === undefined ? name : `${namespace}/${name}`}`,
      tier,
      direction,
      index < 0 ? 'end of tier' : String(index + 1),
      action,
      String(connections),
    ]),
  );
  const problems = statuses.flatMap(({ node, problem }) =>
    problem === undefined ? [] : [`${node} records no flows: ${problem}\n`],
  );
  const staged = rules.length === 0 ? '' : `\n${renderTable(STAGED_HEADINGS, rules)}`;
  return `${renderTable(NODE_HEADINGS, nodes)}${problems.join('')}${staged}`;
}
