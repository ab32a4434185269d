// Make before break: when the topology changes (mesh to reflectors and back, one router for another), peers that leave stay
// until what comes in their place carries everything, and a reflector goes on reflecting; both for a bounded time. Pure.

import type { BgpdConfigurationInput } from '../../../lib/protocol/bgpd.ts';
import type { BgpdDestination } from '../../../lib/protocol/bgpd-routes.ts';

export type PeerInput = NonNullable<BgpdConfigurationInput['peers']>[number];

/** What counts of a peer's status: `session` while it is Established. */
export interface PeerState {
  readonly name: string;
  readonly session?: { readonly endOfRib: boolean };
}

/** Peers in the form in which bgpd had them, and the time from which on they are not kept, in milliseconds. */
interface Kept {
  readonly peers: readonly PeerInput[];
  readonly deadline: number;
}

export interface Leaving extends Kept {
  /** Names of the peers that came with the change, those whose password is not known yet among them. */
  readonly awaited: ReadonlySet<string>;
}

export interface Transition {
  /** No longer wanted. */
  readonly leaving: Leaving | undefined;
  /**
   * No longer clients of this reflector. Only they know whether they have other ways, so the whole time is waited; to reflect
   * longer than needed does no harm.
   */
  readonly clients: Kept | undefined;
}

export const NO_TRANSITION: Transition = { leaving: undefined, clients: undefined };

export interface TransitionInputs {
  /** Peers that bgpd has been given. */
  readonly before: readonly PeerInput[];
  /** The agent has just started, and does not know who of `before` has come yet: all that are wanted are awaited. */
  readonly isFirst: boolean;
  readonly wanted: BgpdConfigurationInput;
  /** Names of peers that will be wanted as soon as their password is known. */
  readonly withheld: readonly string[];
  readonly running: Transition;
  /** Whether a peer that leaves is still part of the cluster: one whose node was removed is not waited with. */
  readonly isKept: (peer: string) => boolean;
  readonly now: number;
  readonly patienceMs: number;
}

/** The transition that a change of configuration begins or goes on with. */
export function planTransition(inputs: TransitionInputs): Transition {
  return { leaving: planLeaving(inputs), clients: planClients(inputs) };
}

function planLeaving(inputs: TransitionInputs): Transition['leaving'] {
  const { before, isFirst, wanted, withheld, running, isKept } = inputs;
  const wantedPeers = wanted.peers ?? [];
  const addresses = new Set(wantedPeers.map(({ address }) => address));
  const names = new Set(wantedPeers.map(({ name }) => name));
  const peers = before.filter(
    ({ name, address }) => !addresses.has(address) && !names.has(name) && isKept(name),
  );
  const takers = [...names, ...withheld];
  // Without any peer left there is nobody to take over.
  if (peers.length === 0 || takers.length === 0) return undefined;
  const known = new Set(before.map(({ name }) => name));
  const awaited = takers.filter(
    (name) => isFirst || !known.has(name) || running.leaving?.awaited.has(name) === true,
  );
  return { peers, awaited: new Set(awaited), deadline: deadlineOf(peers, running.leaving, inputs) };
}

function planClients(inputs: TransitionInputs): Transition['clients'] {
  const { before, wanted, running } = inputs;
  const wantedByName = new Map((wanted.peers ?? []).map((peer) => [peer.name, peer]));
  const peers = before.filter(({ name, asn, routeReflectorClient }) => {
    const now = wantedByName.get(name);
    // Only an internal peer can be a client.
    const isInternal = now?.asn === asn && (now.localAsn ?? wanted.asn) === asn;
    return routeReflectorClient === true && isInternal && now.routeReflectorClient !== true;
  });
  return peers.length === 0 ? undefined : { peers, deadline: deadlineOf(peers, running.clients, inputs) };
}

/**
 * The time begins anew for all when one more is to be kept: the second change of two may undo what the
 * first was waiting for. Other changes leave it as it is, however many there are.
 */
function deadlineOf(
  peers: readonly PeerInput[],
  running: Kept | undefined,
  { now, patienceMs }: TransitionInputs,
): number {
  const kept = new Set(running?.peers.map(({ name }) => name));
  const hasMore = peers.some(({ name }) => !kept.has(name));
  return running === undefined || hasMore ? now + patienceMs : running.deadline;
}

/** What bgpd is given meanwhile. Peers that leave close without a word, so that the other end can hold on too. */
export function duringTransition(
  wanted: BgpdConfigurationInput,
  transition: Transition,
): BgpdConfigurationInput {
  const clients = new Map(transition.clients?.peers.map((peer) => [peer.name, peer]));
  const staying = (wanted.peers ?? []).map((peer): PeerInput => {
    const client = clients.get(peer.name);
    if (client === undefined) return peer;
    const { clusterId, exportPolicy } = client;
    return {
      ...peer,
      routeReflectorClient: true,
      ...(clusterId === undefined ? {} : { clusterId }),
      ...(exportPolicy === undefined ? {} : { exportPolicy }),
    };
  });
  const leaving = (transition.leaving?.peers ?? []).map(
    (peer): PeerInput => ({ ...peer, removal: 'graceful' }),
  );
  return { ...wanted, peers: [...staying, ...leaving] };
}

/** Which peers that came are not Established with their End-of-RIB said yet, in a sentence; undefined: all are. */
export function missingSessions(
  { awaited }: Pick<Leaving, 'awaited'>,
  peers: readonly PeerState[],
): string | undefined {
  const byName = new Map(peers.map((peer) => [peer.name, peer]));
  const late = [...awaited].filter((name) => byName.get(name)?.session?.endOfRib !== true);
  return late.length === 0 ? undefined : `no session with its End-of-RIB yet: ${few(late)}`;
}

/** Which destinations hang on paths of leaving peers alone, in a sentence; undefined: none does. */
export function missingWays(
  { peers }: Pick<Leaving, 'peers'>,
  destinations: readonly BgpdDestination[],
): string | undefined {
  const names = new Set(peers.map(({ name }) => name));
  const hanging = destinations.filter(({ paths }) => {
    const usable = paths.filter(({ verdict }) => verdict !== 'ineligible');
    return usable.length > 0 && usable.every(({ source }) => names.has(source));
  });
  return hanging.length === 0 ? undefined : `no other way yet to ${few(hanging.map(({ prefix }) => prefix))}`;
}

function few(names: readonly string[]): string {
  return `${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`;
}
