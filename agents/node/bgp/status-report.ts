// The status of a CalicoNodeStatus from what bgpd says of itself: pure. bgpd stands for both of BIRD's processes; a class that
// was not asked for is left out.

import { type Family, parseCidr, parseIp } from '../../../lib/net/ip.ts';
import type { BgpdDestination } from '../../../lib/protocol/bgpd-routes.ts';
import type { BgpdPeerStatus, BgpdStatus } from '../../../lib/protocol/bgpd-status.ts';

export type StatusClass = 'Agent' | 'BGP' | 'Routes';

interface PeerReport {
  readonly peerIP: string;
  readonly type: 'NodeMesh' | 'NodePeer' | 'GlobalPeer';
  readonly state: string;
  readonly since: string;
}

interface RouteReport {
  /** FIB: in the kernel; RIB: known, and not used. */
  readonly type: 'FIB' | 'RIB';
  readonly destination: string;
  readonly gateway: string;
  readonly interface: string;
  readonly learnedFrom: {
    readonly sourceType: 'Static' | 'NodeMesh' | 'BGPPeer';
    readonly peerIP?: string;
  };
}

/** What of bgpd's status goes into a report. */
export type ReportedStatus = Pick<BgpdStatus, 'routerId' | 'configurationNumber' | 'startedAt'> & {
  readonly peers: readonly Pick<BgpdPeerStatus, 'name' | 'address' | 'description' | 'state' | 'since'>[];
};

export interface ReportInputs {
  readonly classes: readonly StatusClass[];
  /** Undefined: bgpd does not answer. */
  readonly bgpd: ReportedStatus | undefined;
  readonly destinations: readonly BgpdDestination[];
  readonly version: string;
  /** RFC 3339. */
  readonly now: string;
}

export function statusReport(inputs: ReportInputs): Record<string, unknown> {
  const { classes, now } = inputs;
  return {
    lastUpdated: now,
    ...(classes.includes('Agent') ? { agent: agentReport(inputs) } : {}),
    ...(classes.includes('BGP') ? { bgp: bgpReport(inputs) } : {}),
    ...(classes.includes('Routes') ? { routes: routesReport(inputs) } : {}),
  };
}

function agentReport({ bgpd, version }: ReportInputs): object {
  const speaker = {
    state: bgpd?.configurationNumber === undefined ? 'NotReady' : 'Ready',
    version,
    ...(bgpd?.routerId === undefined ? {} : { routerID: bgpd.routerId }),
    ...(bgpd === undefined ? {} : { lastBootTime: bgpd.startedAt }),
  };
  return { birdV4: speaker, birdV6: speaker };
}

function bgpReport(inputs: ReportInputs): object {
  const [v4, v6] = [peersOf(4, inputs), peersOf(6, inputs)];
  const established = (peers: readonly PeerReport[]): number =>
    peers.filter(({ state }) => state === 'Established').length;
  return {
    numberEstablishedV4: established(v4),
    numberNotEstablishedV4: v4.length - established(v4),
    numberEstablishedV6: established(v6),
    numberNotEstablishedV6: v6.length - established(v6),
    peersV4: v4,
    peersV6: v6,
  };
}

function peersOf(family: Family, { bgpd }: ReportInputs): PeerReport[] {
  return (bgpd?.peers ?? [])
    .filter(({ address }) => familyOf(address) === family)
    .map(({ address, description = '', state, since }) => ({
      peerIP: address,
      type: peerType(description),
      state,
      since,
    }));
}

function peerType(protocolName: string): PeerReport['type'] {
  if (protocolName.startsWith('Mesh_')) return 'NodeMesh';
  return protocolName.startsWith('Global_') ? 'GlobalPeer' : 'NodePeer';
}

function routesReport(inputs: ReportInputs): object {
  return { routesV4: routesOf(4, inputs), routesV6: routesOf(6, inputs) };
}

function routesOf(family: Family, { bgpd, destinations }: ReportInputs): RouteReport[] {
  const peers = new Map((bgpd?.peers ?? []).map((peer) => [peer.name, peer]));
  return destinations
    .filter(({ prefix }) => parseCidr(prefix)?.family === family)
    .flatMap(({ prefix, paths }) =>
      paths.map(({ source, verdict, nextHop }): RouteReport => {
        const peer = peers.get(source);
        const isUsed = verdict === 'best' || verdict === 'multipath';
        return {
          type: isUsed ? 'FIB' : 'RIB',
          destination: prefix,
          gateway: peer === undefined ? 'N/A' : nextHop,
          // bgpd leaves the interface to the kernel.
          interface: 'N/A',
          learnedFrom:
            peer === undefined
              ? { sourceType: 'Static' }
              : {
                  sourceType: peerType(peer.description ?? '') === 'NodeMesh' ? 'NodeMesh' : 'BGPPeer',
                  peerIP: peer.address,
                },
        };
      }),
    );
}

/** Of an address that may carry an interface (RFC 4007). */
function familyOf(address: string): Family | undefined {
  return parseIp(address.split('%')[0] ?? '')?.family;
}
