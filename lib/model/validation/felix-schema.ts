// Schema of FelixConfiguration (Calico v3): grouped by the type of the setting. Settings of the eBPF dataplane and of other
// systems are checked as upstream does, so that existing objects are kept, though nothing here acts on them.

import { parseIp } from '../../net/ip.ts';
import { isValidDscp } from '../numbers.ts';
import {
  checkNumericPort,
  dnsLabel,
  interfaceFilter,
  interfaceName,
  interval,
  looseCidr,
  looseCidrV4,
  matching,
  notNegativeDuration,
  plainInterfaceName,
  protocolOf,
  regularExpression,
  selector,
} from './formats.ts';
import {
  boolean,
  checkedText,
  integer,
  isAbsent,
  isJsonObject,
  type JsonObject,
  list,
  listField,
  map,
  numberOrText,
  type ObjectSchema,
  object,
  objectField,
  oneOf,
  type Report,
  type Schema,
  text,
  textField,
} from './schema.ts';

function all(names: string, schema: Schema): Record<string, Schema> {
  return Object.fromEntries(
    names
      .trim()
      .split(/\s+/)
      .map((name) => [name, schema]),
  );
}

function anyCase(...values: readonly string[]): Schema {
  return text({ pattern: new RegExp(`^(${values.join('|')})?$`, 'i') });
}

const switches = all(
  `allowIPIPPacketsFromWorkloads allowVXLANPacketsFromWorkloads bpfConnectTimeLoadBalancingEnabled
   bpfDisableUnprivileged bpfEnabled bpfHostConntrackBypass bpfKubeProxyIptablesCleanupEnabled bpfPolicyDebugEnabled
   debugDisableLogDropping disableConntrackInvalidCheck endpointReportingEnabled flowLogsCollectorDebugTrace
   genericXDPEnabled healthEnabled ipipEnabled ipv6Support prometheusGoMetricsEnabled prometheusMetricsEnabled
   prometheusProcessMetricsEnabled prometheusWireGuardMetricsEnabled removeExternalRoutes requireMTUFile
   routeSyncDisabled sidecarAccelerationEnabled usageReportingEnabled useInternalDataplaneDriver vxlanEnabled
   wireguardEnabled wireguardEnabledV6 wireguardHostEncryptionEnabled wireguardThreadingEnabled xdpEnabled`,
  boolean,
);

const intervals = all(
  `bpfKubeProxyMinSyncPeriod debugSimulateCalcGraphHangAfter debugSimulateDataplaneApplyDelay
   debugSimulateDataplaneHangAfter dataplaneWatchdogTimeout endpointReportingDelay flowLogsFlushInterval
   interfaceRefreshInterval ipsetsRefreshInterval iptablesLockProbeInterval iptablesLockTimeout
   iptablesPostWriteCheckInterval iptablesRefreshInterval liveMigrationRouteConvergenceTime
   localSubnetL2ReachabilityRefreshInterval netlinkTimeout nftablesRefreshInterval reportingInterval reportingTTL
   routeRefreshInterval usageReportingInitialDelay usageReportingInterval wireguardKeepAlive xdpRefreshInterval`,
  checkedText(interval),
);

const numbers = all(
  `bpfExportBufferSizeMB bpfKubeProxyHealthzPort bpfMaglevMaxEndpointsPerService
   bpfMaglevMaxServices bpfMapSizeConntrack bpfMapSizeIPSets bpfMapSizeIfState bpfMapSizeNATAffinity
   bpfMapSizeNATBackend bpfMapSizeNATFrontend bpfMapSizePerCpuConntrack bpfMapSizeRoute
   deviceRouteProtocol healthPort ipipMTU maxIpsetSize metadataPort prometheusMetricsPort vxlanMTU vxlanMTUV6 vxlanPort
   vxlanVNI wireguardMTU wireguardMTUV6`,
  integer(),
);

const MAX_UINT32 = 4_294_967_295;

const limitedNumbers: Record<string, Schema> = {
  bpfExtToServiceConnmark: integer(0, MAX_UINT32),
  debugPort: integer(0, 65535),
  // -1 leaves the choice to the runtime.
  ...all('goGCThreshold goMaxProcs goMemoryLimitMB', integer(-1)),
  ...all('ipv4ElevatedRoutePriority ipv4NormalRoutePriority', integer(1, 2_147_483_646)),
  ...all('ipv6ElevatedRoutePriority ipv6NormalRoutePriority', integer(1, 2_147_483_646)),
  ...all('iptablesMarkMask nftablesMarkMask', integer(0, MAX_UINT32)),
  ...all('wireguardListeningPort wireguardListeningPortV6', integer(1, 65535)),
  // Below the rules of the main and default tables.
  wireguardRoutingRulePriority: integer(1, 32_765),
};

const texts = all(
  `bpfCTLBLogFilter cgroupV2Path dataplaneDriver debugHost debugMemoryProfilePath deviceRouteSourceAddress
   deviceRouteSourceAddressIPv6 endpointStatusPathPrefix flowLogsGoldmaneServer healthHost interfaceExclude
   interfacePrefix iptablesLockFilePath logFilePath metadataAddr natOutgoingAddress policySyncPathPrefix
   prometheusMetricsCAFile prometheusMetricsCertFile prometheusMetricsClientAuth prometheusMetricsKeyFile`,
  text(),
);

