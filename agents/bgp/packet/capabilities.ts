// OPEN capabilities (RFC 5492): one table row per code; a code without a row, or with a value that does not fit its row,
// stays opaque, as an unknown capability is never an error.

import { ByteReader, ByteWriter } from './bytes.ts';
import { CapabilityCode } from './iana.ts';

/** A family in the graceful restart capability (RFC 4724 §3). */
export interface GracefulRestartFamily {
  readonly afi: number;
  readonly safi: number;
  /** F bit: forwarding state was kept over the restart. */
  readonly forwardingKept: boolean;
}

/** RFC 8950 §4: prefixes of the first family may have next hops of the second. */
export interface ExtendedNextHopFamily {
  readonly afi: number;
  readonly safi: number;
  readonly nextHopAfi: number;
}

/** RFC 7911 §4: what the sender is able to do with several paths of one prefix. */
export interface AddPathFamily {
  readonly afi: number;
  readonly safi: number;
  readonly receive: boolean;
  readonly send: boolean;
}

/** RFC 9494 §3 */
export interface LongLivedFamily {
  readonly afi: number;
  readonly safi: number;
  readonly forwardingKept: boolean;
  /** 24 bits. */
  readonly staleTimeSeconds: number;
}

export type Capability =
  | { readonly type: 'multiprotocol'; readonly afi: number; readonly safi: number }
  | { readonly type: 'routeRefresh' }
  | { readonly type: 'extendedNextHop'; readonly families: readonly ExtendedNextHopFamily[] }
  | { readonly type: 'extendedMessage' }
  /** `role`: a number of `Role`, or one that is not assigned. */
  | { readonly type: 'role'; readonly role: number }
  | {
      readonly type: 'gracefulRestart';
      /** R bit: the sender has restarted. */
      readonly restarted: boolean;
      /** N bit: NOTIFICATIONs are followed by a graceful restart too (RFC 8538 §2). */
      readonly notification: boolean;
      /** 0 to 4095. */
      readonly restartTimeSeconds: number;
      readonly families: readonly GracefulRestartFamily[];
    }
  | { readonly type: 'fourOctetAs'; readonly asn: number }
  | { readonly type: 'addPath'; readonly families: readonly AddPathFamily[] }
  | { readonly type: 'enhancedRouteRefresh' }
  /** Decoded for display; bgpd does not offer it. */
  | { readonly type: 'longLivedGracefulRestart'; readonly families: readonly LongLivedFamily[] }
  | { readonly type: 'unknown'; readonly code: number; readonly value: Uint8Array };
type Known = Exclude<Capability, { type: 'unknown' }>;
type CapabilityOf<T extends Known['type']> = Extract<Known, { type: T }>;

interface Row<C> {
  readonly code: number;
  readonly read: (reader: ByteReader) => C;
  readonly write: (capability: C, writer: ByteWriter) => void;
}
type Table = { readonly [T in Known['type']]: Row<CapabilityOf<T>> };

const FORWARDING_KEPT = 0x80;
const ADD_PATH_RECEIVE = 1;
const ADD_PATH_SEND = 2;

const table: Table = {
  // RFC 4760 §8: AFI, a reserved octet, SAFI
  multiprotocol: {
    code: CapabilityCode.multiprotocol,
    read: (r) => ({ type: 'multiprotocol', afi: r.u16(), safi: r.u16() & 0xff }),
    write: ({ afi, safi }, w) => void w.u16(afi).u16(safi),
  },
  // RFC 2918 §2
  routeRefresh: flag(CapabilityCode.routeRefresh, 'routeRefresh'),
  // RFC 8950 §4: the SAFI has two octets here
  extendedNextHop: {
    code: CapabilityCode.extendedNextHop,
    read: (r) => ({
      type: 'extendedNextHop',
      families: readAll(r, () => ({ afi: r.u16(), safi: r.u16(), nextHopAfi: r.u16() })),
    }),
    write: ({ families }, w) => {
      for (const { afi, safi, nextHopAfi } of families) w.u16(afi).u16(safi).u16(nextHopAfi);
    },
  },
  // RFC 8654 §3
  extendedMessage: flag(CapabilityCode.extendedMessage, 'extendedMessage'),
  // RFC 9234 §4.1
  role: {
    code: CapabilityCode.role,
    read: (r) => ({ type: 'role', role: r.u8() }),
    write: ({ role }, w) => void w.u8(role),
  },
  // RFC 4724 §3, RFC 8538 §2
  gracefulRestart: {
    code: CapabilityCode.gracefulRestart,
    read: readGracefulRestart,
    write: (capability, w) => {
      const bits = (capability.restarted ? 0x8000 : 0) | (capability.notification ? 0x4000 : 0);
      w.u16(bits | (capability.restartTimeSeconds & 0xfff));
      for (const family of capability.families) {
        w.u16(family.afi)
          .u8(family.safi)
          .u8(family.forwardingKept ? FORWARDING_KEPT : 0);
      }
    },
  },
  // RFC 6793 §3
  fourOctetAs: {
    code: CapabilityCode.fourOctetAs,
    read: (r) => ({ type: 'fourOctetAs', asn: r.u32() }),
    write: ({ asn }, w) => void w.u32(asn),
  },
  addPath: {
    code: CapabilityCode.addPath,
    read: readAddPath,
    write: ({ families }, w) => {
      for (const { afi, safi, receive, send } of families) {
        w.u16(afi)
          .u8(safi)
          .u8((receive ? ADD_PATH_RECEIVE : 0) | (send ? ADD_PATH_SEND : 0));
      }
    },
  },
  // RFC 7313 §3.1
  enhancedRouteRefresh: flag(CapabilityCode.enhancedRouteRefresh, 'enhancedRouteRefresh'),
  longLivedGracefulRestart: {
    code: CapabilityCode.longLivedGracefulRestart,
    read: (r) => ({
      type: 'longLivedGracefulRestart',
      families: readAll(r, () => ({
        afi: r.u16(),
        safi: r.u8(),
        forwardingKept: (r.u8() & FORWARDING_KEPT) !== 0,
        staleTimeSeconds: r.u8() * 0x10000 + r.u16(),
      })),
    }),
    write: ({ families }, w) => {
      for (const { afi, safi, forwardingKept, staleTimeSeconds } of families) {
        w.u16(afi)
          .u8(safi)
          .u8(forwardingKept ? FORWARDING_KEPT : 0)
          .u8(staleTimeSeconds >>> 16)
          .u16(staleTimeSeconds & 0xffff);
      }
    },
  },
};
const rowByCode = new Map<number, Row<Known>>(
  Object.values(table).map((row) => [row.code, row as Row<Known>]),
);

