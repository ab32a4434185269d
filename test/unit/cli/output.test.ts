// Tables and other forms of calicoctl's answers.
import { describe, expect, it } from '@jest/globals';
import { eventRow, eventTable } from '../../../cli/output/event-table.ts';
import { renderUsage } from '../../../cli/output/ipam.ts';
import { isHealthy, renderNodeStatuses } from '../../../cli/output/node-status.ts';
import {
  forExport,
  type OutputFormat,
  parseOutputFormat,
  renderResources,
} from '../../../cli/output/resources.ts';
import { formatCount, formatDuration, renderTable, withShare } from '../../../cli/output/table.ts';
import type { CalicoEvent } from '../../../lib/events/event.ts';
import type { Resource } from '../../../lib/model/metadata.ts';
import type { NodeStatus } from '../../../lib/protocol/node-status.ts';

const policy = (name: string, order?: number): Resource => ({
  apiVersion: 'projectcalico.org/v3',
  kind: 'NetworkPolicy',
  metadata: { name, namespace: 'prod', uid: 'u', resourceVersion: '7', labels: { a: 'b' } },
  spec: { selector: 'all()', ...(order === undefined ? {} : { order }) },
});
const found = { type: 'objects', objects: [policy('web', 10), policy('database')] } as const;
const render = (format: OutputFormat, withNamespace = false): string =>
  renderResources(found, { format, withNamespace, withHeadings: true });

describe('resources', () => {
  it('shows the plain table, with namespaces where several may be shown', () => {
    expect(render({ type: 'ps' })).toBe('NAME       TIER\nweb        default\ndatabase   default\n');
    expect(render({ type: 'ps' }, true)).toMatch(/^NAMESPACE {3}NAME {7}TIER\nprod {8}web/);
  });

  it('shows the wide table and columns of choice', () => {
    expect(render({ type: 'wide' })).toContain('web        default   10      all()');
    expect(render(parseOutputFormat('custom-columns=order,name'))).toBe(
      'ORDER   NAME\n10      web\n        database\n',
    );
    expect(() => render(parseOutputFormat('custom-columns=nope'))).toThrow(
      'NetworkPolicy has no column NOPE',
    );
  });

  it('names objects as kubectl does', () => {
    expect(render({ type: 'name' })).toBe(
      'networkpolicy.projectcalico.org/web\nnetworkpolicy.projectcalico.org/database\n',
    );
  });

  it('prints one object for itself, several as an array, lists as list objects', () => {
    const one = { type: 'objects', objects: [policy('web')] } as const;
    const list = {
      type: 'list',
      kind: 'Tier',
      list: { items: [], unreadable: [], resourceVersion: '9' },
    } as const;
    const json = (value: Parameters<typeof renderResources>[0]): unknown =>
      JSON.parse(
        renderResources(value, { format: { type: 'json' }, withNamespace: false, withHeadings: true }),
      );
    expect(json(one)).toEqual(policy('web'));
    expect(json(found)).toEqual(found.objects);
    expect(json(list)).toEqual({
      kind: 'TierList',
      apiVersion: 'projectcalico.org/v3',
      metadata: { resourceVersion: '9' },
      items: [],
    });
  });

  it('quotes in YAML what older readers would take for something else', () => {
    const times = { ...policy('web'), spec: { a: '2026-01-02T03:04:05Z', b: 'yes', c: '1' } };
    const options = { format: { type: 'yaml' }, withNamespace: false, withHeadings: true } as const;
    const text = renderResources({ type: 'objects', objects: [times] }, options);
    expect(text).toContain('a: "2026-01-02T03:04:05Z"\n  b: "yes"\n  c: "1"');
  });

  it('exports what can be applied elsewhere', () => {
    expect(forExport(policy('web')).metadata).toEqual({ name: 'web', labels: { a: 'b' } });
  });

  it('refuses other formats with those that there are', () => {
    expect(() => parseOutputFormat('xml')).toThrow('unrecognized output format "xml"');
  });
});