const regularExpressions = all(
  'bpfDataIfacePattern bpfDisableGROForIfaces bpfL3IfacePattern logDebugFilenameRegex mtuIfacePattern',
  checkedText(regularExpression),
);

const enabledOrDisabled = all(
  `bpfHostNetworkedNATWithoutCTLB bpfProfiling bpfRedirectToPeer floatingIPs flowLogsLocalReporter ipForwarding
   istioAmbientMode windowsManageFirewallRules`,
  oneOf('Enabled', 'Disabled'),
);

const choices: Record<string, Schema> = {
  awsSrcDstCheck: oneOf('DoNothing', 'Enable', 'Disable'),
  bpfAttachType: oneOf('TC', 'TCX'),
  bpfConnectTimeLoadBalancing: oneOf('TCP', 'Enabled', 'Disabled'),
  bpfConntrackLogLevel: oneOf('Off', 'Debug'),
  bpfConntrackMode: oneOf('Auto', 'Userspace', 'BPFProgram'),
  bpfJITHardening: oneOf('Auto', 'Strict'),
  flowLogsPolicyEvaluationMode: oneOf('None', 'Continuous'),
  iptablesBackend: oneOf('Legacy', 'NFT', 'Auto'),
  localSubnetL2Reachability: oneOf('Disabled', 'PodsAndLoadBalancers'),
  natOutgoingExclusions: oneOf('IPPoolsOnly', 'IPPoolsAndHostIPs'),
  nftablesFlowTableOffload: oneOf('Disabled', 'All'),
  nftablesMode: text({ enum: ['Disabled', 'Enabled', 'Auto'], default: 'Auto' }),
  programClusterRoutes: oneOf('Enabled', 'Disabled', 'EnabledIPIPOnly'),
};

const choicesInAnyCase: Record<string, Schema> = {
  bpfEnforceRPF: anyCase('Disabled', 'Strict', 'Loose'),
  bpfExternalServiceMode: anyCase('Tunnel', 'DSR'),
  bpfLogLevel: anyCase('Off', 'Info', 'Debug'),
  bpfMapSizeConntrackScaling: anyCase('Disabled', 'DoubleIfFull'),
  chainInsertMode: anyCase('Insert', 'Append'),
  defaultEndpointToHostAction: anyCase('Drop', 'Accept', 'Return'),
  ...all('iptablesFilterAllowAction iptablesMangleAllowAction', anyCase('Accept', 'Return')),
  ...all('nftablesFilterAllowAction nftablesMangleAllowAction', anyCase('Accept', 'Return')),
  ...all('iptablesFilterDenyAction nftablesFilterDenyAction', anyCase('Drop', 'Reject')),
  ...all(
    'logSeverityFile logSeverityScreen logSeveritySys',
    anyCase('Trace', 'Debug', 'Info', 'Warning', 'Error', 'Fatal'),
  ),
  routeSource: anyCase('WorkloadIPs', 'CalicoIPAM'),
  serviceLoopPrevention: anyCase('Drop', 'Reject', 'Disabled'),
  workloadSourceSpoofing: anyCase('Disabled', 'Any'),
};

const failsafePorts = list(
  object(
    { protocol: oneOf('TCP', 'UDP', 'SCTP'), port: integer(0, 65535), net: checkedText(looseCidr) },
    { required: ['protocol', 'port'] },
  ),
);

const conntrackTimeout = text({ pattern: /^(([0-9]*(\.[0-9]*)?(ms|s|h|m|us)+)+|Auto)$/ });

const tableRange = object(
  { min: integer(), max: integer() },
  {
    required: ['min', 'max'],
    checks: [
      (value, report) => {
        const [min, max] = rangeOf(value);
        if (min < 1 || max < min || max > 250) report('', 'must be a range of route tables within 1 to 250');
      },
    ],
  },
);

const tableRanges = list(
  object(
    { min: integer(), max: integer() },
    {
      required: ['min', 'max'],
      checks: [
        (value, report) => {
          const [min, max] = rangeOf(value);
          if (min < 1 || max < min || max > MAX_UINT32) {
            report('', `must be a range of route tables within 1 to ${MAX_UINT32}`);
          }
        },
      ],
    },
  ),
);

function rangeOf(value: JsonObject): [number, number] {
  const { min, max } = value;
  return [typeof min === 'number' ? min : Number.NaN, typeof max === 'number' ? max : Number.NaN];
}

function checkRouteTables(spec: JsonObject, report: Report): void {
  if (isJsonObject(spec['routeTableRange']) && Array.isArray(spec['routeTableRanges'])) {
    report('routeTableRange', 'must not be set together with routeTableRanges');
  }
  let count = 0;
  for (const entry of listField(spec, 'routeTableRanges')) {
    const [min, max] = isJsonObject(entry) ? rangeOf(entry) : [0, -1];
    count += max - min + 1;
  }
  if (count > 65_535) report('routeTableRanges', `must hold at most 65535 route tables, not ${count}`);
}

