// From the datastore's keys and resources to what the graph's nodes read (libcalico-go syncersv1 update processors, and
// Felix's validation filter): one resource may be several inputs, and an invalid one counts as absent.

import type { BGPConfiguration, BGPPeer } from '../../../lib/model/bgp-types.ts';
import type {
  CalicoNode,
  FelixConfiguration,
  HostEndpoint,
  IPPool,
  WorkloadEndpoint,
} from '../../../lib/model/endpoint-types.ts';
import { parseIpamKey } from '../../../lib/model/ipam-keys.ts';
import { parseResourceKey, type ResourceKey } from '../../../lib/model/keys.ts';
import type { GlobalNetworkSet, NetworkSet, Profile, Tier } from '../../../lib/model/policy-types.ts';
import { invalidResource } from '../../../lib/model/validation/invalid-resource.ts';
import { formatIp, parseIp } from '../../../lib/net/ip.ts';
import { DEFAULT_ALLOW_PROFILE } from '../../../lib/policy/cluster.ts';
import { type CompilableResource, compileProfile } from '../../../lib/policy/compile.ts';
import { POLICY_KINDS, type PolicyId } from '../../../lib/policy/compiled.ts';
import { localBgpPeer } from '../../../lib/policy/local-bgp-peers.ts';
import { PolicyError } from '../../../lib/policy/policy-error.ts';
import { sliceMembers } from '../../../lib/policy/services.ts';
import {
  asStoredEndpointSlice,
  type EndpointSliceRef,
  parseEndpointSliceKey,
} from '../../../lib/protocol/endpoint-slices.ts';
import { configInputs } from './config-processor.ts';
import {
  hostEndpointInput,
  networkSetInput,
  workloadEndpointId,
  workloadEndpointInput,
} from './endpoint-processor.ts';
import type { CalcInput } from './inputs.ts';
import type { InvalidValue } from './messages.ts';
import { blockInput, nodeInputs, poolInput } from './network-processor.ts';
import { policyInput } from './policy-processor.ts';
import { asBlock } from './validation-filter.ts';

/** "This key is now X", or without a value "is now absent", as a syncer reports it. */
export interface DatastoreUpdate {
  /** etcd key. */
  readonly key: string;
  /** The parsed resource, block or endpoint slice; undefined if absent. */
  readonly value: unknown;
  /** etcd revision at which it is so. */
  readonly revision: number;
  /** Why what the key holds is no object of its kind; then there is no value. */
  readonly unreadable?: string;
}

export interface ProcessedUpdate {
  readonly inputs: readonly CalcInput[];
  readonly invalid: InvalidValue | undefined;
}

/** Kinds that some node of the graph reads. */
const READ_KINDS: ReadonlySet<string> = new Set([
  ...POLICY_KINDS,
  'WorkloadEndpoint',
  'HostEndpoint',
  'NetworkSet',
  'GlobalNetworkSet',
  'Tier',
  'Profile',
  'IPPool',
  'Node',
  'BGPPeer',
  'BGPConfiguration',
  'FelixConfiguration',
]);

export class UpdateProcessor {
  private readonly hostname: string;
  /** A deletion does not say which host the endpoint was of. */
  private readonly hostByHostEndpoint = new Map<string, string>();

  constructor(hostname: string) {
    this.hostname = hostname;
  }

  process(update: DatastoreUpdate): ProcessedUpdate {
    const resourceKey = parseResourceKey(update.key);
    if (resourceKey !== undefined) return this.processResource(resourceKey, update);
    const slice = parseEndpointSliceKey(update.key);
    if (slice !== undefined) return processEndpointSlice(slice, update);
    const ipamKey = parseIpamKey(update.key);
    if (ipamKey?.type !== 'Block') return { inputs: [], invalid: undefined };
    const { cidr } = ipamKey;
    const block = asBlock(update.value);
    const value = block === undefined ? undefined : blockInput(cidr, block);
    const isInvalid = update.value !== undefined && block === undefined;
    return {
      inputs: [{ type: 'block', cidr, value }],
      invalid: isInvalid ? invalidValue(update, 'not an IPAM block') : undefined,
    };
  }

  private processResource(key: ResourceKey, update: DatastoreUpdate): ProcessedUpdate {
    const { value, unreadable } = update;
    // Others may read the kind: what nobody can is told of all the same.
    if (!READ_KINDS.has(key.kind) || isStaticProfile(key))
      return { inputs: [], invalid: unreadable === undefined ? undefined : invalidValue(update, unreadable) };
    const reason = unreadable ?? (value === undefined ? undefined : invalidResource(key.kind, value));
    if (reason !== undefined) return this.processInvalid(key, update, reason);
    try {
      return { inputs: this.resourceInputs(key, update), invalid: undefined };
    } catch (error) {
      if (error instanceof PolicyError) return this.processInvalid(key, update, error.message);
      throw error;
    }
  }

  private processInvalid(key: ResourceKey, update: DatastoreUpdate, reason: string): ProcessedUpdate {
    const inputs = this.resourceInputs(key, { ...update, value: undefined });
    return { inputs, invalid: invalidValue(update, reason) };
  }

