// What a change of policy means for traffic: told by groups, over classes, within a bound.

import { describe, expect, it } from '@jest/globals';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { Rule } from '../../../lib/model/policy-types.ts';
import { resolveCluster } from '../../../lib/policy/cluster.ts';
import { type Comparison, compareConnectivity } from '../../../lib/policy/connectivity/compare.ts';
import { groupName } from '../../../lib/policy/connectivity/group-name.ts';
import {
  distinctionsOf,
  packetOf,
  type TrafficClass,
  trafficClasses,
} from '../../../lib/policy/connectivity/traffic-classes.ts';
import { formatTrafficSet } from '../../../lib/policy/connectivity/traffic-set.ts';
import { networkPolicy, resource, SHOP, workload } from '../../support/policy-world.ts';

const POLICY = networkPolicy('db', {
  selector: "app == 'db'",
  ingress: [
    {
      action: 'Allow',
      protocol: 'TCP',
      source: { selector: "app == 'web'" },
      destination: { ports: [5432] },
    },
  ],
});

function compare(before: readonly Resource[], after: readonly Resource[], base = SHOP): Comparison {
  return compareConnectivity(resolveCluster([...base, ...before]), resolveCluster([...base, ...after]));
}

/** `from > to: lost | gained`. */
function lines({ changes }: Comparison): string[] {
  return changes.map(({ from, to, lost, gained, family }) => {
    const over = family === undefined ? '' : ` over IPv${family}`;
    return `${from.join(' ')} > ${to.join(' ')}: ${lost || 'nothing'} | ${gained || 'nothing'}${over}`;
  });
}

describe('classes of traffic', () => {
  const cluster = resolveCluster([
    ...SHOP,
    networkPolicy('p', {
      ingress: [
        { action: 'Allow', protocol: 'TCP', destination: { ports: [80, '8000:8999', 'sql'] } },
        { action: 'Allow', protocol: 'ICMP', icmp: { type: 8, code: 3 } },
        { action: 'Deny', protocol: 47 },
      ],
    }),
  ]);
  const rules = cluster.policies.get('NetworkPolicy/shop/p')?.ingress ?? [];
  const db = [...cluster.identities.identities.values()].filter(({ ports }) => ports.length > 0);
  const classes = trafficClasses([distinctionsOf(rules)], db);
  const text = (isIn: (traffic: TrafficClass) => boolean): string => formatTrafficSet(classes, isIn);
  const ports = (protocol: number, ...starts: number[]) => {
    return (each: TrafficClass): boolean =>
      each.type === 'ports' &&
      each.protocol === protocol &&
      (starts.length === 0 || starts.includes(each.min));
  };

  it('are cut where rules, names of ports and guards cut', () => {
    const starts = classes.flatMap((each) => (each.type === 'ports' && each.protocol === 6 ? each.min : []));
    expect(starts).toEqual([0, 80, 81, 179, 180, 5432, 5433, 8000, 9000]);
    expect(classes.filter(({ type }) => type === 'icmp')).toHaveLength(3);
    expect(classes.filter(({ type }) => type === 'protocol')).toEqual([
      { type: 'protocol', protocol: 47 },
      { type: 'protocol', protocol: undefined },
    ]);
  });

  it('are each stood for by a packet that is in no other', () => {
    const packets = classes.map((each) => JSON.stringify(packetOf(each, classes, 4)));
    expect(new Set(packets).size).toBe(classes.length);
    const [other] = classes.filter((each) => each.type === 'icmp' && each.icmpType === undefined);
    expect(other && packetOf(other, classes, 4).icmp).toEqual({ type: 13, code: 0 });
  });

  it('are told in the fewest words', () => {
    expect(text(() => true)).toBe('everything');
    expect(text(() => false)).toBe('');
    expect(text(ports(6))).toBe('tcp');
    expect(text(ports(6, 80, 8000))).toBe('tcp/80, tcp/8000-8999');
    expect(text((each) => ports(6)(each) && !ports(6, 5432)(each))).toBe('tcp but 5432');
    expect(text(({ type }) => type !== 'ports')).toBe('icmp, protocol 47, other protocols');
    expect(text((each) => each.type === 'icmp' && each.icmpType === 8)).toBe('icmp/8/3, icmp/8/other');
  });
});

