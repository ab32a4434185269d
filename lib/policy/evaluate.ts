// What becomes of a packet, without a kernel: every place on its way where policy is asked, what each says and why
// (docs/policy.md "The way of a packet"). The nftables renderer reads the same compiled form.

import { cidrContains } from '../net/ip.ts';
import type { PolicyCluster } from './cluster.ts';
import type { CompiledHostEndpoint, CompiledWorkloadEndpoint, Direction } from './compiled.ts';
import {
  type DecideOptions,
  type Decision,
  decideByProfiles,
  decideByTiers,
  type ProfileTrace,
  type TierTrace,
} from './evaluation/decide.ts';
import { type EndpointToHostAction, type FailsafePort, hostSettings } from './evaluation/host-settings.ts';
import { type Location, locate, networkHostEndpoint, wildcardHostEndpoint } from './evaluation/locate.ts';
import { type Packet, type PacketView, viewPacket } from './evaluation/packet.ts';

/** Where policy is asked. `host` is the one it is asked on. */
export type CheckpointPlace =
  | { readonly type: 'workload'; readonly host: string; readonly endpoint: CompiledWorkloadEndpoint['id'] }
  | { readonly type: 'endpointToHost'; readonly host: string }
  | {
      readonly type: 'hostEndpoint';
      readonly host: string;
      readonly endpoint: string;
      readonly stage: 'untracked' | 'preDnat' | 'forward' | 'normal';
    };

/** What decided at a checkpoint. */
export type CheckpointDecision =
  | Decision
  /** A workload to its own host: `return` leaves it to the host's own rules, which are taken to allow. */
  | { readonly type: 'endpointToHost'; readonly isAllowed: boolean; readonly action: EndpointToHostAction }
  /** BGP of a host, which no workload may reach unless it is a BGP peer itself. */
  | { readonly type: 'bgpPort'; readonly isAllowed: false }
  /** A workload must not build tunnels past its policy. */
  | { readonly type: 'tunnelFromWorkload'; readonly isAllowed: false }
  | { readonly type: 'failsafePort'; readonly isAllowed: true; readonly port: number }
  /** No policy of this stage decides, which lets the packet go on. */
  | { readonly type: 'stageEnd'; readonly isAllowed: true };

export interface CheckpointTrace {
  readonly place: CheckpointPlace;
  readonly direction: Direction;
  readonly tiers: readonly TierTrace[];
  readonly profiles: readonly ProfileTrace[];
  readonly decision: CheckpointDecision;
}

export interface Verdict {
  readonly isAllowed: boolean;
  readonly source: Location;
  readonly destination: Location;
  /**
   * In the order of the packet's way, up to the first that denies (with `bothSides`, up to the first on each side). Empty:
   * nothing on the way is policed, as for a host to its own workload, or for a workload to itself.
   */
  readonly checkpoints: readonly CheckpointTrace[];
}

const TCP = 6;
const UDP = 17;
const IPIP = 4;
const BGP_PORT = 179;

export interface EvaluateOptions extends DecideOptions {
  /** Ask the destination's side also where the source's has denied: what would have to change on both. */
  readonly bothSides?: boolean;
}

/** The verdict on the first packet of a flow. Throws PacketError. */
export function evaluate(cluster: PolicyCluster, packet: Packet, options: EvaluateOptions = {}): Verdict {
  const view = viewPacket(packet, cluster.identities);
  const source = locate(cluster, view.source.address);
  const destination = locate(cluster, view.destination.address);
  const way = new Way(cluster, view, options);
  const hasLeft = way.leave(source, destination);
  const hasArrived = (hasLeft || options.bothSides === true) && way.arrive(source, destination);
  const isAllowed = hasLeft && hasArrived;
  return { isAllowed, source, destination, checkpoints: way.checkpoints };
}

/** Walks the checkpoints; each step says whether the packet goes on. */
class Way {
  readonly checkpoints: CheckpointTrace[] = [];
  private readonly cluster: PolicyCluster;
  private readonly packet: PacketView;
  private readonly options: DecideOptions;

  constructor(cluster: PolicyCluster, packet: PacketView, options: DecideOptions) {
    this.cluster = cluster;
    this.packet = packet;
    this.options = options;
  }

  leave(source: Location, destination: Location): boolean {
    if (source.type === 'external' || isSameWorkload(source, destination)) return true;
    const isLocal = isSameHost(source, destination);
    if (source.type === 'workload') {
      const isToHost = isLocal && destination.type === 'host';
      if (this.isBgpOfNode(source.endpoint, destination)) {
        return this.note(workloadPlace(source.endpoint), 'egress', { type: 'bgpPort', isAllowed: false });
      }
      if (!this.leaveInterface(source.host, isToHost)) return false;
      if (!this.leaveWorkload(source.endpoint)) return false;
    }
    if (isLocal) return true;
    const endpoint = networkHostEndpoint(this.cluster, source.host);
    return this.passEgress(endpoint, source.host, source.type === 'workload');
  }

