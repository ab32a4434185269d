// Tables of calicoctl: headings and cells of each kind.

import { describe, expect, it } from '@jest/globals';
import { cellOf, columnsOfKind, headingsOfKind } from '../../../lib/model/kind-columns.ts';
import { CALICO_KINDS } from '../../../lib/model/kinds.ts';
import type { Resource } from '../../../lib/model/metadata.ts';

function row(kind: string, spec: object, headings: readonly string[]): string[] {
  const resource: Resource = {
    apiVersion: 'projectcalico.org/v3',
    kind,
    metadata: { name: 'n', namespace: 'ns' },
    spec,
  };
  return headings.map((heading) => cellOf(resource, heading));
}

describe('columns', () => {
  it.each(CALICO_KINDS.filter((info) => info.inCalicoctl).map(({ kind }) => kind))(
    '%s: every heading can be asked for as a custom column',
    (kind) => {
      const { plain, wide } = columnsOfKind(kind);
      expect(headingsOfKind(kind)).toEqual(expect.arrayContaining([...plain, ...wide]));
      expect(new Set(wide).size).toBe(wide.length);
    },
  );

  it('shows a pool with the values that apply where none is given', () => {
    expect(row('IPPool', { cidr: '10.0.0.0/16', natOutgoing: true }, columnsOfKind('IPPool').wide)).toEqual([
      'n',
      '10.0.0.0/16',
      'true',
      'Never',
      'Never',
      'false',
      'false',
      'all()',
      'Automatic',
    ]);
  });

  it('says to which nodes a peer belongs', () => {
    expect(row('BGPPeer', { peerIP: '10.0.0.1', asNumber: 64512 }, columnsOfKind('BGPPeer').plain)).toEqual([
      'n',
      '10.0.0.1',
      '(global)',
      '64512',
    ]);
    expect(row('BGPPeer', { nodeSelector: 'has(rack)' }, ['NODE'])).toEqual(['has(rack)']);
  });

  it('joins lists and cuts long ones', () => {
    const nets = Array.from({ length: 20 }, (_, index) => `10.0.${index}.0/24`);
    const [cell = ''] = row('GlobalNetworkSet', { nets }, ['NETS']);
    expect(cell).toHaveLength(83);
    expect(cell.endsWith('...')).toBe(true);
    expect(row('WorkloadEndpoint', { ipNetworks: ['10.0.0.1/32', 'fd00::1/128'] }, ['NETWORKS'])).toEqual([
      '10.0.0.1/32,fd00::1/128',
    ]);
  });

  it('shows nothing under a heading that the kind does not have', () => {
    expect(row('Tier', { order: 1 }, ['ORDER', 'CIDR', 'constructor', 'NAMESPACE'])).toEqual([
      '1',
      '',
      '',
      'ns',
    ]);
  });
});