describe('groups', () => {
  it.each([
    ['shop/web-7d9f8b6c5d-x2x4z', { app: 'web' }, 'shop/app=web'],
    ['shop/web-7d9f8b6c5d-x2x4z', {}, 'shop/web-*'],
    ['shop/db-0', {}, 'shop/db-*'],
    ['shop/db', {}, 'shop/db'],
    ['shop/x', { app: 'a', 'app.kubernetes.io/name': 'b' }, 'shop/app.kubernetes.io/name=b'],
  ])('%s %j is %s', (name, labels, group) => {
    expect(groupName(name, labels)).toBe(group);
  });
});

describe('a change of policy', () => {
  it('that says the same otherwise changes nothing', () => {
    const same = networkPolicy('db', { selector: "app in {'db'}", ...(POLICY.spec as object) });
    expect(lines(compare([POLICY], [POLICY]))).toEqual([]);
    expect(lines(compare([POLICY], [same]))).toEqual([]);
  });

  it('tells who loses and who gains what', () => {
    expect(lines(compare([], [POLICY]))).toEqual([
      'external nodes{not its own} > shop/app=db: everything | nothing',
      'shop/app=web > shop/app=db: tcp but 5432, udp but 4789, icmp, other protocols | nothing',
    ]);
    const other = networkPolicy('db', {
      selector: "app == 'db'",
      ingress: [
        {
          action: 'Allow',
          protocol: 'TCP',
          source: { selector: "app == 'web'" },
          destination: { ports: [5433] },
        },
      ],
    });
    expect(lines(compare([POLICY], [other]))).toEqual(['shop/app=web > shop/app=db: tcp/5432 | tcp/5433']);
  });

  it('tells what changes from some source ports alone', () => {
    const from = (...ports: readonly (number | string)[]): Resource =>
      networkPolicy('db', {
        selector: "app == 'db'",
        ingress: [
          {
            action: 'Allow',
            protocol: 'TCP',
            source: { selector: "app == 'web'", ports: [...ports] },
            destination: { ports: [5432] },
          },
        ],
      });
    expect(lines(compare([from(1000)], [from('1000:1010')]))).toEqual([
      'shop/app=web > shop/app=db: nothing | from some source ports tcp/5432',
    ]);
    expect(lines(compare([from(1000)], [from('1:65535')]))).toEqual([
      'shop/app=web > shop/app=db: nothing | from some source ports tcp/5432',
    ]);
    expect(lines(compare([POLICY], [from(1000)]))).toEqual([
      'shop/app=web > shop/app=db: from some source ports tcp/5432 | nothing',
    ]);
  });

  it('tells the families apart where they differ', () => {
    const only = networkPolicy('db', {
      selector: "app == 'db'",
      ingress: [{ action: 'Allow', ipVersion: 6 }],
    });
    expect(lines(compare([], [only]))).toEqual([
      'external{IPv4} nodes{not its own} > shop/app=db: everything | nothing',
      'shop/app=web > shop/app=db: tcp, udp but 4789, icmp, other protocols | nothing over IPv4',
    ]);
  });

  it('names networks outside that rules and sets know', () => {
    const rule: Rule = {
      action: 'Allow',
      source: { nets: ['192.0.2.0/24'], notNets: ['192.0.2.128/25'] },
    };
    const some = networkPolicy('db', { selector: "app == 'db'", ingress: [rule] });
    const closed = networkPolicy('db', { selector: "app == 'db'", ingress: [] });
    expect(lines(compare([some], [closed]))).toEqual(['192.0.2.0/24 > shop/app=db: everything | nothing']);
    const set = resource(
      'GlobalNetworkSet',
      'office',
      { nets: ['198.51.100.0/24'] },
      { labels: { a: 'office' } },
    );
    const office = networkPolicy('db', {
      selector: "app == 'db'",
      ingress: [{ action: 'Allow', source: { selector: "a == 'office'", namespaceSelector: 'global()' } }],
    });
    expect(lines(compare([set, closed], [set, office]))).toEqual([
      '198.51.100.0/24 > shop/app=db: nothing | everything',
    ]);
  });

  it('tells replicas by their group, and apart only where they fare differently', () => {
    const replicas = (track: string, ...ids: number[]): Resource[] =>
      ids.map((id) =>
        workload(
          'n1',
          `api-${track}-${id}`,
          [`10.0.2.${id}`],
          {},
          {
            app: 'api',
            track,
            'pod-template-hash': `h${id}`,
          },
        ),
      );
    const base = [...SHOP, ...replicas('stable', 1, 2, 3), ...replicas('canary', 4)];
    const all = networkPolicy('api', { selector: "app == 'api'", ingress: [] });
    expect(lines(compare([], [all], base))).toEqual([
      'external nodes{not its own} > shop/app=api: everything | nothing',
      'shop/app=api shop/app=db shop/app=web > shop/app=api: tcp, udp but 4789, icmp, other protocols | nothing',
    ]);
    const canary = networkPolicy('api', { selector: "track == 'canary'", ingress: [] });
    const told = lines(compare([], [canary], base));
    expect(told.join('\n')).toMatch(/ > shop\/app=api\{track=canary\}: everything \| nothing/);
    expect(told.join('\n')).not.toContain('> shop/app=api{track=stable}');
  });

  it('tells apart those on the same node, whose fate may be another', () => {
    const shut = networkPolicy('shut', { selector: "app == 'web'", types: ['Egress'] });
    const tcp = 'tcp but 179, udp but 4789, icmp, other protocols';
    expect(lines(compare([], [shut]))).toEqual([
      'shop/app=web > external shop/app=db: tcp, udp but 4789, icmp, other protocols | nothing',
      `shop/app=web > nodes{not its own}: ${tcp} | nothing`,
    ]);
    const settings = resource('FelixConfiguration', 'default', { defaultEndpointToHostAction: 'Accept' });
    expect(lines(compare([settings], [settings, shut]))).toEqual([
      'shop/app=web > external shop/app=db: tcp, udp but 4789, icmp, other protocols | nothing',
      `shop/app=web > nodes: ${tcp} | nothing`,
    ]);
    // What stays on a node passes none of its host endpoints.
    const apis = ['n1', 'n1', 'n2'].map((node, index) =>
      workload(node, `api-${index}`, [`10.0.2.${index}`], {}, { app: 'api' }),
    );
    const profiles = ['projectcalico-default-allow'];
    const hosts = ['n1', 'n2'].map((node) =>
      resource('HostEndpoint', node, { node, interfaceName: 'eth0', profiles }, { labels: { host: 'yes' } }),
    );
    const forward = resource('GlobalNetworkPolicy', 'fwd', {
      selector: "host == 'yes'",
      applyOnForward: true,
      types: ['Ingress'],
      ingress: [
        { action: 'Deny', source: { selector: "app == 'api'" }, destination: { selector: "app == 'api'" } },
        { action: 'Allow' },
      ],
    });
    expect(lines(compare(hosts, [...hosts, forward], [...SHOP, ...apis]))).toEqual([
      'shop/app=api > shop/app=api{on another node}: tcp, udp but 4789, icmp, other protocols | nothing',
    ]);
  });

  it('is looked at for what it touches only, and says what the bound left out', () => {
    const { pairs, pairsLookedAt, classes } = compare([], [POLICY]);
    expect(pairsLookedAt).toBe(pairs);
    expect(pairs).toBe(classes);
    const before = resolveCluster(SHOP);
    const after = resolveCluster([...SHOP, POLICY]);
    expect(compareConnectivity(before, after, { everything: true }).pairs).toBe(classes * classes);
    const cut = compareConnectivity(before, after, { maxVerdicts: 60 });
    expect(cut.pairsLookedAt).toBeLessThan(cut.pairs);
  });
});
