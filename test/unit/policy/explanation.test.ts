// Explanations: what each rule asked and why it did not fit, as data and as a tree.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { Rule } from '../../../lib/model/policy-types.ts';
import { resolveCluster } from '../../../lib/policy/cluster.ts';
import { type Explanation, explain, type RuleFacts } from '../../../lib/policy/explanation/explanation.ts';
import { renderExplanation } from '../../../lib/policy/explanation/render.ts';
import { ask } from '../../../lib/policy/question/ask.ts';
import { parseEnd } from '../../../lib/policy/question/ends.ts';
import { parseTraffic } from '../../../lib/policy/question/traffic.ts';
import { withStagedEnacted } from '../../../lib/policy/staged.ts';
import { networkPolicy, resource, SHOP } from '../../support/policy-world.ts';

function explained(
  extra: readonly Resource[],
  [from, to, traffic]: readonly [string, string, string],
  facts: RuleFacts = {},
  staged = false,
): Explanation {
  const resources = [...SHOP, ...extra];
  const cluster = resolveCluster(staged ? withStagedEnacted(resources) : resources);
  const question = {
    from: parseEnd(cluster, from),
    to: parseEnd(cluster, to),
    traffic: parseTraffic(traffic),
  };
  const [answer] = ask(cluster, question, { bothSides: true, stagedAsEnforced: staged });
  if (answer === undefined) throw new Error('no answer');
  return explain(cluster, question, answer, facts);
}

/** The reason why the only rule of a policy on db does not match web's packet to tcp/80. */
function reasonOf(
  rule: Partial<Rule>,
  traffic = 'tcp/80',
  from = 'shop/web',
  extra: readonly Resource[] = [],
): string | undefined {
  const policy = networkPolicy('p', { selector: "app == 'db'", ingress: [{ action: 'Allow', ...rule }] });
  const { checkpoints } = explained([policy, ...extra], [from, 'shop/db', traffic]);
  return checkpoints.at(-1)?.tiers[0]?.policies[0]?.rules[0]?.reason;
}

describe('why a rule does not match', () => {
  it.each<readonly [Partial<Rule>, string | undefined]>([
    [{}, undefined],
    [{ ipVersion: 6 }, 'it is for IPv6 only'],
    [{ protocol: 'UDP' }, 'protocol tcp is not udp'],
    [{ protocol: 47 }, 'protocol tcp is not 47'],
    [{ notProtocol: 'TCP' }, 'it excludes tcp'],
    [{ protocol: 'ICMP', icmp: { type: 8 } }, 'protocol tcp is not icmp'],
    [
      { source: { nets: ['10.9.0.0/16', '10.8.0.0/16'] } },
      'source 10.0.0.1 is not in 10.9.0.0/16, 10.8.0.0/16',
    ],
    [{ source: { notNets: ['10.0.0.0/8'] } }, 'source 10.0.0.1 is in 10.0.0.0/8, which it excludes'],
    [
      { source: { selector: "app == 'api' || has(tier)" } },
      'source with projectcalico.org/namespace=shop, app=web, no tier is not (projectcalico.org/namespace == "shop" && (app == "api" || has(tier)))',
    ],
    [
      { destination: { ports: [443, '8000:9000'] }, protocol: 'TCP' },
      'destination port 80 is not 443, 8000:9000',
    ],
    [{ destination: { notPorts: [80] }, protocol: 'TCP' }, 'destination port 80 is excluded'],
    [{ source: { ports: [53] }, protocol: 'TCP' }, 'source has no port, or none was asked about'],
    [{ destination: { ports: ['sql'] }, protocol: 'TCP' }, 'destination port 80 is not sql of an endpoint'],
  ])('%j', (rule, reason) => {
    expect(reasonOf(rule)).toBe(reason);
  });

  it('tells of ICMP types, and of addresses that are no endpoint', () => {
    const icmp = { protocol: 'ICMP' as const };
    expect(reasonOf({ ...icmp, icmp: { type: 3, code: 1 } }, 'icmp/8')).toBe(
      'type 8 code 0 is not type 3 code 1',
    );
    expect(reasonOf({ ...icmp, notICMP: { type: 8 } }, 'icmp/8')).toBe('it excludes type 8 code 0');
    expect(reasonOf({ source: { selector: 'all()' } }, 'tcp/80', '192.0.2.9')).toBe(
      'source 192.0.2.9 is no endpoint and in no network set, so no selector matches it',
    );
  });

  it('tells of services, whose endpoints have no labels', () => {
    const slice: Resource = {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 's', namespace: 'shop', labels: { 'kubernetes.io/service-name': 'front' } },
      ...{ addressType: 'IPv4', ports: [{ port: 81, protocol: 'TCP' }] },
      ...{ endpoints: [{ addresses: ['10.0.0.1', '10.0.1.1'] }] },
    };
    const reason = (rule: Partial<Rule>, from = 'shop/web'): string | undefined =>
      reasonOf(rule, 'tcp/80', from, [slice]);
    expect(reason({ source: { services: { name: 'back' } } })).toBe(
      'source 10.0.0.1 is no endpoint of service == "shop/back"',
    );
    expect(reason({ source: { services: { name: 'front' } } })).toBeUndefined();
    // Of a destination an egress rule alone may ask so, and asks for its ports.
    const outReason = (name: string, traffic: string): string | undefined => {
      const rules: Rule[] = [{ action: 'Allow', destination: { services: { name } } }];
      const out = networkPolicy('out', { selector: "app == 'web'", types: ['Egress'], egress: rules });
      const { checkpoints } = explained([out, slice], ['shop/web', 'shop/db', traffic]);
      return checkpoints[0]?.tiers[0]?.policies[0]?.rules[0]?.reason;
    };
    expect(outReason('back', 'tcp/81')).toBe('destination 10.0.1.1 is no endpoint of service == "shop/back"');
    expect(outReason('front', 'tcp/81')).toBeUndefined();
    const isOne = 'destination 10.0.1.1 is an endpoint of service == "shop/front"';
    expect(outReason('front', 'tcp/80')).toBe(`${isOne}, but not for tcp/80`);
    expect(outReason('front', 'udp/81')).toBe(`${isOne}, but not for udp/81`);
    expect(outReason('front', 'icmp/8')).toBe(`${isOne}, but not for icmp`);
    expect(reason({ source: { selector: "app == 'api'" } })).toBe(
      'source with projectcalico.org/namespace=shop, app=web is not (projectcalico.org/namespace == "shop" && app == "api")',
    );
    expect(reason({ source: { notSelector: "app == 'web'" } })).toBe(
      'source with projectcalico.org/namespace=shop, app=web is not (projectcalico.org/namespace == "shop" && !app == "web")',
    );
  });
});

