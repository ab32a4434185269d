// FelixConfiguration as the dataplane obeys it: each setting that it honours, and what it says of the others.
import { describe, expect, it } from '@jest/globals';
import {
  DEFAULT_FELIX_SETTINGS,
  type FelixSettings,
  readFelixSettings,
} from '../../../../agents/felix/calc/felix-settings.ts';
import type { ReportSettings, WireguardSettings } from '../../../../agents/felix/calc/network-settings.ts';

const wireguard = (family: 4 | 6, change: Partial<WireguardSettings>): Partial<FelixSettings> => {
  const all = DEFAULT_FELIX_SETTINGS.wireguard;
  return { wireguard: { ...all, [family]: { ...all[family], ...change } } };
};

const reports = (change: Partial<ReportSettings>): Partial<FelixSettings> => ({
  reports: { ...DEFAULT_FELIX_SETTINGS.reports, ...change },
});

describe('a setting that is honoured', () => {
  it.each<[string, string, Partial<FelixSettings>]>([
    ['defaultEndpointToHostAction', 'ACCEPT', { endpointToHostAction: 'accept' }],
    ['defaultEndpointToHostAction', 'Return', { endpointToHostAction: 'return' }],
    ['interfacePrefix', 'cali', {}],
    ['interfacePrefix', 'tap, cali', { interfacePrefixes: ['cali', 'tap'] }],
    ['interfacePrefix', 'ca', { interfacePrefixes: ['ca'] }],
    ['interfacePrefix', 'tap', { interfacePrefixes: ['cali', 'tap'] }],
    ['vxlanPort', '8472', { vxlanPort: 8472 }],
    ['allowVXLANPacketsFromWorkloads', 'true', { allowsVxlanFromWorkloads: true }],
    ['allowIPIPPacketsFromWorkloads', 'true', { allowsIpipFromWorkloads: true }],
    ['disableConntrackInvalidCheck', 'true', { dropsInvalid: false }],
    ['workloadSourceSpoofing', 'Any', { allowsSpoofedPrefixes: true }],
    ['natOutgoingExclusions', 'IPPoolsAndHostIPs', { excludesHostsFromNat: true }],
    ['failsafeInboundHostPorts', 'none', { failsafeInbound: [] }],
    [
      'failsafeInboundHostPorts',
      'tcp:22, udp:10.0.0.0/8:68,23,tcp:[2001:db8::]/32:80,tcp:[2001:db8::1]:81',
      {
        failsafeInbound: [
          { protocol: 6, port: 22, net: undefined },
          { protocol: 17, port: 68, net: '10.0.0.0/8' },
          { protocol: 6, port: 23, net: undefined },
          { protocol: 6, port: 80, net: '2001:db8::/32' },
          { protocol: 6, port: 81, net: '2001:db8::1/128' },
        ],
      },
    ],
    ['failsafeOutboundHostPorts', '', { failsafeOutbound: [] }],
    ['flowLogsLocalReporter', 'Enabled', { recordsAllowed: true }],
    ['flowLogsPolicyEvaluationMode', 'None', { evaluatesStaged: false }],
    ['routeRefreshInterval', '1m30s', {}],
    ['routeRefreshInterval', '0s', { routeRefreshMs: 0 }],
    ['vxlanEnabled', 'false', { vxlanEnabled: false }],
    ['vxlanVNI', '4097', { vxlanVni: 4097 }],
    ['vxlanMTU', '1400', { vxlanMtu: 1400 }],
    ['vxlanMTUV6', '1380', { vxlanMtuV6: 1380 }],
    ['ipipEnabled', 'true', { ipipEnabled: true }],
    ['ipipMTU', '1440', { ipipMtu: 1440 }],
    ['programClusterRoutes', 'Disabled', { programsIpip: false }],
    ['wireguardInterfaceName', 'wg0', wireguard(4, { interfaceName: 'wg0' })],
    ['wireguardInterfaceNameV6', 'wg6', wireguard(6, { interfaceName: 'wg6' })],
    ['wireguardListeningPort', '51900', wireguard(4, { port: 51_900 })],
    ['wireguardListeningPortV6', '51901', wireguard(6, { port: 51_901 })],
    ['wireguardMTU', '1400', wireguard(4, { mtu: 1400 })],
    ['wireguardMTUV6', '1380', wireguard(6, { mtu: 1380 })],
    ['wireguardRoutingRulePriority', '50', { wireguardRulePriority: 50 }],
    ['wireguardKeepAlive', '25s', { wireguardKeepAliveSeconds: 25 }],
    ['wireguardHostEncryptionEnabled', 'false', {}],
    ['ipv6Support', 'false', { hasIpv6: false }],
    ['ipForwarding', 'Disabled', { forwardsIp: false }],
    ['externalNodesList', '192.0.2.0/24,198.51.100.7', { externalNodes: ['192.0.2.0/24', '198.51.100.7'] }],
    ['mtuIfacePattern', '^bond', { mtuInterfaces: /^bond/ }],
    ['deviceRouteProtocol', '90', { routeProtocol: 90 }],
    ['deviceRouteProtocol', '3', {}],
    ['deviceRouteSourceAddress', '192.0.2.1', { routeSource4: '192.0.2.1' }],
    ['deviceRouteSourceAddressIPv6', 'fd00::1', { routeSource6: 'fd00::1' }],
    ['removeExternalRoutes', 'false', { removesForeignRoutes: false }],
    ['routeSyncDisabled', 'true', { programsRoutes: false }],
    ['endpointReportingEnabled', 'true', reports({ endpoints: true })],
    ['endpointReportingDelay', '5s', reports({ endpointDelayMs: 5000 })],
    ['reportingInterval', '30s', reports({ intervalMs: 30_000 })],
    ['reportingTTL', '60s', reports({ ttlMs: 60_000 })],
    ['openstackRegion', 'east', reports({ region: 'region-east' })],
    ['natOutgoingAddress', '192.0.2.1', { natAddress: '192.0.2.1' }],
    ['natPortRange', '1000:2000', { natPorts: { first: 1000, last: 2000 } }],
    ['natPortRange', '1000', { natPorts: { first: 1000, last: 1000 } }],
    ['nftablesMarkMask', '4294967295', {}],
    ['nftablesMarkMask', '0xffff0000', { scratch: 'priority' }],
    ['nftablesMarkMask', '4294901760', { scratch: 'priority' }],
    ['nftablesFilterAllowAction', 'Accept', { foreignAccepts: 'all' }],
    ['nftablesFilterAllowAction', 'Return', { foreignAccepts: 'none' }],
    ['nftablesFilterDenyAction', 'Reject', { denyAction: 'reject' }],
    ['nftablesFilterDenyAction', 'drop', {}],
    ['chainInsertMode', 'Append', { insertsForeignAccepts: false }],
    ['logSeverityScreen', 'Warning', { logSeverity: 'warn' }],
    ['prometheusMetricsEnabled', 'true', { metrics: { enabled: true, host: undefined, port: undefined } }],
    ['dataplaneWatchdogTimeout', '30s', { watchdogMs: 30_000 }],
    ['healthPort', '9199', { health: { enabled: undefined, host: undefined, port: 9199 } }],
  ])('%s=%s', (name, text, changes) => {
    expect(readFelixSettings({ [name]: text })).toEqual({
      settings: { ...DEFAULT_FELIX_SETTINGS, ...changes },
      ignored: [],
      invalid: [],
    });
  });

  it.each([
    ['defaultEndpointToHostAction', 'Perhaps'],
    ['interfacePrefix', 'cali" accept'],
    ['interfacePrefix', ''],
    ['vxlanPort', '0'],
    ['vxlanPort', '1e3'],
    ['routeRefreshInterval', '-1s'],
    ['routeRefreshInterval', 'often'],
    ['disableConntrackInvalidCheck', 'toString'],
    ['failsafeInboundHostPorts', 'tcp:22,tcp:ssh'],
    ['failsafeInboundHostPorts', 'tcp:10.0.0.0/64:22'],
    ['failsafeOutboundHostPorts', 'nothing:22'],
    ['failsafeOutboundHostPorts', 'tcp:70000'],
    ['natPortRange', '2000:1000'],
    ['natOutgoingAddress', 'fd00::1'],
    ['externalNodesList', '192.0.2.0/33'],
    ['mtuIfacePattern', '('],
    ['nftablesMarkMask', '4294967296'],
    ['nftablesFilterDenyAction', 'Return'],
    ['nftablesMarkMask', '0x'],
    ['vxlanVNI', '0'],
    ['openstackRegion', 'a/b'],
    ['wireguardInterfaceName', 'wg0 up'],
    ['wireguardListeningPort', '0'],
    ['wireguardKeepAlive', '19h'],
    ['wireguardRoutingRulePriority', '32766'],
  ])('keeps its default at %s=%j, and says so', (name, text) => {
    expect(readFelixSettings({ [name]: text })).toEqual({
      settings: DEFAULT_FELIX_SETTINGS,
      ignored: [],
      invalid: [`${name}=${text}`],
    });
  });
});

it('a port of WireGuard is a failsafe port', () => {
  const { settings } = readFelixSettings({ wireguardEnabled: 'true', failsafeInboundHostPorts: 'none' });
  const port = { protocol: 17, port: 51_820, net: undefined };
  expect(settings.wireguard[4].enabled).toBe(true);
  expect(settings.failsafeInbound).toEqual([port]);
  expect(settings.failsafeOutbound).toEqual([...DEFAULT_FELIX_SETTINGS.failsafeOutbound, port]);
});

describe('a setting without effect', () => {
  it('is named, unless it says what is so already', () => {
    const config = { floatingIPs: 'Enabled', bpfEnabled: 'False', noSuchSetting: '1' };
    expect(readFelixSettings(config).ignored).toEqual(['floatingIPs', 'noSuchSetting']);
  });
});
