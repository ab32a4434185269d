// Paths of a host's processes: all derive from its one state directory, as lab hosts share a filesystem.

import { join } from 'node:path';

export interface HostPaths {
  readonly stateDir: string;
  /** The CNI plugin, put there by the agent where there is Perl to run it. */
  readonly cniPlugin: string;
  /** CNI plugin → agent. */
  readonly cniSocket: string;
  /** kubelet → agent, events. */
  readonly eventSocket: string;
  /** agent → bgpd. */
  readonly bgpdSocket: string;
  /** Passwords of BGP sessions, for bgpd alone. */
  readonly bgpPasswordFolder: string;
  /** Peers that bgpd was given last. */
  readonly bgpPeersFile: string;
  /** Private keys of WireGuard. */
  readonly wireguardKeyFolder: string;
  /** What the ids of rules stand for, an earlier agent's too. */
  readonly ruleNumbersFile: string;
  /** A file for each endpoint that is programmed, as Calico's own tools read them. */
  readonly endpointStatusFolder: string;
  /** Name of the node, as Calico's own tools read it. */
  readonly nodeNameFile: string;
}

export function hostPaths(stateDir: string): HostPaths {
  return {
    stateDir,
    cniPlugin: join(stateDir, 'cni-plugin'),
    cniSocket: join(stateDir, 'cni.sock'),
    eventSocket: join(stateDir, 'events.sock'),
    bgpdSocket: join(stateDir, 'bgpd.sock'),
    bgpPasswordFolder: join(stateDir, 'bgp-passwords'),
    bgpPeersFile: join(stateDir, 'bgp-peers.json'),
    wireguardKeyFolder: join(stateDir, 'wireguard-keys'),
    ruleNumbersFile: join(stateDir, 'rule-numbers'),
    endpointStatusFolder: join(stateDir, 'endpoint-status'),
    nodeNameFile: join(stateDir, 'nodename'),
  };
}
