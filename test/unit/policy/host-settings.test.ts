// A host's settings, held against what its Felix makes of the same configurations.

import { describe, expect, it } from '@jest/globals';
import { ConfigBatcher } from '../../../agents/felix/calc/config-batcher.ts';
import { configInputs } from '../../../agents/felix/calc/config-processor.ts';
import { readFelixSettings } from '../../../agents/felix/calc/felix-settings.ts';
import type { FelixConfiguration } from '../../../lib/model/endpoint-types.ts';
import { formatCidr } from '../../../lib/net/ip.ts';
import { type HostSettings, hostSettings } from '../../../lib/policy/evaluation/host-settings.ts';

const NODE = 'n1';
const LABELS = { rack: '1' };

function configuration(name: string, spec: FelixConfiguration['spec'], createdAt = ''): FelixConfiguration {
  return {
    apiVersion: 'projectcalico.org/v3',
    kind: 'FelixConfiguration',
    metadata: { name, ...(createdAt === '' ? {} : { creationTimestamp: createdAt }) },
    ...(spec === undefined ? {} : { spec }),
  };
}

function evaluated(configurations: readonly FelixConfiguration[], labels = LABELS): HostSettings {
  return hostSettings(NODE, { felixConfigurations: configurations, labelsByNode: new Map([[NODE, labels]]) });
}

/** As `readFelixSettings` names it. */
function asFelix(settings: HostSettings): object {
  const ports = (list: HostSettings['failsafeInbound']): object[] =>
    list.map(({ net, ...port }) => ({ ...port, net: net && formatCidr(net) }));
  return {
    ...settings,
    failsafeInbound: ports(settings.failsafeInbound),
    failsafeOutbound: ports(settings.failsafeOutbound),
  };
}

function felix(configurations: readonly FelixConfiguration[], labels = LABELS): object {
  const batcher = new ConfigBatcher();
  batcher.setNodeLabels(labels);
  for (const each of configurations)
    for (const input of configInputs(each.metadata.name, each, NODE)) {
      if (input.type === 'globalConfig') batcher.setGlobal(input.value);
      else if (input.type === 'hostConfig') batcher.setHost(input.value);
      else if (input.type === 'selectedConfig') batcher.setSelected(input.name, input.value);
    }
  return readFelixSettings(batcher.merged()).settings;
}

const YOUNG = '2026-02-01T00:00:00Z';
const OLD = '2026-01-01T00:00:00Z';
const racks = { nodeSelector: "rack == '1'" };

describe('settings of a host', () => {
  it.each<[string, readonly FelixConfiguration[], Partial<HostSettings>]>([
    [
      'a selected one over default',
      [configuration('default', { vxlanPort: 1 }), configuration('r', { ...racks, vxlanPort: 2 })],
      { vxlanPort: 2 },
    ],
    [
      'its own over a selected one',
      [configuration('node.n1', { vxlanPort: 1 }), configuration('r', { ...racks, vxlanPort: 2 })],
      { vxlanPort: 1 },
    ],
    [
      'the oldest alone',
      [
        configuration('a', { ...racks, vxlanPort: 1 }, YOUNG),
        configuration('b', { ...racks, allowVXLANPacketsFromWorkloads: true }, OLD),
      ],
      { vxlanPort: 4789, allowsVxlanFromWorkloads: true },
    ],
    [
      'the lower name of two of an age',
      [
        configuration('b', { ...racks, vxlanPort: 2 }, OLD),
        configuration('a', { ...racks, vxlanPort: 1 }, OLD),
      ],
      { vxlanPort: 1 },
    ],
    [
      'none for other nodes, of no selector or of one that does not parse',
      [
        configuration('a', { nodeSelector: "rack == '2'", vxlanPort: 1 }),
        configuration('b', { vxlanPort: 2 }),
        configuration('c', { nodeSelector: 'rack ==', vxlanPort: 3 }),
        configuration('node.n2', { ...racks, vxlanPort: 4 }),
      ],
      { vxlanPort: 4789 },
    ],
    [
      'the default where the uppermost makes no sense',
      [configuration('default', { vxlanPort: 1 }), configuration('r', { ...racks, vxlanPort: 70_000 })],
      { vxlanPort: 4789 },
    ],
    [
      'what is below where nothing is said',
      [
        configuration('default', { vxlanPort: 1, defaultEndpointToHostAction: 'Accept' }),
        configuration('r', { ...racks, vxlanPort: null, defaultEndpointToHostAction: '' }),
      ],
      { vxlanPort: 1, endpointToHostAction: 'accept' },
    ],
    [
      'failsafe ports without a protocol, in small letters, with a network',
      [
        configuration('r', {
          ...racks,
          failsafeInboundHostPorts: [{ port: 22 }, { protocol: 'udp', port: 68, net: '10.0.0.0/8' }],
          failsafeOutboundHostPorts: [],
        }),
      ],
      { failsafeOutbound: [] },
    ],
    [
      'the default failsafe ports where one is no port',
      [configuration('r', { ...racks, failsafeInboundHostPorts: [{ protocol: 'TCP', port: 70_000 }] })],
      {},
    ],
  ])('are %s, here as in Felix', (_what, configurations, wanted) => {
    const settings = evaluated(configurations);
    expect(settings).toMatchObject(wanted);
    expect(felix(configurations)).toMatchObject(asFelix(settings));
  });
});
