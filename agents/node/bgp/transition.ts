// Make before break: when peers leave a configuration because the topology changes (mesh to reflectors and back, one router
// for another), they stay until what comes in their place carries everything, or a bounded wait is over. Pure.

import type { BgpdConfigurationInput, BgpdDestination } from '../../../lib/protocol/bgpd.ts';

type PeerInput = NonNullable<BgpdConfigurationInput['peers']>[number];

export interface Transition {
  /** What bgpd has besides what is wanted, in the form in which it had it. */
  readonly leaving: readonly PeerInput[];
  /** Names of the wanted peers that came with the change. */
  readonly awaited: ReadonlySet<string>;
  /** Time from which on nobody is waited for, in milliseconds. */
  readonly deadline: number;
}

export interface TransitionInputs {
  readonly before: BgpdConfigurationInput | undefined;
  readonly wanted: BgpdConfigurationInput;
  readonly running: Transition | undefined;
  /** Whether a peer that leaves is still part of the cluster: one whose node was removed is not waited with. */
  readonly isKept: (peer: string) => boolean;
  readonly now: number;
  readonly patienceMs: number;
}

/** The transition that a change of configuration begins or goes on with; undefined: it is done at once. */
export function planTransition(inputs: TransitionInputs): Transition | undefined {
  const { before, wanted, running, isKept, now, patienceMs } = inputs;
  const wantedPeers = wanted.peers ?? [];
  const wantedAddresses = new Set(wantedPeers.map(({ address }) => address));
  const knownNames = new Set((before?.peers ?? []).map(({ name }) => name));
  const leaving = [...(before?.peers ?? [])].filter(
    ({ name, address }) =>
      !wantedAddresses.has(address) && !wantedPeers.some((peer) => peer.name === name) && isKept(name),
  );
  // Without any peer left there is nobody to take over.
  if (leaving.length === 0 || wantedPeers.length === 0) return undefined;
  const awaited = wantedPeers
    .map(({ name }) => name)
    .filter((name) => !knownNames.has(name) || running?.awaited.has(name) === true);
  return {
    leaving,
    awaited: new Set(awaited),
    deadline: running?.deadline ?? now + patienceMs,
  };
}

/** What bgpd is given meanwhile. Peers that leave close without a word, so that the other end can hold on too. */
export function withLeaving(
  wanted: BgpdConfigurationInput,
  transition: Transition | undefined,
): BgpdConfigurationInput {
  if (transition === undefined) return wanted;
  const leaving = transition.leaving.map((peer) => ({ ...peer, removal: 'graceful' as const }));
  return { ...wanted, peers: [...(wanted.peers ?? []), ...leaving] };
}

/**
 * What is still missing, in a sentence; undefined: the leaving peers can go. Peers that came must be Established and have
 * said their End-of-RIB, and no destination may hang on paths of leaving peers alone.
 */
export function missing(
  { leaving, awaited }: Transition,
  peers: readonly { readonly name: string; readonly session?: { readonly endOfRib: boolean } }[],
  destinations: readonly BgpdDestination[],
): string | undefined {
  const byName = new Map(peers.map((peer) => [peer.name, peer]));
  const late = [...awaited].filter((name) => byName.get(name)?.session?.endOfRib !== true);
  if (late.length > 0) return `no session with its End-of-RIB yet: ${few(late)}`;
  const leavers = new Set(leaving.map(({ name }) => name));
  const hanging = destinations.filter(({ paths }) => {
    const usable = paths.filter(({ verdict }) => verdict !== 'ineligible');
    return usable.length > 0 && usable.every(({ source }) => leavers.has(source));
  });
  if (hanging.length === 0) return undefined;
  return `no other way yet to ${few(hanging.map(({ prefix }) => prefix))}`;
}

function few(names: readonly string[]): string {
  return `${names.slice(0, 5).join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`;
}