/** A capability with its two-octet header. */
export function decodeCapability(reader: ByteReader): Capability {
  const code = reader.u8();
  const value = reader.bytes(reader.u8());
  const unknown: Capability = { type: 'unknown', code, value };
  const row = rowByCode.get(code);
  if (row === undefined) return unknown;
  let isShort = false;
  const body = new ByteReader(value, () => {
    isShort = true;
    return new Error('capability value too short');
  });
  try {
    const capability = row.read(body);
    return body.remaining === 0 ? capability : unknown;
  } catch (error) {
    if (isShort) return unknown;
    throw error;
  }
}

export function encodeCapability(capability: Capability, writer: ByteWriter): void {
  if (capability.type === 'unknown') {
    writer.u8(capability.code).u8(capability.value.length).raw(capability.value);
    return;
  }
  const row = table[capability.type] as Row<Known>;
  const body = new ByteWriter();
  row.write(capability, body);
  const value = body.finish();
  writer.u8(row.code).u8(value.length).raw(value);
}

/** The first capability of that type: repeats say nothing new (RFC 5492 §4), but for graceful restart (RFC 4724 §3). */
export function findCapability<T extends Known['type']>(
  capabilities: readonly Capability[],
  type: T,
): CapabilityOf<T> | undefined {
  return capabilities.find((capability): capability is CapabilityOf<T> => capability.type === type);
}

function readGracefulRestart(reader: ByteReader): CapabilityOf<'gracefulRestart'> {
  const bits = reader.u16();
  const families = readAll(reader, () => ({
    afi: reader.u16(),
    safi: reader.u8(),
    forwardingKept: (reader.u8() & FORWARDING_KEPT) !== 0,
  }));
  return {
    type: 'gracefulRestart',
    restarted: (bits & 0x8000) !== 0,
    notification: (bits & 0x4000) !== 0,
    restartTimeSeconds: bits & 0xfff,
    families,
  };
}

/** Tuples that say neither receive, send nor both are passed over (RFC 7911 §4). */
function readAddPath(reader: ByteReader): CapabilityOf<'addPath'> {
  const families = readAll(reader, () => ({ afi: reader.u16(), safi: reader.u8(), mode: reader.u8() }))
    .filter(({ mode }) => mode >= ADD_PATH_RECEIVE && mode <= (ADD_PATH_RECEIVE | ADD_PATH_SEND))
    .map(({ afi, safi, mode }) => ({
      afi,
      safi,
      receive: (mode & ADD_PATH_RECEIVE) !== 0,
      send: (mode & ADD_PATH_SEND) !== 0,
    }));
  return { type: 'addPath', families };
}

function readAll<T>(reader: ByteReader, readOne: () => T): T[] {
  const elements: T[] = [];
  while (reader.remaining > 0) elements.push(readOne());
  return elements;
}

/** A capability that is nothing but there. */
function flag<T extends 'routeRefresh' | 'extendedMessage' | 'enhancedRouteRefresh'>(
  code: number,
  type: T,
): Row<{ readonly type: T }> {
  return { code, read: () => ({ type }), write: () => undefined };
}
