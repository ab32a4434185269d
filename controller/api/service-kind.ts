// Defaults and checks of Services and EndpointSlices (Kubernetes core/v1, discovery/v1). A cluster address is made of the
// Service's uid, so nothing has to remember which are taken but the Services themselves.

import { createHash } from 'node:crypto';
import type { Datastore } from '../../lib/datastore/datastore.ts';
import type {
  EndpointSlice,
  Service,
  ServicePort,
  ServiceSpec,
} from '../../lib/model/kubernetes-service-types.ts';
import type { Resource } from '../../lib/model/metadata.ts';
import { cidrSize, formatIp, parseCidr, parseIp } from '../../lib/net/ip.ts';
import { ApiError, type StatusCause } from './api-error.ts';
import type { KindRules } from './api-kind.ts';
import { forbiddenValue, invalidValue, isDnsLabel, notSupportedValue, requiredValue } from './names.ts';

const SERVICES_PREFIX = '/registry/services/';
/** Cluster addresses are of this network, as kubeadm's are. */
const SERVICE_CLUSTER_NETWORK = '10.96.0.0/12';
const TYPES = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const PROTOCOLS = ['SCTP', 'TCP', 'UDP'];
const TRAFFIC_POLICIES = ['Cluster', 'Local'];
const ADDRESS_TYPES = ['FQDN', 'IPv4', 'IPv6'];
const NONE = 'None';

export function defaultService(object: Resource): Resource {
  const { spec = {}, metadata } = object as Service;
  const type = spec.type ?? 'ClusterIP';
  const ports = spec.ports?.map((port) => ({
    ...port,
    protocol: port.protocol ?? 'TCP',
    targetPort: port.targetPort ?? port.port,
  }));
  const base = { ...spec, type, sessionAffinity: 'None', ...(ports === undefined ? {} : { ports }) };
  if (type === 'ExternalName') return { ...object, spec: base };
  const clusterIP = spec.clusterIP ?? spec.clusterIPs?.[0] ?? clusterAddress(metadata.uid ?? metadata.name);
  const isOutside = type !== 'ClusterIP' || (spec.externalIPs ?? []).length > 0;
  return {
    ...object,
    spec: {
      ...base,
      clusterIP,
      clusterIPs: spec.clusterIPs ?? [clusterIP],
      ipFamilies: spec.ipFamilies ?? [clusterIP.includes(':') ? 'IPv6' : 'IPv4'],
      ipFamilyPolicy: 'SingleStack',
      internalTrafficPolicy: 'Cluster',
      ...(isOutside ? { externalTrafficPolicy: spec.externalTrafficPolicy ?? 'Cluster' } : {}),
    },
    ...(object.status === undefined ? { status: { loadBalancer: {} } } : {}),
  };
}

/** One address of the network for each uid, neither its first nor its last. */
function clusterAddress(uid: string): string {
  const network = parseCidr(SERVICE_CLUSTER_NETWORK);
  if (network === undefined) throw new Error('SERVICE_CLUSTER_NETWORK is no network');
  const digest = createHash('sha256').update(uid).digest();
  const offset = 1n + (digest.readBigUInt64BE(0) % (cidrSize(network) - 2n));
  return formatIp({ family: network.family, value: network.base + offset });
}

export function validateService(object: Resource, previous: Resource | undefined): StatusCause[] {
  const { spec = {} } = object as Service;
  const causes: StatusCause[] = [];
  if (!isDnsLabel(object.metadata.name))
    causes.push(invalidValue('metadata.name', object.metadata.name, 'must be a lowercase RFC 1123 label'));
  if (!TYPES.includes(spec.type ?? '')) causes.push(notSupportedValue('spec.type', spec.type, TYPES));
  if (spec.type === 'ExternalName')
    return spec.externalName === undefined || spec.externalName === ''
      ? [...causes, requiredValue('spec.externalName')]
      : causes;
  return [
    ...causes,
    ...validatePorts(spec),
    ...validateAddresses(spec),
    ...validateUpdate(spec, (previous as Service | undefined)?.spec),
  ];
}

function validatePorts({ ports = [], clusterIP }: ServiceSpec): StatusCause[] {
  if (ports.length === 0) return clusterIP === NONE ? [] : [requiredValue('spec.ports')];
  const seen = new Set<string>();
  return ports.flatMap((port, index) => {
    const here = `spec.ports[${index}]`;
    const causes = validatePort(port, here, ports.length > 1);
    const key = port.name ?? '';
    if (seen.has(key) && key !== '')
      causes.push({
        reason: 'FieldValueDuplicate',
        field: `${here}.name`,
        message: `Duplicate value: "${key}"`,
      });
    seen.add(key);
    return causes;
  });
}

