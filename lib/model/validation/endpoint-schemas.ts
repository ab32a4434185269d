// Schemas of WorkloadEndpoint, HostEndpoint and Calico's Node (v3; the first and last have no published schema, only code).

import { cidrCovers, familyBits, parseCidr } from '../../net/ip.ts';
import { isValidDscp } from '../numbers.ts';
import { type WorkloadEndpointIds, workloadEndpointName } from '../workload-endpoint-name.ts';
import {
  checkAsNumber,
  checkProtocolWithPorts,
  containerId,
  interfaceName,
  ipAddress,
  ipv4Address,
  ipv6Address,
  looseCidr,
  looseCidrV4,
  looseCidrV6,
  macAddress,
  maskedNet,
  portName,
  protocolOf,
  resourceName,
  wireguardKey,
} from './formats.ts';
import {
  checkedText,
  integer,
  isJsonObject,
  type JsonObject,
  list,
  listField,
  type NumberSchema,
  numberOrText,
  type ObjectSchema,
  object,
  objectField,
  type Report,
  type Schema,
  text,
  textField,
  textsField,
} from './schema.ts';

const name = checkedText(resourceName);

const hostEndpointPort = object(
  { name: checkedText(portName), protocol: numberOrText(checkProtocolWithPorts), port: integer(1, 65535) },
  { required: ['name', 'protocol', 'port'] },
);

const workloadEndpointPort = object(
  {
    name: checkedText(portName),
    protocol: numberOrText(checkProtocolWithPorts),
    port: integer(1, 65535),
    hostPort: integer(0, 65535),
    hostIP: checkedText(maskedNet),
  },
  {
    required: ['protocol', 'port'],
    checks: [
      (port, report) => {
        const hasHostPort = typeof port['hostPort'] === 'number' && port['hostPort'] > 0;
        if (textField(port, 'name') === undefined && !hasHostPort)
          report('name', 'must be set where there is no hostPort');
      },
    ],
  },
);

/** Either zero (not limited) or within the limits. */
function zeroOr(minimum: number, maximum: number): Schema {
  const schema: NumberSchema = { type: 'integer', minimum: 0, maximum };
  return {
    type: 'numberOrText',
    check: (value) =>
      typeof value === 'number' &&
      Number.isInteger(value) &&
      (value === 0 || (value >= minimum && value <= maximum))
        ? undefined
        : `must be 0 or a whole number from ${minimum} to ${schema.maximum}`,
  };
}

const PETA = 1e15;
const qosLimits: Readonly<Record<string, Schema>> = {
  Bandwidth: zeroOr(1_000, PETA),
  Burst: zeroOr(1_000, 34_359_738_360),
  Peakrate: zeroOr(1_010, 1.01 * PETA),
  Minburst: zeroOr(1_000, 100_000_000),
  PacketRate: zeroOr(1, 10_000),
  PacketBurst: zeroOr(1, 10_000),
  MaxConnections: zeroOr(1, 4_294_967_295),
};
const qosFields: Record<string, Schema> = Object.fromEntries(
  ['ingress', 'egress'].flatMap((direction) =>
    Object.entries(qosLimits).map(([limit, schema]) => [`${direction}${limit}`, schema]),
  ),
);
const qosControls = object({
  ...qosFields,
  dscp: numberOrText((value) => {
    const dscp = protocolOf(value);
    return dscp !== undefined && isValidDscp(dscp)
      ? undefined
      : 'must be a DSCP: 0 to 63, or a name such as EF or AF11';
  }),
});

const nat = object(
  { internalIP: checkedText(ipAddress), externalIP: checkedText(ipAddress) },
  {
    checks: [
      (value, report) => {
        const internal = parseCidr(textField(value, 'internalIP') ?? '');
        const external = parseCidr(textField(value, 'externalIP') ?? '');
        if (internal !== undefined && external !== undefined && internal.family !== external.family) {
          report('externalIP', 'must be of the same family as internalIP');
        }
      },
    ],
  },
);

function checkAddresses(spec: JsonObject, report: Report): void {
  const networks = textsField(spec, 'ipNetworks').map((network) => parseCidr(network));
  networks.forEach((network, index) => {
    if (network !== undefined && network.length !== familyBits(network.family)) {
      report(`ipNetworks[${index}]`, 'must be a single address (/32 or /128)', 'format');
    }
  });
  listField(spec, 'ipNATs').forEach((entry, index) => {
    const internal = parseCidr((isJsonObject(entry) ? textField(entry, 'internalIP') : undefined) ?? '');
    if (internal === undefined) return;
    if (!networks.some((network) => network !== undefined && cidrCovers(network, internal))) {
      report(`ipNATs[${index}].internalIP`, 'must be one of the ipNetworks');
    }
  });
}

