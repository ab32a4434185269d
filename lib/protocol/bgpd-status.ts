// What bgpd says of itself over its control socket (lib/protocol/bgpd.ts): status, a peer's history, events.

export type BgpdSessionState = 'Idle' | 'Connect' | 'Active' | 'OpenSent' | 'OpenConfirm' | 'Established';

/** Why a session is down or ended. */
export interface BgpdReason {
  /** Whose NOTIFICATION it is; `local` where there was none. */
  readonly direction: 'sent' | 'received' | 'local';
  /** Numbers of the NOTIFICATION (RFC 4271 §4.5); of a hard reset those that it wraps. */
  readonly code?: number;
  readonly subcode?: number;
  /** `Cease: administrative shutdown`, or of a local cause a word like `refused`. */
  readonly name: string;
  /** What the operator of the other side says (RFC 9003). */
  readonly text?: string;
  /** Data of the NOTIFICATION. */
  readonly hex?: string;
  /** Plain words, and a command or check that comes next. */
  readonly sentence: string;
  readonly next: string;
}

export type BgpdHistoryEntry = { readonly seq: number; readonly time: string } & (
  | { readonly kind: 'state'; readonly from: BgpdSessionState; readonly to: BgpdSessionState }
  /** The same `count` times in a row, the last time at `lastTime`. */
  | {
      readonly kind: 'reason';
      readonly reason: BgpdReason;
      readonly count: number;
      readonly lastTime: string;
    }
);

export interface BgpdHistory {
  readonly peer: string;
  /** Oldest first: the last 50 transitions and the last 50 reasons. */
  readonly entries: readonly BgpdHistoryEntry[];
  /** The last five malformed messages; `hex` from the header on, where it was asked for. */
  readonly malformed: readonly { readonly time: string; readonly reason: string; readonly hex?: string }[];
}

export interface BgpdPeerStatus {
  readonly name: string;
  readonly address: string;
  readonly asn: number;
  readonly description?: string;
  /** Name of the dynamic range that the peer has come from. */
  readonly dynamic?: string;
  readonly enabled: boolean;
  readonly state: BgpdSessionState;
  /** RFC 3339: when this state began. */
  readonly since: string;
  readonly passive: boolean;
  readonly md5: boolean;
  /** Hops that the peer may be away (RFC 5082). */
  readonly ttlSecurity?: number;
  /** Why there is no session. */
  readonly why?: BgpdReason;
  /** Set while Established. */
  readonly session?: {
    readonly localAddress: string;
    readonly routerId: string;
    readonly holdTimeSeconds: number;
    readonly keepaliveSeconds: number;
    readonly families: readonly string[];
    readonly gracefulRestart: boolean;
    readonly fourOctetAs: boolean;
    readonly extendedMessage: boolean;
    readonly routeRefresh: boolean;
    readonly enhancedRefresh: boolean;
    readonly extendedNextHop: boolean;
    /** Families with several paths of a prefix (RFC 7911), by direction. */
    readonly addPaths: { readonly receive: readonly string[]; readonly send: readonly string[] };
    /** Our role (RFC 9234). */
    readonly role?: string;
    /** In words, as each side offered them. */
    readonly capabilities: { readonly ours: readonly string[]; readonly theirs: readonly string[] };
    /** Octets that wait in this process, and those that the peer has not acknowledged where the kernel tells. */
    readonly queue: {
      readonly unsent: number;
      readonly unacknowledged?: number;
      /** The peer does not keep up: what is for it waits as a set of prefixes. */
      readonly isBehind?: true;
    };
    /** Whether the peer has said the End-of-RIB of every family. */
    readonly endOfRib: boolean;
  };
  readonly prefixes: {
    readonly received: number;
    readonly accepted: number;
    readonly advertised: number;
    readonly stale: number;
  };
  readonly messages: {
    readonly received: number;
    readonly sent: number;
    readonly updatesReceived: number;
    readonly updatesSent: number;
  };
  readonly flaps: number;
  /** Why the last connection ended or failed, in words. */
  readonly lastError?: { readonly time: string; readonly reason: string };
}

export interface BgpdStatus {
  readonly routerId?: string;
  readonly asn?: number;
  /** Of the configuration in force; undefined before the first. */
  readonly configurationNumber?: number;
  /** Why the configuration in force is not on disk: a restart now would begin with an older one. Tried again. */
  readonly configurationNotSaved?: string;
  /** Why bgpd's configuration file is not in force; what was before it is. */
  readonly configurationFileProblem?: string;
  readonly startedAt: string;
  /** Waiting for the peers' tables after a restart (RFC 4724 §4.1). */
  readonly restarting: boolean;
  readonly peers: readonly BgpdPeerStatus[];
  readonly kernel: {
    readonly installed: number;
    readonly failed: readonly { readonly prefix: string; readonly error: string }[];
  };
  readonly counters: {
    readonly unknownSource: number;
    /** Connections refused at once, by reason; those of unknown sources are among them. */
    readonly refused: Readonly<Record<string, number>>;
    readonly destinations: number;
    readonly eventsLost: number;
    /** Longest turn of the event loop since the last status, in milliseconds, to within 5. */
    readonly longestTurnMs: number;
  };
}

export interface BgpdEvent {
  readonly time: string;
  readonly host: string;
  readonly seq: number;
  readonly component: 'bgpd';
  readonly kind: string;
  readonly object?: string;
  readonly peer?: string;
  readonly count?: number;
  readonly durationMs?: number;
  readonly cause?: string;
}
