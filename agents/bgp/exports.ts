// `calico-ts/bgp`: a BGP speaker for TypeScript (docs/library.md). From the inside out: the codec, the state
// machine and the routing table, which are pure; the speaker, which has sockets; bgpd's client, for a speaker in a process of
// its own. Whatever is not here may change without notice.

// The speaker. `kernel.enabled: false` in its configuration keeps it out of the kernel's routing table.
export { EventLog } from '../../lib/events/event-log.ts';
export { createLogger, type Logger, silentLogger } from '../../lib/logging/logger.ts';
// Addresses and prefixes as values.
export {
  type Cidr,
  formatCidr,
  formatIp,
  type IpAddress,
  parseCidr,
  parseIp,
} from '../../lib/net/ip.ts';
export type { BgpdConfigurationInput, BgpdFieldError } from '../../lib/protocol/bgpd.ts';
// bgpd as a process of its own, over its control socket.
export { BgpdClient, BgpdClientError } from '../../lib/protocol/bgpd-client.ts';
export type {
  BgpdDestination,
  BgpdReceivedPath,
  BgpdSentPath,
  BgpdWhy,
} from '../../lib/protocol/bgpd-routes.ts';
export type { BgpdEvent, BgpdHistory, BgpdStatus } from '../../lib/protocol/bgpd-status.ts';
export { parseConfiguration, type SpeakerConfig, speakerConfig } from './config.ts';
// State machine: (state, event, peer) → next state and what is to be done (RFC 4271 §8), and what two OPENs agree on.
export { type Action, type Event, type FsmPeer, type State, step, type Transition } from './fsm/fsm.ts';
export {
  type LocalSession,
  localOpen,
  type NegotiatedSession,
  type Negotiation,
  negotiate,
} from './fsm/negotiate.ts';
// Codec (RFC 4271, 4760, 5492, 6793, 7313, 7606, 7911, 8654, 8950, 9003, 9234).
export type { AsPath, PathAttributes } from './packet/attributes/types.ts';
export type { Capability } from './packet/capabilities.ts';
export { type CodecContext, UNNEGOTIATED } from './packet/context.ts';
export { DecodeError, type Notification, notification, type UpdateFault } from './packet/errors.ts';
export {
  type AddressFamily,
  AttributeCode,
  CapabilityCode,
  CeaseSubcode,
  Community,
  ErrorCode,
  MessageType,
} from './packet/iana.ts';
export { decodeMessage, encodeMessage, type Message } from './packet/message.ts';
export { describeNotification } from './packet/notification.ts';
export type { OpenMessage } from './packet/open.ts';
export type { UpdateMessage } from './packet/update.ts';
export { type RouteChanges, routeChanges } from './packet/validate.ts';
// Routes: the decision process (RFC 4271 §9.1) with its reasons, and what import and export make of a route.
export { applyPolicy, type Policy } from './policy/policy.ts';
export { type Decision, decide } from './rib/decision.ts';
export type { Path } from './rib/path.ts';
export { MessageFramer } from './session/framing.ts';
export { Speaker, type SpeakerOptions } from './speaker.ts';