/** The name is made of the spec's fields; one that says otherwise would be found under the wrong workload. */
function checkConstructedName(endpoint: JsonObject, report: Report): void {
  const spec = objectField(endpoint, 'spec') ?? {};
  const given = textField(objectField(endpoint, 'metadata') ?? {}, 'name');
  const built = workloadEndpointName(workloadEndpointIds(spec));
  if (!built.ok) {
    report(`spec.${built.error.type.field ?? 'node'}`, built.error.message, 'required');
  } else if (given !== undefined && given !== built.name) {
    report('metadata.name', `must be ${built.name}, as the spec says`);
  }
}

/** The parts of a WorkloadEndpoint's name, from its spec. */
export function workloadEndpointIds(spec: JsonObject): WorkloadEndpointIds {
  const fields = ['node', 'orchestrator', 'endpoint', 'pod', 'containerID', 'workload'];
  return Object.fromEntries(
    fields.flatMap((field) => {
      const value = textField(spec, field);
      return value === undefined ? [] : [[field, value]];
    }),
  );
}

function checkBgpNotEmpty(spec: JsonObject, report: Report): void {
  const bgp = objectField(spec, 'bgp');
  const isEmpty = bgp !== undefined && Object.values(bgp).every((value) => value === null || value === '');
  if (isEmpty) report('bgp', 'must not be empty');
}

export const ENDPOINT_SCHEMAS: Readonly<Record<string, ObjectSchema>> = {
  WorkloadEndpoint: object(
    {
      spec: object(
        {
          orchestrator: name,
          workload: name,
          node: name,
          containerID: checkedText(containerId),
          pod: name,
          endpoint: name,
          serviceAccountName: name,
          ipNetworks: list(checkedText(maskedNet)),
          ipNATs: list(nat),
          ipv4Gateway: checkedText(ipv4Address),
          ipv6Gateway: checkedText(ipv6Address),
          profiles: list(name),
          interfaceName: checkedText(interfaceName),
          mac: checkedText(macAddress),
          ports: list(workloadEndpointPort),
          allowSpoofedSourcePrefixes: list(checkedText(looseCidr)),
          qosControls,
        },
        { required: ['interfaceName'], checks: [checkAddresses] },
      ),
    },
    { required: ['spec'], checks: [checkConstructedName] },
  ),
  HostEndpoint: object(
    {
      spec: object(
        {
          node: name,
          interfaceName: checkedText(interfaceName),
          expectedIPs: list(checkedText(ipAddress)),
          profiles: list(name),
          ports: list(hostEndpointPort),
        },
        {
          required: ['node'],
          checks: [
            (spec, report) => {
              if (
                textField(spec, 'interfaceName') === undefined &&
                listField(spec, 'expectedIPs').length === 0
              ) {
                report('interfaceName', 'must be set where there are no expectedIPs');
              }
            },
          ],
        },
      ),
    },
    { required: ['spec'] },
  ),
  Node: object({
    spec: object(
      {
        bgp: object({
          asNumber: numberOrText(checkAsNumber),
          ipv4Address: checkedText(looseCidrV4),
          ipv6Address: checkedText(looseCidrV6),
          ipv4IPIPTunnelAddr: checkedText(ipv4Address),
          routeReflectorClusterID: checkedText(ipv4Address),
        }),
        ipv4VXLANTunnelAddr: checkedText(ipv4Address),
        ipv6VXLANTunnelAddr: checkedText(ipv6Address),
        vxlanTunnelMACAddr: checkedText(macAddress),
        vxlanTunnelMACAddrV6: checkedText(macAddress),
        orchRefs: list(object({ nodeName: text(), orchestrator: text() })),
        wireguard: object({
          interfaceIPv4Address: checkedText(ipv4Address),
          interfaceIPv6Address: checkedText(ipv6Address),
        }),
        addresses: list(object({ address: checkedText(looseCidr), type: text() })),
        interfaces: list(object({ name: text(), addresses: list(text()) })),
      },
      { checks: [checkBgpNotEmpty] },
    ),
    status: object({
      wireguardPublicKey: checkedText(wireguardKey),
      wireguardPublicKeyV6: checkedText(wireguardKey),
      podCIDRs: list(text()),
    }),
  }),
};