const POLICIES: readonly Resource[] = [
  networkPolicy('web-out', {
    selector: "app == 'web'",
    types: ['Egress'],
    egress: [{ action: 'Log' }, { action: 'Allow', protocol: 'UDP' }],
  }),
  networkPolicy('db-in', {
    selector: "app == 'db'",
    ingress: [
      { action: 'Allow', protocol: 'TCP', destination: { ports: [80] } },
      { action: 'Allow', protocol: 'TCP', destination: { ports: ['sql'] } },
      { action: 'Deny' },
    ],
  }),
];

describe('an explanation', () => {
  it('shows both sides though the first denies, with file, line and counts where they are known', () => {
    const facts: RuleFacts = {
      sourceOf: (ref) => (ref.type === 'policy' ? { file: 'p.yaml', line: 7 + ref.index } : undefined),
      countOf: (ref, place) =>
        place.host === 'n2' && ref.index === 1 ? { packets: 3, bytes: 180 } : undefined,
    };
    const tree = renderExplanation(explained(POLICIES, ['shop/web', 'shop/db', 'tcp/sql'], facts));
    expect(tree).toBe(`shop/web (10.0.0.1 on n1) → shop/db (10.0.1.1 on n2)  tcp/5432
denied: egress of workload shop/web: no rule matches in tier default, where NetworkPolicy shop/web-out applies

✗ egress of workload shop/web: no rule matches in tier default, where NetworkPolicy shop/web-out applies
└─ tier default: no rule matches: its end denies
   └─ NetworkPolicy shop/web-out
      ├─ ✓ egress rule 1: log any  p.yaml:7
      └─ · egress rule 2: allow udp  p.yaml:8
         └─ protocol tcp is not udp

✓ ingress of workload shop/db: ingress rule 2 of NetworkPolicy shop/db-in allows  p.yaml:8
└─ tier default: allows
   └─ NetworkPolicy shop/db-in
      ├─ · ingress rule 1: allow tcp to ports 80  p.yaml:7
      │  └─ destination port 5432 is not 80
      ├─ ✓ ingress rule 2: allow tcp to ports sql  p.yaml:8  [3 packets, 180 bytes]
      └─ 1 later rule not asked
`);
  });

  it('is as docs/policy.md shows it', () => {
    const page = readFileSync('docs/policy.md', 'utf8');
    const shown = /\$ calicoctl explain [^\n]*\n([^`]*)```/.exec(page)?.[1];
    const policy = networkPolicy('db', {
      selector: "app == 'db'",
      ingress: [
        { action: 'Allow', protocol: 'UDP' },
        { action: 'Allow', protocol: 'TCP', destination: { ports: [5433] } },
      ],
    });
    const sourceOf: RuleFacts['sourceOf'] = (ref) =>
      ref.type === 'policy' ? { file: 'db.yaml', line: 7 + 2 * ref.index } : undefined;
    const tree = renderExplanation(explained([policy], ['shop/web', 'shop/db', '5432/tcp'], { sourceOf }));
    expect(tree).toBe(shown);
  });

  it('is plain data, with the rule that decided', () => {
    const explanation = explained(POLICIES, ['external', 'shop/db', 'tcp/sql']);
    expect(JSON.parse(JSON.stringify(explanation))).toEqual(explanation);
    expect(explanation).toMatchObject({
      verdict: 'allow',
      traffic: 'tcp/sql',
      packet: 'tcp/5432',
      from: { name: 'external', address: '203.0.113.1' },
      checkpoints: [
        {
          decidedBy: { rule: { type: 'policy', direction: 'ingress', index: 1, policy: { name: 'db-in' } } },
        },
      ],
    });
  });

  it('passes staged policies over, or takes them for what they would replace and delete', () => {
    const staged = [
      ...POLICIES,
      resource('StagedNetworkPolicy', 'web-out', { stagedAction: 'Delete' }, { namespace: 'shop' }),
      resource(
        'StagedNetworkPolicy',
        'db-in',
        {
          order: 1,
          selector: "app == 'db'",
          ingress: [{ action: 'Allow', source: { nets: ['10.0.0.0/24'] } }],
        },
        { namespace: 'shop' },
      ),
    ];
    const now = explained(staged, ['shop/web', 'shop/db', 'tcp/81']);
    expect(now.verdict).toBe('deny');
    expect(renderExplanation(now)).toContain('StagedNetworkPolicy shop/db-in (staged: not asked)');
    const then = explained(staged, ['shop/web', 'shop/db', 'tcp/81'], {}, true);
    expect(then.reason).toBe(
      'allowed: ingress of workload shop/db: ingress rule 1 of StagedNetworkPolicy shop/db-in allows',
    );
  });
});
