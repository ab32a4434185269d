// The one event shape of the product (docs/interfaces.md "Events"): causes and effects on the way of a change.

/** Names of event kinds, by the component that emits them. Stable: scripts, scenes and the web page read them. */
export const EVENT_KINDS = {
  controller: [
    'objectStored',
    'podBound',
    'podUnschedulable',
    'pluginConverted',
    'pluginRefused',
    'pluginInSync',
    'nodeJoined',
    'nodeNotReady',
    'nodeLeft',
    'leaderElected',
    'leaderLost',
    'garbageCollected',
    'valueRefused',
  ],
  agent: [
    'agentStarted',
    'agentStopping',
    'datastoreConnected',
    'datastoreLost',
    'inSync',
    'nodeRegistered',
    'cniAdd',
    'cniDel',
    'cniWait',
    'blockClaimed',
    'blockReleased',
    'addressAssigned',
    'addressReleased',
    'vethCreated',
    'endpointWritten',
    'endpointRemoved',
    'valueRefused',
    'calcFlushed',
    'kernelTransaction',
    'kernelRefused',
    'kernelResynced',
    'generationMoved',
    'endpointProgrammed',
    'driftRepaired',
    'kernelWriterStarted',
    'bgpConfigured',
    'bgpHandover',
    'eventsLost',
  ],
  bgpd: [
    'bgpdStarted',
    'bgpdStopping',
    'peerUp',
    'peerDown',
    'bgpUpdateSent',
    'bgpUpdateReceived',
    'routesInstalled',
    'routesWithdrawn',
    'endOfRibReceived',
    'endOfRibSent',
    'configurationApplied',
    'configurationRefused',
    'configurationNotSaved',
  ],
  kubelet: [
    'podAdmitted',
    'podSandboxCreated',
    'podStarted',
    'podExited',
    'podFailed',
    'podRemoved',
    'podWaiting',
  ],
} as const;
export type EventComponent = keyof typeof EVENT_KINDS;
export type EventKind = (typeof EVENT_KINDS)[EventComponent][number];

/** What a component hands to the event log; the log adds time, host and sequence number. */
export interface EventInput {
  readonly component: EventComponent;
  readonly kind: EventKind;
  /** What it is about: `Pod/default/web-1`, `NetworkPolicy/default/deny`, `IPAMBlock/10.65.0.0/26`. */
  readonly object?: string;
  /** etcd revision that caused it or that it made. */
  readonly revision?: number;
  /** Generation of the ruleset after it. */
  readonly generation?: number;
  /** Address of the BGP peer. */
  readonly peer?: string;
  readonly count?: number;
  readonly durationMs?: number;
  /** Why, in a few words, or the object that caused it. */
  readonly cause?: string;
}

/** `seq` counts from 1 per process start of the component's host log; `time` is RFC 3339 with milliseconds, UTC. */
export interface CalicoEvent extends EventInput {
  readonly time: string;
  readonly host: string;
  readonly seq: number;
}

/** Takes events; never blocks, never throws. */
export interface EventSink {
  emit(event: EventInput): void;
}