  /** What the key says, its name and namespace, wins over what the value says of itself. */
  private resourceInputs(key: ResourceKey, update: DatastoreUpdate): CalcInput[] {
    const { value, revision } = update;
    const policyKind = POLICY_KINDS.find((kind) => kind === key.kind);
    if (policyKind !== undefined) {
      const id: PolicyId = { kind: policyKind, namespace: key.namespace ?? '', name: key.name };
      return [
        { type: 'policy', id, value: policyInput(id, value as CompilableResource | undefined, revision) },
      ];
    }
    switch (key.kind) {
      case 'WorkloadEndpoint':
        return workloadEndpointInputs(key, value as WorkloadEndpoint | undefined, revision);
      case 'HostEndpoint':
        return this.hostEndpointInputs(key, value as HostEndpoint | undefined, revision);
      case 'NetworkSet':
      case 'GlobalNetworkSet': {
        const name = key.namespace === undefined ? key.name : `${key.namespace}/${key.name}`;
        return [
          {
            type: 'networkSet',
            name,
            value: networkSetInput(value as NetworkSet | GlobalNetworkSet | undefined),
          },
        ];
      }
      case 'Tier':
        return [tierInput(key.name, value as Tier | undefined)];
      case 'Profile':
        return profileInputs(key.name, value as Profile | undefined);
      case 'IPPool':
        return [{ type: 'pool', key: key.name, value: poolInput(value as IPPool | undefined) }];
      case 'Node':
        return nodeInputs(key.name, value as CalicoNode | undefined);
      case 'BGPConfiguration':
        return key.name === 'default' ? [peeringAddressesInput(value as BGPConfiguration | undefined)] : [];
      case 'BGPPeer':
        return [bgpPeerInput(key.name, value as BGPPeer | undefined)];
      case 'FelixConfiguration':
        return configInputs(key.name, value as FelixConfiguration | undefined, this.hostname);
      default:
        return [];
    }
  }

  private hostEndpointInputs(
    key: ResourceKey,
    value: HostEndpoint | undefined,
    revision: number,
  ): CalcInput[] {
    const inputs: CalcInput[] = [];
    const input = hostEndpointInput(value, revision);
    const previousHost = this.hostByHostEndpoint.get(key.name);
    const host = value?.spec?.node;
    if (previousHost !== undefined && previousHost !== host) {
      inputs.push({ type: 'hostEndpoint', id: { host: previousHost, endpoint: key.name }, value: undefined });
      this.hostByHostEndpoint.delete(key.name);
    }
    if (input !== undefined && host !== undefined) {
      this.hostByHostEndpoint.set(key.name, host);
      inputs.push({ type: 'hostEndpoint', id: { host, endpoint: key.name }, value: input });
    }
    return inputs;
  }
}

function processEndpointSlice(
  { namespace, name }: EndpointSliceRef,
  update: DatastoreUpdate,
): ProcessedUpdate {
  const slice = asStoredEndpointSlice(update.value);
  const value = slice === undefined ? undefined : sliceMembers(slice);
  const isInvalid = update.value !== undefined && slice === undefined;
  return {
    inputs: [{ type: 'endpointSlice', name: `${namespace}/${name}`, value }],
    invalid: isInvalid ? invalidValue(update, 'not an endpoint slice') : undefined,
  };
}

/** The profile that allows everything is always there and never stored. */
function isStaticProfile(key: ResourceKey): boolean {
  return key.kind === 'Profile' && key.name === DEFAULT_ALLOW_PROFILE.metadata.name;
}

function invalidValue({ key, revision }: DatastoreUpdate, reason: string): InvalidValue {
  return { key, revision, reason };
}

function workloadEndpointInputs(
  key: ResourceKey,
  value: WorkloadEndpoint | undefined,
  revision: number,
): CalcInput[] {
  const id = workloadEndpointId(key.namespace ?? '', key.name);
  return id === undefined
    ? []
    : [{ type: 'workloadEndpoint', id, value: workloadEndpointInput(value, revision) }];
}

function peeringAddressesInput(value: BGPConfiguration | undefined): CalcInput {
  const { localWorkloadPeeringIPV4, localWorkloadPeeringIPV6 } = value?.spec ?? {};
  const addresses = [localWorkloadPeeringIPV4, localWorkloadPeeringIPV6].flatMap((text) => {
    const ip = text === undefined ? undefined : parseIp(text);
    return ip === undefined ? [] : formatIp(ip);
  });
  return { type: 'peeringAddresses', value: addresses };
}

function bgpPeerInput(name: string, value: BGPPeer | undefined): CalcInput {
  const named = value && { ...value, metadata: { ...value.metadata, name } };
  return { type: 'bgpPeer', name, value: named && localBgpPeer(named) };
}

function tierInput(name: string, value: Tier | undefined): CalcInput {
  if (value === undefined) return { type: 'tier', name, value: undefined };
  const { order, defaultAction } = value.spec ?? {};
  return {
    type: 'tier',
    name,
    value: { order: order ?? undefined, defaultAction: defaultAction === 'Pass' ? 'pass' : 'deny' },
  };
}

function profileInputs(name: string, value: Profile | undefined): CalcInput[] {
  if (value === undefined) {
    return [
      { type: 'profileLabels', name, value: undefined },
      { type: 'profileRules', name, value: undefined },
    ];
  }
  const compiled = compileProfile({ ...value, metadata: { ...value.metadata, name } });
  return [
    { type: 'profileLabels', name, value: compiled.labelsToApply },
    { type: 'profileRules', name, value: compiled },
  ];
}