describe('tables', () => {
  it('pads all columns but the last, and leaves no blanks at ends', () => {
    expect(
      renderTable(
        ['A', 'LONG', 'B'],
        [
          ['xyz', '', ''],
          ['', 'x', 'y'],
        ],
      ),
    ).toBe('A     LONG   B\nxyz\n      x      y\n');
  });

  it('rounds shares, and counts past five digits', () => {
    expect(withShare(12n, 256n)).toBe('12 (5%)');
    expect(withShare(0n, 0n)).toBe('0 (0%)');
    expect(formatCount(99_999n)).toBe('99999');
    expect(formatCount(2n ** 64n)).toBe('1.8447e+19');
    expect(formatCount(100_000n)).toBe('1e+05');
  });

  it.each([
    [0, '0s'],
    [119, '119s'],
    [130, '2m10s'],
    [3600, '60m'],
    [10_800, '3h'],
    [200_000, '2d'],
    [Number.NaN, '-'],
  ])('says %d seconds as %s', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text);
  });

  it('shows pools and, when asked, their blocks with owners', () => {
    const counts = { inUse: 3, coolingDown: 0 };
    const block = {
      cidr: '10.0.0.0/26',
      owner: { type: 'host', host: 'node-1' },
      capacity: 64,
      reserved: 0,
      available: 61,
      ...counts,
    } as const;
    const pool = {
      name: 'p',
      cidr: '10.0.0.0/24',
      capacity: '256',
      reserved: '0',
      available: '253',
      blocks: [block],
      ...counts,
    };
    const usage = { pools: [pool], orphans: [] };
    expect(renderUsage(usage, false)).toBe(
      'GROUPING   CIDR          IPS TOTAL   IPS IN USE   IPS RESERVED   IPS FREE\n' +
        'IP Pool    10.0.0.0/24   256         3 (1%)       0 (0%)         253 (99%)\n',
    );
    expect(renderUsage(usage, true)).toContain(
      'Block      10.0.0.0/26   64          3 (5%)       0 (0%)         61 (95%)    node-1',
    );
  });
});

describe('node status', () => {
  const peer = (state: 'Established' | 'Active'): object => ({
    name: 'node-2',
    description: 'Mesh_172_18_0_3',
    address: '172.18.0.3',
    asn: 64512,
    state,
    since: '2026-01-02T03:04:05.678Z',
    prefixes: { received: 2, accepted: 2, advertised: 1, stale: 0 },
    ...(state === 'Active' ? { lastError: { time: '', reason: 'connection refused' } } : {}),
  });
  const status = (state: 'Established' | 'Active'): NodeStatus =>
    ({
      node: 'node-1',
      ready: true,
      reasons: [],
      uptimeSeconds: 130,
      felix: { revision: 42, endpoints: 3, generation: 1, leftOut: [], lastError: null },
      ipam: { blocks: ['10.65.0.0/26'] },
      bgp: { configurationErrors: [], peers: [peer(state)], kernel: { installed: 2, failed: [] } },
    }) as unknown as NodeStatus;
  const now = new Date('2026-01-02T03:06:15.678Z');

  it('shows nodes, and peers with their state and since when', () => {
    const lines = renderNodeStatuses([status('Established')], now).split('\n');
    expect(lines[1]?.split(/ {2,}/)).toEqual([
      'node-1',
      'yes',
      '2m10s',
      '3',
      '1/1',
      '2',
      '42',
      '10.65.0.0/26',
    ]);
    expect(lines[3]).toBe('IPv4 BGP status');
    expect(lines[5]?.split(/ {2,}/)).toEqual([
      ...['node-1', '172.18.0.3', 'node-to-node mesh', 'up'],
      ...['2026-01-02T03:04:05Z (2m10s)', 'Established'],
    ]);
  });

  it('is not healthy, and says why, while a session is down', () => {
    expect(isHealthy(status('Established'))).toBe(true);
    expect(isHealthy(status('Active'))).toBe(false);
    expect(renderNodeStatuses([status('Active')], now)).toContain(
      'node-1: BGP session with node-2 is Active: connection refused\n',
    );
  });

  it('has a line for a node that cannot be asked', () => {
    const [, first, second] = renderNodeStatuses([status('Established')], now, ['node-2']).split('\n');
    expect(first).toMatch(/^node-1 +yes /);
    expect(second?.split(/ {2,}/)).toEqual(['node-2', 'unknown', '?', '?', '?', '?', '?', '?']);
  });

  it('says so when bgpd cannot be asked', () => {
    const away: NodeStatus = { ...status('Established'), bgp: { error: 'bgpd does not answer' } };
    expect(isHealthy(away)).toBe(false);
    expect(renderNodeStatuses([away], now)).toContain('node-1: bgpd does not answer');
  });
});

describe('events', () => {
  const event = (host: string): CalicoEvent => ({
    time: '2026-01-02T03:04:05.678Z',
    host,
    seq: 1,
    component: 'agent',
    kind: 'kernelTransaction',
    object: 'table',
    revision: 7,
    durationMs: 1.234,
  });

  it('aligns a list to what it holds', () => {
    const table = eventTable(false);
    expect(table.line(eventRow(event('a'))) + table.line(eventRow(event('a-long-name')))).toBe('');
    const [headings, first, second] = table.end().split('\n');
    expect(headings).toMatch(/^TIME {22}HOST {9}COMPONENT {2}KIND/);
    expect(first).toBe(
      '2026-01-02T03:04:05.678Z  a            agent      kernelTransaction  table   revision=7 1.2ms',
    );
    expect(second?.indexOf('agent')).toBe(first?.indexOf('agent'));
  });

  it('shows what is followed at once, under headings', () => {
    const table = eventTable(true);
    const lines = table.line(eventRow(event('a'))).split('\n');
    expect(lines).toHaveLength(3);
    expect(table.line(eventRow(event('b'))).indexOf('agent')).toBe(lines[1]?.indexOf('agent'));
    expect(table.end()).toBe('');
  });
});
