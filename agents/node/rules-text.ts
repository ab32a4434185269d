// `calicoctl node rules` as text: each group with its endpoints, policies, chains and lookups, every number resolved. Pure.

import type {
  GroupDescription,
  RuleDescription,
  TableDescription,
} from '../felix/nftables/render/describe.ts';

export function formatRules(table: TableDescription): string {
  const lines = [
    `table inet calico, epoch ${table.epoch}, generation ${table.generation}`,
    ...table.groups.flatMap(groupLines),
    '',
    'numbers of addresses',
    ...table.numbers.map(({ number, meaning }) => `  ${number}  ${meaning}`),
    '',
    'rule ids of this epoch',
    ...ruleLines(table.rules),
    ...table.earlier.flatMap(({ epoch, generations, rules }) => [
      '',
      `rule ids of epoch ${epoch}, ${generations.length === 0 ? 'no generation' : `generation ${generations.join(', ')}`}`,
      ...ruleLines(rules),
    ]),
  ];
  return `${lines.join('\n')}\n`;
}

function ruleLines(rules: readonly RuleDescription[]): string[] {
  return rules.map(({ id, meaning }) => `  0x${id.toString(16)}  ${meaning}`);
}

function groupLines(group: GroupDescription): string[] {
  const tiers = group.tiers.map(
    (tier) => `  tier ${tier.name}: ${tier.policies.join(', ')}; end: ${tier.defaultAction}`,
  );
  const profiles = group.profiles.length === 0 ? [] : [`  profiles: ${group.profiles.join(', ')}`];
  return [
    '',
    `${group.stage === undefined ? '' : `${group.stage} `}${group.direction} group ${group.number} (${group.chain})`,
    `  endpoints: ${group.endpoints.join(', ') || 'none'}`,
    ...tiers,
    ...profiles,
    ...group.chains.flatMap(({ name, rules }) => [`  chain ${name}`, ...rules.map((rule) => `    ${rule}`)]),
    ...group.lookups.flatMap(({ name, entries }) => [
      `  lookup ${name}`,
      ...entries.map((entry) => `    ${entry}`),
    ]),
  ];
}
