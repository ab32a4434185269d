// The five BGP messages as one union: octets to value and back (RFC 4271 §4).

import type { CodecContext } from './context.ts';
import { frame, HEADER_LENGTH, TYPE_OFFSET } from './header.ts';
import { MessageType } from './iana.ts';
import { decodeNotification, encodeNotification, type NotificationMessage } from './notification.ts';
import { decodeOpen, encodeOpen, type OpenMessage } from './open.ts';
import { decodeRouteRefresh, encodeRouteRefresh, type RouteRefreshMessage } from './route-refresh.ts';
import { decodeUpdate, encodeUpdate, type UpdateMessage } from './update.ts';

export interface KeepaliveMessage {
  readonly type: 'keepalive';
}
export type Message =
  | OpenMessage
  | UpdateMessage
  | NotificationMessage
  | KeepaliveMessage
  | RouteRefreshMessage;

/** Decodes one whole message, header included, as framed by `readHeader`. Throws DecodeError and nothing else. */
export function decodeMessage(octets: Uint8Array, context: CodecContext): Message {
  const body = octets.subarray(HEADER_LENGTH);
  switch (octets[TYPE_OFFSET]) {
    case MessageType.open:
      return decodeOpen(body);
    case MessageType.update:
      return decodeUpdate(body, context);
    case MessageType.notification:
      return decodeNotification(body);
    case MessageType.routeRefresh:
      return decodeRouteRefresh(octets, context);
    default:
      return { type: 'keepalive' };
  }
}

export function encodeMessage(message: Message, context: CodecContext): Uint8Array {
  switch (message.type) {
    case 'open':
      return frame(MessageType.open, encodeOpen(message));
    case 'update':
      return frame(MessageType.update, encodeUpdate(message, context));
    case 'notification':
      return frame(
        MessageType.notification,
        encodeNotification(message, context.maxMessageLength - HEADER_LENGTH),
      );
    case 'routeRefresh':
      return frame(MessageType.routeRefresh, encodeRouteRefresh(message));
    case 'keepalive':
      return frame(MessageType.keepalive, new Uint8Array());
  }
}
