// Schemas of BGPConfiguration, BGPPeer and BGPFilter (Calico v3).

import { familyBits, parseIp } from '../../net/ip.ts';
import {
  checkAsNumber,
  communityParts,
  communityValue,
  goDuration,
  ignoredInterface,
  interfaceWithWildcards,
  ipAddress,
  ipv4Address,
  ipv6Address,
  looseCidr,
  maskedNet,
  maskedNetV4,
  maskedNetV6,
  parsePeerAddress,
  peerAddress,
  resourceName,
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
  numberOrText,
  type ObjectSchema,
  object,
  objectField,
  oneOf,
  type Report,
  text,
  textField,
  textsField,
} from './schema.ts';

const asNumber = numberOrText(checkAsNumber);
const duration = checkedText(goDuration);
const selectorOfNodes = text({ check: selector, maxLength: 1024 });
const serviceBlocks = list(object({ cidr: checkedText(maskedNet) }), { isSet: true });
/** The values that a route's priority (metric) may have. */
const priority = integer(1, 2_147_483_646);
const password = object({
  secretKeyRef: object({ name: text(), key: text(), optional: boolean }, { required: ['key'] }),
});

function checkMesh(spec: JsonObject, report: Report): void {
  if (spec['nodeToNodeMeshEnabled'] !== false) return;
  if (isJsonObject(spec['nodeMeshPassword'])) {
    report('nodeMeshPassword', 'must not be set where nodeToNodeMeshEnabled is false');
  }
  if (!isAbsent(spec['nodeMeshMaxRestartTime'])) {
    report('nodeMeshMaxRestartTime', 'must not be set where nodeToNodeMeshEnabled is false');
  }
}

function checkCommunities(spec: JsonObject, report: Report): void {
  const defined = listField(spec, 'communities').map((entry) =>
    isJsonObject(entry) ? textField(entry, 'name') : undefined,
  );
  const advertisements = listField(spec, 'prefixAdvertisements');
  if (defined.length > 0 && advertisements.length === 0) {
    report('communities', 'must be used by a prefix of prefixAdvertisements');
  }
  advertisements.forEach((entry, index) => {
    if (!isJsonObject(entry)) return;
    textsField(entry, 'communities').forEach((value, position) => {
      const complaint = communityParts(value) === undefined ? undefined : communityValue(value);
      const isKnown = communityParts(value) !== undefined || defined.includes(value);
      const message = isKnown
        ? complaint
        : `must be a community or one of the names in communities, not ${value}`;
      if (message !== undefined)
        report(`prefixAdvertisements[${index}].communities[${position}]`, message, 'format');
    });
  });
}

/** Settings of the cluster as a whole, which one node cannot have otherwise. */
const CLUSTER_ONLY = [
  ...[
    'nodeToNodeMeshEnabled',
    'asNumber',
    'serviceClusterIPs',
    'serviceExternalIPs',
    'serviceLoadBalancerIPs',
  ],
  ...['nodeMeshPassword', 'nodeMeshMaxRestartTime'],
];

function checkClusterOnly(configuration: JsonObject, report: Report): void {
  if (textField(objectField(configuration, 'metadata') ?? {}, 'name') === 'default') return;
  const spec = objectField(configuration, 'spec') ?? {};
  for (const field of CLUSTER_ONLY) {
    if (!isAbsent(spec[field]))
      report(`spec.${field}`, 'can only be set in the BGPConfiguration default', 'forbidden');
  }
}

const bgpConfiguration = object(
  {
    spec: object(
      {
        logSeverityScreen: text({ pattern: /^(Trace|Debug|Info|Warning|Error|Fatal)?$/i, default: 'Info' }),
        nodeToNodeMeshEnabled: boolean,
        asNumber,
        listenPort: integer(1, 65535),
        bindMode: oneOf('None', 'NodeIP'),
        serviceClusterIPs: serviceBlocks,
        serviceExternalIPs: serviceBlocks,
        serviceLoadBalancerIPs: serviceBlocks,
        serviceLoadBalancerAggregation: text({ enum: ['Enabled', 'Disabled'], default: 'Enabled' }),
        communities: list(
          object(
            { name: checkedText(resourceName), value: checkedText(communityValue) },
            { required: ['name', 'value'] },
          ),
          { isSet: true },
        ),
        prefixAdvertisements: list(
          object(
            { cidr: checkedText(looseCidr), communities: list(text()) },
            { required: ['cidr', 'communities'] },
          ),
          { isSet: true },
        ),
        nodeMeshPassword: password,
        nodeMeshMaxRestartTime: duration,
        ignoredInterfaces: list(checkedText(ignoredInterface), { isSet: true }),
        localWorkloadPeeringIPV4: checkedText(ipv4Address),
        localWorkloadPeeringIPV6: checkedText(ipv6Address),
        programClusterRoutes: oneOf('Enabled', 'Disabled', 'EnabledNoEncapOnly'),
        ipv4NormalRoutePriority: priority,
        ipv6NormalRoutePriority: priority,
      },
      { checks: [checkMesh, checkCommunities] },
    ),
  },
  { checks: [checkClusterOnly] },
);

function isNumberSet(value: unknown): boolean {
  return !isAbsent(value) && value !== 0 && value !== '0';
}

