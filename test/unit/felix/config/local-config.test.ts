// Felix's settings from variables and from felix.cfg, and their place over the datastore's.

import { describe, expect, it } from '@jest/globals';
import { ConfigBatcher } from '../../../../agents/felix/calc/config-batcher.ts';
import { environmentConfig, fileConfig, overlaid } from '../../../../agents/felix/config/local-config.ts';

describe('variables', () => {
  it('are taken by Felix’s names in any case, other programs’ left alone', () => {
    const env = {
      FELIX_DEFAULTENDPOINTTOHOSTACTION: 'ACCEPT',
      FELIX_VxlanMTU: '1400',
      FELIX_IPINIPENABLED: 'true',
      FELIX_LOGSEVERITYSCREEN: 'debug',
      FELIX_HEALTHPORT: '',
      ETCD_ENDPOINTS: 'https://etcd:2379',
    };
    expect(environmentConfig(env)).toEqual({
      settings: {
        defaultEndpointToHostAction: 'ACCEPT',
        vxlanMTU: '1400',
        ipipEnabled: 'true',
        logSeverityScreen: 'debug',
      },
      unknown: [],
    });
  });

  it('of no parameter are named', () => {
    expect(environmentConfig({ FELIX_NOSUCHTHING: '1', FELIX_ETCDADDR: 'x' }).unknown).toEqual([
      'FELIX_ETCDADDR',
      'FELIX_NOSUCHTHING',
    ]);
  });

  it.each([
    ['FELIX_ROUTEREFRESHINTERVAL', '90', 'routeRefreshInterval', '90s'],
    ['FELIX_ROUTEREFRESHINTERVAL', '1.5', 'routeRefreshInterval', '1.5s'],
    ['FELIX_REPORTINGINTERVALSECS', '30', 'reportingInterval', '30s'],
    ['FELIX_NETLINKTIMEOUT', '10s', 'netlinkTimeout', '10s'],
    ['FELIX_NATOUTGOINGADDRESS', 'none', 'natOutgoingAddress', ''],
    ['FELIX_FAILSAFEINBOUNDHOSTPORTS', 'none', 'failsafeInboundHostPorts', 'none'],
  ])('%s=%s', (name, value, field, text) => {
    expect(environmentConfig({ [name]: value }).settings).toEqual({ [field]: text });
  });
});

it('the file has sections, comments and quotes', () => {
  const text =
    '# Felix\n[global]\nLogSeverityScreen = warning\n; not this\nInterfacePrefix="cali,tap"\nWhatIsThis = 1\n\n';
  expect(fileConfig(text)).toEqual({
    settings: { logSeverityScreen: 'warning', interfacePrefix: 'cali,tap' },
    unknown: ['WhatIsThis'],
  });
});

it('a variable stands over the file, both over this host’s, the selected and the global configuration', () => {
  const local = overlaid(
    environmentConfig({ FELIX_VXLANMTU: '1', FELIX_NATOUTGOINGADDRESS: 'none' }),
    fileConfig('VxlanMTU = 2\nVxlanPort = 2'),
  );
  const batcher = new ConfigBatcher(local.settings);
  batcher.setGlobal({
    vxlanMTU: '4',
    vxlanPort: '4',
    vxlanVNI: '4',
    ipipMTU: '4',
    natOutgoingAddress: '192.0.2.1',
  });
  batcher.setHost({ vxlanMTU: '3', vxlanPort: '3', vxlanVNI: '3' });
  expect(batcher.merged()).toEqual({ vxlanMTU: '1', vxlanPort: '2', vxlanVNI: '3', ipipMTU: '4' });
});
