// What a scene of the story can do to a cluster, whatever its hosts are: namespaces of a lab (lab-cluster.ts) or containers
// (compose-cluster.ts). Everything is a command that a person could have typed.

import type { RunResult } from '../../lib/process/run.ts';
import type { Service } from '../../lib/process/service.ts';

export interface ClusterHost {
  /** Name of the node. */
  readonly name: string;
  /** IPv4 address on the network between the hosts. */
  readonly address: string;
}

export interface CommandOptions {
  readonly input?: string;
  /** Milliseconds; 30 s when not given. */
  readonly timeoutMs?: number;
}

export interface Cluster {
  /** For people: "the lab", "the compose project calico-ts". */
  readonly name: string;
  /** Its nodes in the order of their names. */
  hosts(): Promise<readonly ClusterHost[]>;
  kubectl(args: readonly string[], options?: CommandOptions): Promise<RunResult>;
  etcdctl(args: readonly string[], options?: CommandOptions): Promise<RunResult>;
  calicoctl(args: readonly string[], options?: CommandOptions): Promise<RunResult>;
  /** Runs a command in the host's network namespace. */
  onHost(node: string, argv: readonly [string, ...string[]], options?: CommandOptions): Promise<RunResult>;
  /** Starts printing the BGP messages that cross the host's eth0 (bgp-capture.ts); resolves when it listens. */
  captureBgp(node: string): Promise<Service>;
  /** Adds a host that joins by itself; resolves with its name when its programs run. */
  addNode(): Promise<string>;
  /** Shuts a host down: its programs get TERM. Its Node object stays. */
  removeNode(name: string): Promise<void>;
}