const ADDRESS_SETTINGS = {
  natOutgoingAddress: 4,
  deviceRouteSourceAddress: 4,
  deviceRouteSourceAddressIPv6: 6,
} as const;

function checkAddresses(spec: JsonObject, report: Report): void {
  for (const [field, family] of Object.entries(ADDRESS_SETTINGS)) {
    const value = textField(spec, field);
    if (value !== undefined && parseIp(value)?.family !== family) {
      report(field, `must be an IPv${family} address, not ${JSON.stringify(value)}`, 'format');
    }
  }
}

/** The region becomes part of a namespace's name, behind `openstack-region-`. */
const openstackRegion = checkedText((value) =>
  value.length > 63 - 'openstack-region-'.length ? 'must have at most 46 characters' : dnsLabel(value),
);

const keyValues = (pattern: RegExp): Schema => text({ pattern });

const fields: Record<string, Schema> = {
  ...switches,
  ...intervals,
  ...numbers,
  ...limitedNumbers,
  ...texts,
  ...regularExpressions,
  ...enabledOrDisabled,
  ...choices,
  ...choicesInAnyCase,
  bpfConntrackTimeouts: object(
    all(
      `creationGracePeriod genericTimeout icmpTimeout tcpEstablished tcpFinsSeen tcpResetSeen tcpSynSent udpTimeout`,
      conntrackTimeout,
    ),
  ),
  bpfDSROptoutCIDRs: list(checkedText(looseCidr)),
  bpfExcludeCIDRsFromNAT: list(checkedText(looseCidr)),
  bpfForceTrackPacketsFromIfaces: list(checkedText(interfaceFilter)),
  bpfLogFilters: map(text(), plainInterfaceName),
  bpfMapSizeConntrackCleanupQueue: integer(1),
  bpfPSNATPorts: numberOrText(checkNumericPort),
  externalNodesList: list(checkedText(looseCidrV4)),
  failsafeInboundHostPorts: failsafePorts,
  failsafeOutboundHostPorts: failsafePorts,
  featureDetectOverride: keyValues(/^([a-zA-Z0-9_-]+=(true|false|),)*([a-zA-Z0-9_-]+=(true|false|))?$/),
  featureGates: keyValues(/^([a-zA-Z0-9_-]+=([^=]+),)*([a-zA-Z0-9_-]+=([^=]+))?$/),
  healthTimeoutOverrides: list(
    object(
      {
        name: checkedText(matching(/^[a-zA-Z0-9_ -]+$/, "must be letters, digits, '_', '-' and blanks")),
        timeout: checkedText(notNegativeDuration),
      },
      { required: ['name', 'timeout'] },
    ),
  ),
  iptablesNATOutgoingInterfaceFilter: checkedText(interfaceFilter),
  istioDSCPMark: numberOrText((value) => {
    const dscp = protocolOf(value);
    return dscp !== undefined && isValidDscp(dscp)
      ? undefined
      : 'must be a DSCP: 0 to 63, or a name such as EF';
  }),
  kubeNodePortRanges: list(numberOrText(checkNumericPort), { maxItems: 7 }),
  logActionRateLimit: text({ pattern: /^[1-9]\d{0,3}\/(?:second|minute|hour|day)$/ }),
  logActionRateLimitBurst: integer(0, 9_999),
  logPrefix: text({ pattern: /^([a-zA-Z0-9%: /_-])*$/ }),
  natPortRange: numberOrText(checkNumericPort),
  nodeSelector: text({ check: selector, maxLength: 1024 }),
  openstackRegion,
  prometheusMetricsHost: checkedText(matching(/^[a-zA-Z0-9:._+-]{1,64}$/, 'must be an address or host name')),
  routeTableRange: tableRange,
  routeTableRanges: tableRanges,
  wireguardInterfaceName: checkedText(interfaceName),
  wireguardInterfaceNameV6: checkedText(interfaceName),
};

/** Names of all parameters, but for the selector that says whose they are. */
export const FELIX_FIELDS: readonly string[] = Object.keys(fields).filter((name) => name !== 'nodeSelector');

/** `default` and `node.<node>` are chosen by their name, so a selector on them would never be looked at. */
function checkNodeSelector(configuration: JsonObject, report: Report): void {
  const name = textField(objectField(configuration, 'metadata') ?? {}, 'name') ?? '';
  const isByName = name === 'default' || name.startsWith('node.');
  if (isByName && !isAbsent(objectField(configuration, 'spec')?.['nodeSelector'])) {
    report('spec.nodeSelector', `must not be set in the FelixConfiguration ${name}`, 'forbidden');
  }
}

export const FELIX_SCHEMAS: Readonly<Record<string, ObjectSchema>> = {
  FelixConfiguration: object(
    { spec: object(fields, { checks: [checkRouteTables, checkAddresses] }) },
    { checks: [checkNodeSelector] },
  ),
};
