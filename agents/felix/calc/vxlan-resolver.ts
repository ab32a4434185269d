// The VXLAN tunnel end points of all nodes (Felix's VXLAN resolver): a node has one for each family of which both its own
// address and its tunnel address are known.

import { createHash } from 'node:crypto';
import { formatIp } from '../../../lib/net/ip.ts';
import type { NodeInput, VxlanTunnelInput } from './inputs.ts';
import type { VtepUpdate } from './messages.ts';
import { MultiMap } from './multi-map.ts';

export interface VtepCallbacks {
  onVtepUpdate(vtep: VtepUpdate): void;
  onVtepRemove(node: string): void;
}

interface FamilyVtep {
  readonly mac: string;
  readonly address: string;
  readonly parent: string;
}

export class VxlanResolver {
  private readonly callbacks: VtepCallbacks;
  private readonly nodes = new Map<string, NodeInput>();
  private readonly tunnels = new Map<string, VxlanTunnelInput>();
  private readonly nodesByAddress = new MultiMap<string, string>();
  private readonly sentNodes = new Set<string>();
  private readonly dirtyNodes = new Set<string>();

  constructor(callbacks: VtepCallbacks) {
    this.callbacks = callbacks;
  }

  updateNode(name: string, node: NodeInput | undefined): void {
    for (const address of parentsOf(this.nodes.get(name))) {
      this.markSharers(address);
      this.nodesByAddress.remove(address, name);
    }
    if (node === undefined) this.nodes.delete(name);
    else this.nodes.set(name, node);
    for (const address of parentsOf(node)) {
      this.nodesByAddress.add(address, name);
      this.markSharers(address);
    }
    this.dirtyNodes.add(name);
  }

  updateTunnel(host: string, tunnel: VxlanTunnelInput | undefined): void {
    if (tunnel === undefined) this.tunnels.delete(host);
    else this.tunnels.set(host, tunnel);
    this.dirtyNodes.add(host);
  }

  flush(): void {
    for (const name of this.dirtyNodes) {
      const vtep = this.resolve(name);
      if (vtep !== undefined) {
        this.sentNodes.add(name);
        this.callbacks.onVtepUpdate(vtep);
      } else if (this.sentNodes.delete(name)) {
        this.callbacks.onVtepRemove(name);
      }
    }
    this.dirtyNodes.clear();
  }

  /** Whether a node is the first to have an address depends on all that have it. */
  private markSharers(address: string): void {
    for (const name of this.nodesByAddress.get(address) ?? []) this.dirtyNodes.add(name);
  }

  private resolve(name: string): VtepUpdate | undefined {
    const v4 = this.resolveFamily(name, 4);
    const v6 = this.resolveFamily(name, 6);
    if (v4 === undefined && v6 === undefined) return undefined;
    return {
      node: name,
      mac: v4?.mac,
      ipv4: v4?.address,
      parentIpv4: v4?.parent,
      macV6: v6?.mac,
      ipv6: v6?.address,
      parentIpv6: v6?.parent,
    };
  }

  private resolveFamily(name: string, family: 4 | 6): FamilyVtep | undefined {
    const tunnel = this.tunnels.get(name);
    const address = family === 4 ? tunnel?.ipv4 : tunnel?.ipv6;
    const [parent] = parentsOf(this.nodes.get(name), family);
    if (address === undefined || parent === undefined || !this.ownsAddress(name, parent)) return undefined;
    const mac = family === 4 ? tunnel?.mac : tunnel?.macV6;
    return { mac: mac ?? vtepMac(name, family), address, parent };
  }

  /** Of nodes with one address, the first by name has the route to it; frames for the others would reach that one. */
  private ownsAddress(name: string, address: string): boolean {
    for (const other of this.nodesByAddress.get(address) ?? []) {
      if (other < name) return false;
    }
    return true;
  }
}

/** Addresses that tunnel packets of the node go to: those of `spec.bgp` only. */
function parentsOf(node: NodeInput | undefined, family?: 4 | 6): string[] {
  if (node === undefined || !node.isBgpAddress) return [];
  const candidates = family === undefined ? [node.ipv4, node.ipv6] : [family === 4 ? node.ipv4 : node.ipv6];
  return candidates.flatMap((candidate) => (candidate === undefined ? [] : [formatIp(candidate.address)]));
}

/** `66` (the letter f) and the first five bytes of SHA-1 over the node's name, with `-v6` behind it for IPv6. */
function vtepMac(node: string, family: 4 | 6): string {
  const digest = createHash('sha1')
    .update(family === 4 ? node : `${node}-v6`)
    .digest('hex');
  return `66${digest.slice(0, 10)}`.replace(/..(?=.)/g, '$&:');
}