function validatePort(
  { name, port, protocol, targetPort }: ServicePort,
  here: string,
  mustBeNamed: boolean,
): StatusCause[] {
  const causes: StatusCause[] = [];
  if (name !== undefined && name !== '' && !isDnsLabel(name))
    causes.push(invalidValue(`${here}.name`, name, 'must be a lowercase RFC 1123 label'));
  if (mustBeNamed && (name === undefined || name === '')) causes.push(requiredValue(`${here}.name`));
  if (!isPort(port))
    causes.push(invalidValue(`${here}.port`, port, 'must be between 1 and 65535, inclusive'));
  if (typeof targetPort === 'number' && !isPort(targetPort))
    causes.push(invalidValue(`${here}.targetPort`, targetPort, 'must be between 1 and 65535, inclusive'));
  if (!PROTOCOLS.includes(protocol ?? ''))
    causes.push(notSupportedValue(`${here}.protocol`, protocol, PROTOCOLS));
  return causes;
}

function isPort(port: unknown): boolean {
  return typeof port === 'number' && Number.isInteger(port) && port >= 1 && port <= 65535;
}

function validateAddresses(spec: ServiceSpec): StatusCause[] {
  const causes: StatusCause[] = [];
  const lists = { clusterIPs: spec.clusterIPs ?? [], externalIPs: spec.externalIPs ?? [] };
  for (const [field, addresses] of Object.entries(lists))
    addresses.forEach((address, index) => {
      const isHeadless = field === 'clusterIPs' && address === NONE;
      if (!isHeadless && parseIp(address) === undefined)
        causes.push(invalidValue(`spec.${field}[${index}]`, address, 'must be a valid IP address'));
    });
  if (spec.clusterIP !== spec.clusterIPs?.[0])
    causes.push(invalidValue('spec.clusterIPs', spec.clusterIPs, 'the first one must be clusterIP'));
  const policy = spec.externalTrafficPolicy;
  if (policy !== undefined && !TRAFFIC_POLICIES.includes(policy))
    causes.push(notSupportedValue('spec.externalTrafficPolicy', policy, TRAFFIC_POLICIES));
  return causes;
}

function validateUpdate(spec: ServiceSpec, previous: ServiceSpec | undefined): StatusCause[] {
  const before = previous?.clusterIP;
  if (before === undefined || before === spec.clusterIP) return [];
  return [invalidValue('spec.clusterIP', spec.clusterIP, 'field is immutable')];
}

/** Two Services never have one cluster address. */
export const SERVICE_RULES: KindRules = {
  builtIn: [],
  beforeCreate: async (datastore: Datastore, object: Resource) => {
    const { clusterIPs = [] } = (object as Service).spec ?? {};
    const wanted = clusterIPs.filter((address) => address !== NONE);
    if (wanted.length === 0) return;
    const { items } = await datastore.list(SERVICES_PREFIX);
    for (const { value } of items) {
      const other = serviceOf(value);
      const taken = (other?.spec?.clusterIPs ?? []).find((address) => wanted.includes(address));
      if (other === undefined || taken === undefined) continue;
      const { namespace, name } = other.metadata;
      throw new ApiError(
        'Conflict',
        `cluster address ${taken} belongs to Service ${namespace}/${name}; try again`,
      );
    }
  },
  mayDelete: async () => undefined,
  beforeDelete: async (_datastore, object) => object,
};

/** Undefined for what is no Service: it has no address that could be taken. */
function serviceOf(value: string): Service | undefined {
  try {
    const parsed = JSON.parse(value) as Partial<Service> | null;
    const hasAddresses = Array.isArray(parsed?.spec?.clusterIPs) && parsed.metadata?.name !== undefined;
    return hasAddresses ? (parsed as Service) : undefined;
  } catch {
    return undefined;
  }
}

export function validateEndpointSlice(object: Resource, previous: Resource | undefined): StatusCause[] {
  const { addressType, endpoints = [] } = object as EndpointSlice;
  const causes: StatusCause[] = [];
  if (!ADDRESS_TYPES.includes(addressType))
    causes.push(notSupportedValue('addressType', addressType, ADDRESS_TYPES));
  const before = (previous as EndpointSlice | undefined)?.addressType;
  if (before !== undefined && before !== addressType)
    causes.push(forbiddenValue('addressType', 'field is immutable'));
  endpoints.forEach(({ addresses }, index) => {
    if (!Array.isArray(addresses) || addresses.length === 0)
      causes.push(requiredValue(`endpoints[${index}].addresses`));
    else if (addressType !== 'FQDN')
      for (const address of addresses)
        if (parseIp(address)?.family !== (addressType === 'IPv6' ? 6 : 4))
          causes.push(
            invalidValue(`endpoints[${index}].addresses`, address, `must be an ${addressType} address`),
          );
  });
  return causes;
}