function checkPeerChoice(spec: JsonObject, report: Report): void {
  const has = (field: string): boolean => textField(spec, field) !== undefined;
  if (has('node') && has('nodeSelector')) report('node', 'must not be set together with nodeSelector');
  if (has('peerIP') && has('peerSelector')) report('peerIP', 'must not be set together with peerSelector');
  if (has('peerSelector') && isNumberSet(spec['asNumber'])) {
    report('asNumber', 'must not be set together with peerSelector: it comes from the nodes selected');
  }
  if (has('localWorkloadSelector')) {
    if (has('peerIP')) report('peerIP', 'must not be set together with localWorkloadSelector');
    if (has('peerSelector')) report('peerSelector', 'must not be set together with localWorkloadSelector');
    if (!isNumberSet(spec['asNumber'])) report('asNumber', 'must be set together with localWorkloadSelector');
  }
  if (spec['keepOriginalNextHop'] === true && has('nextHopMode')) {
    report('keepOriginalNextHop', 'must not be true where nextHopMode is set');
  }
}

function checkReachableBy(spec: JsonObject, report: Report): void {
  const gateway = textField(spec, 'reachableBy');
  const peer = textField(spec, 'peerIP');
  if (gateway === undefined) return;
  if (peer === undefined) {
    report('reachableBy', 'needs a peerIP');
    return;
  }
  const gatewayFamily = parseIp(gateway)?.family;
  const peerFamily = parseIp(parsePeerAddress(peer)?.address ?? '')?.family;
  if (gatewayFamily !== undefined && peerFamily !== undefined && gatewayFamily !== peerFamily) {
    report('reachableBy', 'must be of the same family as peerIP');
  }
}

const bgpPeer = object({
  spec: object(
    {
      node: text({ check: resourceName, maxLength: 253 }),
      nodeSelector: selectorOfNodes,
      peerIP: text({ check: peerAddress, maxLength: 64 }),
      peerSelector: selectorOfNodes,
      localWorkloadSelector: selectorOfNodes,
      asNumber,
      localASNumber: asNumber,
      keepOriginalNextHop: boolean,
      nextHopMode: oneOf('Auto', 'Self', 'Keep'),
      password,
      sourceAddress: oneOf('UseNodeIP', 'None'),
      maxRestartTime: duration,
      keepaliveTime: duration,
      numAllowedLocalASNumbers: integer(0, 2_147_483_647),
      ttlSecurity: integer(0, 255),
      reachableBy: text({ check: ipAddress, maxLength: 64 }),
      filters: list(checkedText(resourceName)),
      reversePeering: oneOf('Auto', 'Manual'),
    },
    { checks: [checkPeerChoice, checkReachableBy] },
  ),
});

const operation = object(
  {
    addCommunity: object({ value: text({ check: communityValue, maxLength: 32 }) }, { required: ['value'] }),
    prependASPath: object(
      { prefix: list(asNumber, { minItems: 1, maxItems: 10 }) },
      { required: ['prefix'] },
    ),
    setPriority: object({ value: priority }, { required: ['value'] }),
  },
  {
    checks: [
      (value, report) => {
        const count = Object.values(value).filter((entry) => !isAbsent(entry)).length;
        if (count !== 1)
          report('', `must have exactly one of addCommunity, prependASPath, setPriority, not ${count}`);
      },
    ],
  },
);

function checkFilterRule(rule: JsonObject, report: Report): void {
  const hasCidr = textField(rule, 'cidr') !== undefined;
  const hasOperator = textField(rule, 'matchOperator') !== undefined;
  if (hasCidr && !hasOperator) report('matchOperator', 'must be set together with cidr');
  if (!hasCidr && hasOperator) report('cidr', 'must be set together with matchOperator');
  if (!hasCidr && isJsonObject(rule['prefixLength'])) report('prefixLength', 'needs a cidr');
  if (listField(rule, 'operations').length > 0 && rule['action'] !== 'Accept') {
    report('operations', 'are possible with action Accept only');
  }
}

function filterRules(family: 4 | 6): ReturnType<typeof list> {
  const length = integer(0, familyBits(family));
  return list(
    object(
      {
        cidr: checkedText(family === 4 ? maskedNetV4 : maskedNetV6),
        matchOperator: oneOf('Equal', 'NotEqual', 'In', 'NotIn'),
        prefixLength: object({ min: length, max: length }),
        source: oneOf('RemotePeers'),
        interface: checkedText(interfaceWithWildcards),
        peerType: oneOf('eBGP', 'iBGP'),
        communities: object(
          { values: list(text({ check: communityValue, maxLength: 32 }), { minItems: 1, maxItems: 1 }) },
          { required: ['values'] },
        ),
        asPathPrefix: list(asNumber),
        priority,
        action: oneOf('Accept', 'Reject'),
        operations: list(operation, { minItems: 1, maxItems: 10 }),
      },
      { required: ['action'], checks: [checkFilterRule] },
    ),
    { isSet: true },
  );
}

export const BGP_SCHEMAS: Readonly<Record<string, ObjectSchema>> = {
  BGPConfiguration: bgpConfiguration,
  BGPPeer: bgpPeer,
  BGPFilter: object({
    spec: object({
      exportV4: filterRules(4),
      importV4: filterRules(4),
      exportV6: filterRules(6),
      importV6: filterRules(6),
    }),
  }),
};
