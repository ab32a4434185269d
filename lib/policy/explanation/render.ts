// An explanation as a tree for people (docs/policy.md "Explaining").

import type { RulePlace } from '../rule-source.ts';
import type {
  CheckpointExplanation,
  Explanation,
  PolicyExplanation,
  RuleCount,
  RuleExplanation,
} from './explanation.ts';

const OUTCOMES: Readonly<Record<CheckpointExplanation['tiers'][number]['outcome'], string>> = {
  allow: 'allows',
  deny: 'denies',
  passedOn: 'passes on to the next tier',
  defaultDeny: 'no rule matches: its end denies',
  end: 'no rule matches: its end passes',
  staged: 'staged policies only: no say',
};

/** The whole tree; every line ends with a newline. */
export function renderExplanation(explanation: Explanation): string {
  const { from, to, packet, reason, checkpoints } = explanation;
  const lines = [
    `${endText(from)} → ${endText(to)}  ${packet}`,
    reason,
    ...checkpoints.flatMap((checkpoint) => ['', ...checkpointLines(checkpoint)]),
  ];
  return `${lines.join('\n')}\n`;
}

function endText({ name, address, host }: Explanation['from']): string {
  const facts = [address === name ? '' : address, host === undefined ? '' : `on ${host}`];
  const told = facts.filter((fact) => fact !== '').join(' ');
  return told === '' ? name : `${name} (${told})`;
}

function checkpointLines(checkpoint: CheckpointExplanation): string[] {
  const { where, allowed, decision, decidedBy, tiers, profiles } = checkpoint;
  const source = decidedBy?.source === undefined ? '' : `  ${placeText(decidedBy.source)}`;
  const children = [
    ...tiers.map(
      (tier): Branch => [
        `tier ${tier.name}: ${OUTCOMES[tier.outcome]}${tier.counted === undefined ? '' : `  ${countText(tier.counted)}`}`,
        tier.policies.map(policyBranch),
      ],
    ),
    ...profiles.map(
      (profile): Branch => [
        `profile ${profile.name}${profile.exists ? '' : ' does not exist'}`,
        profile.rules.map(ruleBranch),
      ],
    ),
  ];
  return [`${allowed ? '✓' : '✗'} ${where}: ${decision}${source}`, ...treeLines(children)];
}

function policyBranch(policy: PolicyExplanation): Branch {
  const name = policy.namespace === undefined ? policy.name : `${policy.namespace}/${policy.name}`;
  const title = `${policy.kind} ${name}`;
  if (policy.staged === true) return [`${title} (staged: not asked)`, []];
  const notes = (policy.notes ?? []).map((note): Branch => [`! ${note}`, []]);
  const rest = policy.notAsked;
  const later =
    rest === 0 ? [] : [[`${rest} later ${rest === 1 ? 'rule' : 'rules'} not asked`, []] as Branch];
  const isEmpty = policy.rules.length === 0 && rest === 0;
  return [isEmpty ? `${title}: no rules` : title, [...policy.rules.map(ruleBranch), ...later, ...notes]];
}

function ruleBranch(rule: RuleExplanation): Branch {
  const mark = rule.matches ? '✓' : '·';
  const facts = [
    rule.source === undefined ? '' : placeText(rule.source),
    rule.counted === undefined ? '' : countText(rule.counted),
  ].filter((fact) => fact !== '');
  const title = [`${mark} ${rule.direction} rule ${rule.number}: ${rule.text}`, ...facts].join('  ');
  return [title, rule.reason === undefined ? [] : [[rule.reason, []]]];
}

/** `policies/db.yaml:12`. */
function placeText({ file, line }: RulePlace): string {
  return `${file}:${line}`;
}

function countText({ packets, bytes }: RuleCount): string {
  return `[${packets} packets${bytes === undefined ? '' : `, ${bytes} bytes`}]`;
}

type Branch = readonly [title: string, children: readonly Branch[]];

function treeLines(branches: readonly Branch[], indent = ''): string[] {
  return branches.flatMap(([title, children], index) => {
    const isLast = index === branches.length - 1;
    return [
      `${indent}${isLast ? '└─ ' : '├─ '}${title}`,
      ...treeLines(children, `${indent}${isLast ? '   ' : '│  '}`),
    ];
  });
}