  arrive(source: Location, destination: Location): boolean {
    if (destination.type === 'external' || isSameWorkload(source, destination)) return true;
    const { host } = destination;
    if (!isSameHost(source, destination)) {
      const endpoint = networkHostEndpoint(this.cluster, host);
      if (!this.passIngress(endpoint, host, destination.type === 'workload')) return false;
    } else if (source.type === 'host') {
      // A host's own traffic to its workloads is never policed.
      return destination.type === 'workload' || this.passLoopback(host);
    }
    if (destination.type === 'workload') {
      return this.askWorkload(destination.endpoint, 'ingress') && this.reachInterface(host);
    }
    return !(source.type === 'workload' && isSameHost(source, destination)) || this.reachOwnHost(host);
  }

  /** The host endpoint for all interfaces covers workloads' too: pre-DNAT policy, and that of what is forwarded. */
  private leaveInterface(host: string, isToHost: boolean): boolean {
    const endpoint = wildcardHostEndpoint(this.cluster, host);
    if (endpoint === undefined) return true;
    const preDnat = this.failsafePort(host, 'ingress') ? undefined : this.askPreDnat(endpoint);
    if (preDnat !== undefined) return preDnat;
    return isToHost || this.askForward(endpoint, 'ingress');
  }

  private reachInterface(host: string): boolean {
    const endpoint = wildcardHostEndpoint(this.cluster, host);
    return endpoint === undefined || this.askForward(endpoint, 'egress');
  }

  /** To itself a host sends over its loopback interface, out and in again. */
  private passLoopback(host: string): boolean {
    const endpoint = networkHostEndpoint(this.cluster, host, 'lo');
    return this.passEgress(endpoint, host, false) && this.passIngress(endpoint, host, false);
  }

  private leaveWorkload(endpoint: CompiledWorkloadEndpoint): boolean {
    if (this.isTunnel(endpoint.id.host)) {
      return this.note(workloadPlace(endpoint), 'egress', { type: 'tunnelFromWorkload', isAllowed: false });
    }
    return this.askWorkload(endpoint, 'egress');
  }

  /** Out of a workload's reach ahead of all policy: NAT could make it look like its host. */
  private isBgpOfNode(endpoint: CompiledWorkloadEndpoint, destination: Location): boolean {
    return destination.type === 'host' && this.isBgp() && endpoint.localBgpPeer === undefined;
  }

  /** What no policy of the workload can open, as its host is set. */
  private isTunnel(host: string): boolean {
    const { protocol, destination } = this.packet;
    const settings = hostSettings(host, this.cluster);
    return (
      (protocol === IPIP && !settings.allowsIpipFromWorkloads) ||
      (protocol === UDP && destination.port === settings.vxlanPort && !settings.allowsVxlanFromWorkloads)
    );
  }

  private isBgp(): boolean {
    return this.packet.protocol === TCP && this.packet.destination.port === BGP_PORT;
  }

  private askWorkload(endpoint: CompiledWorkloadEndpoint, direction: Direction): boolean {
    return this.askTiersAndProfiles(workloadPlace(endpoint), endpoint, direction);
  }

  private reachOwnHost(host: string): boolean {
    // Only who peers with the host has come so far: that is what its BGPPeer asks for.
    if (this.isBgp()) return true;
    const action = hostSettings(host, this.cluster).endpointToHostAction;
    return this.note({ type: 'endpointToHost', host }, 'ingress', {
      type: 'endpointToHost',
      isAllowed: action !== 'drop',
      action,
    });
  }

  /** What untracked or pre-DNAT policy allows, no other policy of the endpoint is asked about. */
  private passIngress(
    endpoint: CompiledHostEndpoint | undefined,
    host: string,
    isForwarded: boolean,
  ): boolean {
    if (endpoint === undefined) return true;
    const failsafe = this.failsafePort(host, 'ingress');
    if (failsafe !== undefined && !isForwarded) return this.noteFailsafe(endpoint, 'ingress', failsafe);
    if (failsafe === undefined) {
      const decided = this.askUntracked(endpoint, 'ingress') ?? this.askPreDnat(endpoint);
      if (decided !== undefined) return decided;
    }
    if (isForwarded) return this.askForward(endpoint, 'ingress');
    return this.askTiersAndProfiles(hostPlace(endpoint, 'normal'), endpoint, 'ingress');
  }

  /** Untracked policy is asked about what the host itself sends alone. */
  private passEgress(
    endpoint: CompiledHostEndpoint | undefined,
    host: string,
    isForwarded: boolean,
  ): boolean {
    if (endpoint === undefined) return true;
    if (isForwarded) return this.askForward(endpoint, 'egress');
    const failsafe = this.failsafePort(host, 'egress');
    if (failsafe !== undefined) return this.noteFailsafe(endpoint, 'egress', failsafe);
    return (
      this.askUntracked(endpoint, 'egress') ??
      this.askTiersAndProfiles(hostPlace(endpoint, 'normal'), endpoint, 'egress')
    );
  }

