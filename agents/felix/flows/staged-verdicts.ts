// What would become of a flow if staged policies were enforced and staged deletions done (docs/felix.md "Staged policies"): asked of
// the pure evaluator for flows that the kernel has counted. Nothing of it is in the kernel.

import { familyBits, formatCidr, type IpAddress, netmask, parseIp } from '../../../lib/net/ip.ts';
import type { CompiledWorkloadEndpoint, Direction, EndpointTier } from '../../../lib/policy/compiled.ts';
import { policyKey } from '../../../lib/policy/compiled.ts';
import {
  type Decision,
  decideByProfiles,
  decideByTiers,
  type PolicyTables,
  type TierTrace,
} from '../../../lib/policy/evaluation/decide.ts';
import type { PacketEnd, PacketView } from '../../../lib/policy/evaluation/packet.ts';
import type { StagedHit, StagedOutcome } from '../../../lib/protocol/flow-record.ts';
import type { DataplaneState } from '../nftables/render/dataplane-state.ts';
import { policyOfKey } from './attribution.ts';
import type { FlowKey } from './counted-flow.ts';

/** Undefined: no staged policy governs an end of the flow on this host. */
export function stagedOutcome(
  state: DataplaneState,
  flow: FlowKey,
  endpointOf: (address: string) => CompiledWorkloadEndpoint | undefined,
): StagedOutcome | undefined {
  const sides: readonly (readonly [Direction, CompiledWorkloadEndpoint | undefined])[] = [
    ['egress', endpointOf(flow.source)],
    ['ingress', endpointOf(flow.destination)],
  ];
  const local = sides.flatMap(([direction, endpoint]) =>
    endpoint === undefined ? [] : [{ direction, endpoint }],
  );
  if (!local.some(({ direction, endpoint }) => isStagedFor(state, endpoint, direction))) return undefined;
  const packet = viewOf(state, flow);
  if (packet === undefined) return undefined;
  const policies: StagedHit[] = [];
  let isAllowed = true;
  for (const { direction, endpoint } of local) {
    const { decision, hits } = ask(state, endpoint, direction, packet);
    policies.push(...hits);
    isAllowed = decision.isAllowed;
    // As a packet goes no further than where it is denied.
    if (!isAllowed) break;
  }
  return { verdict: isAllowed ? 'allow' : 'deny', policies };
}

function isStagedFor(
  state: DataplaneState,
  endpoint: CompiledWorkloadEndpoint,
  direction: Direction,
): boolean {
  return endpoint.tiers.some((tier) =>
    tier[direction].some((id) => id.kind.startsWith('Staged') || state.replacedByStaged.has(policyKey(id))),
  );
}

function ask(
  state: DataplaneState,
  endpoint: CompiledWorkloadEndpoint,
  direction: Direction,
  packet: PacketView,
): { readonly decision: Decision; readonly hits: readonly StagedHit[] } {
  const tables = tablesOf(state);
  const tiers = endpoint.tiers.map((tier) => withoutReplaced(state, tier));
  const byTiers = decideByTiers(tables, tiers, direction, packet, { stagedAsEnforced: true });
  const decision =
    byTiers.decision ?? decideByProfiles(tables, endpoint.profiles, direction, packet).decision;
  return {
    decision,
    hits: byTiers.tiers.flatMap((tier) => stagedHit(tier, direction, byTiers.decision) ?? []),
  };
}

/** A staged policy takes the place of the one of its name, a staged deletion leaves it empty. */
function withoutReplaced(state: DataplaneState, tier: EndpointTier): EndpointTier {
  const keep = (ids: EndpointTier['ingress']): EndpointTier['ingress'] =>
    ids.filter((id) => !state.replacedByStaged.has(policyKey(id)));
  return { ...tier, ingress: keep(tier.ingress), egress: keep(tier.egress) };
}

/** The staged policy that ended the tier, by a rule or by being its last one. */
function stagedHit(
  trace: TierTrace,
  direction: Direction,
  decision: Decision | undefined,
): StagedHit | undefined {
  if (trace.outcome === 'defaultDeny' && decision?.type === 'tierDefault') {
    const last = decision.policies.at(-1);
    if (last === undefined || !last.kind.startsWith('Staged')) return undefined;
    return { ...policyOfKey(policyKey(last)), tier: trace.tier, direction, index: -1, action: 'deny' };
  }
  const asked = trace.policies.at(-1);
  const matched = asked?.rules.at(-1);
  if (asked === undefined || matched === undefined || !asked.policy.kind.startsWith('Staged'))
    return undefined;
  if (matched.mismatch !== undefined || matched.verdict === 'log') return undefined;
  return {
    ...policyOfKey(policyKey(asked.policy)),
    tier: trace.tier,
    direction,
    index: matched.ref.index,
    action: matched.verdict,
  };
}

const TABLES = new WeakMap<DataplaneState, PolicyTables>();

function tablesOf(state: DataplaneState): PolicyTables {
  const known = TABLES.get(state);
  if (known !== undefined) return known;
  const nobody: ReadonlySet<number> = new Set();
  const made: PolicyTables = {
    policies: state.policies,
    profiles: state.profiles,
    selectors: { get: (id) => ({ identities: state.selectors.get(id) ?? nobody }) },
  };
  TABLES.set(state, made);
  return made;
}

function viewOf(state: DataplaneState, flow: FlowKey): PacketView | undefined {
  const source = parseIp(flow.source);
  const destination = parseIp(flow.destination);
  if (source === undefined || destination === undefined) return undefined;
  const end = (address: IpAddress, port: number | undefined): PacketEnd => ({
    address,
    port,
    identities: identitiesOf(state, address),
  });
  return {
    family: source.family,
    protocol: flow.protocol,
    icmp: flow.icmp,
    source: end(source, flow.sourcePort),
    destination: end(destination, flow.destinationPort),
  };
}

/** Those of every network around the address. */
function identitiesOf(state: DataplaneState, { family, value }: IpAddress): PacketEnd['identities'] {
  const ids = new Set<number>();
  for (let length = familyBits(family); length >= 0; length--) {
    const net = formatCidr({ family, base: value & netmask(family, length), length });
    for (const id of state.members.get(net) ?? []) ids.add(id);
  }
  return [...ids].flatMap((id) => state.identities.get(id) ?? []);
}