  private noteFailsafe(
    endpoint: CompiledHostEndpoint,
    direction: Direction,
    { port }: FailsafePort,
  ): boolean {
    return this.note(hostPlace(endpoint, 'normal'), direction, {
      type: 'failsafePort',
      isAllowed: true,
      port,
    });
  }

  /** Undefined: nothing decides. As in Calico there is no such policy for all interfaces at once. */
  private askUntracked(endpoint: CompiledHostEndpoint, direction: Direction): boolean | undefined {
    if (endpoint.interfaceName === '*' || this.isFailsafeAnswer(endpoint.id.host, direction))
      return undefined;
    const decision = this.askStage(endpoint, 'untracked', endpoint.untrackedTiers, direction);
    return decision.type === 'stageEnd' ? undefined : decision.isAllowed;
  }

  private askPreDnat(endpoint: CompiledHostEndpoint): boolean | undefined {
    const decision = this.askStage(endpoint, 'preDnat', endpoint.preDnatTiers, 'ingress');
    return decision.type === 'stageEnd' ? undefined : decision.isAllowed;
  }

  private askForward(endpoint: CompiledHostEndpoint, direction: Direction): boolean {
    return this.askStage(endpoint, 'forward', endpoint.forwardTiers, direction).isAllowed;
  }

  private failsafePort(host: string, direction: Direction): FailsafePort | undefined {
    return this.failsafePortAt(host, direction, direction, this.packet.destination.port);
  }

  /** What looks like an answer from a failsafe port of the other direction: ahead of conntrack only its source port tells. */
  private isFailsafeAnswer(host: string, direction: Direction): boolean {
    const ports = direction === 'ingress' ? 'egress' : 'ingress';
    return this.failsafePortAt(host, ports, direction, this.packet.source.port) !== undefined;
  }

  /** `ports`: of which direction they are failsafe ports; `direction`: the packet's. */
  private failsafePortAt(
    host: string,
    ports: Direction,
    direction: Direction,
    asked: number | undefined,
  ): FailsafePort | undefined {
    const settings = hostSettings(host, this.cluster);
    const failsafe = ports === 'ingress' ? settings.failsafeInbound : settings.failsafeOutbound;
    const other = direction === 'ingress' ? this.packet.source : this.packet.destination;
    return failsafe.find(
      ({ protocol, port, net }) =>
        protocol === this.packet.protocol &&
        port === asked &&
        (net === undefined || cidrContains(net, other.address)),
    );
  }

  /** A stage that has no profiles and does not deny at its end; one without policies leaves no trace. */
  private askStage(
    endpoint: CompiledHostEndpoint,
    stage: 'untracked' | 'preDnat' | 'forward',
    stageTiers: CompiledHostEndpoint['tiers'],
    direction: Direction,
  ): CheckpointDecision {
    const { tiers, decision } = decideByTiers(this.cluster, stageTiers, direction, this.packet, this.options);
    const outcome: CheckpointDecision = decision ?? { type: 'stageEnd', isAllowed: true };
    if (tiers.length > 0) {
      this.checkpoints.push({
        place: hostPlace(endpoint, stage),
        direction,
        tiers,
        profiles: [],
        decision: outcome,
      });
    }
    return outcome;
  }

  private askTiersAndProfiles(
    place: CheckpointPlace,
    endpoint: Pick<CompiledWorkloadEndpoint, 'tiers' | 'profiles'>,
    direction: Direction,
  ): boolean {
    const byTiers = decideByTiers(this.cluster, endpoint.tiers, direction, this.packet, this.options);
    const byProfiles =
      byTiers.decision === undefined
        ? decideByProfiles(this.cluster, endpoint.profiles, direction, this.packet)
        : { profiles: [], decision: byTiers.decision };
    const { profiles, decision } = byProfiles;
    this.checkpoints.push({ place, direction, tiers: byTiers.tiers, profiles, decision });
    return decision.isAllowed;
  }

  private note(place: CheckpointPlace, direction: Direction, decision: CheckpointDecision): boolean {
    this.checkpoints.push({ place, direction, tiers: [], profiles: [], decision });
    return decision.isAllowed;
  }
}

function workloadPlace(endpoint: CompiledWorkloadEndpoint): CheckpointPlace {
  return { type: 'workload', host: endpoint.id.host, endpoint: endpoint.id };
}

function hostPlace(
  endpoint: CompiledHostEndpoint,
  stage: 'untracked' | 'preDnat' | 'forward' | 'normal',
): CheckpointPlace {
  return { type: 'hostEndpoint', host: endpoint.id.host, endpoint: endpoint.id.endpoint, stage };
}

function isSameHost(a: Location, b: Location): boolean {
  return a.type !== 'external' && b.type !== 'external' && a.host === b.host;
}

/** A workload's traffic to its own address never leaves it. */
function isSameWorkload(a: Location, b: Location): boolean {
  return a.type === 'workload' && b.type === 'workload' && a.endpoint === b.endpoint;
}
