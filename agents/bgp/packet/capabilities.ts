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

export type Capability =
  | { readonly type: 'multiprotocol'; readonly afi: number; readonly safi: number }
  | { readonly type: 'routeRefresh' }
  | { readonly type: 'extendedMessage' }
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
  | { readonly type: 'unknown'; readonly code: number; readonly value: Uint8Array };
type Known = Exclude<Capability, { type: 'unknown' }>;
type CapabilityOf<T extends Known['type']> = Extract<Known, { type: T }>;

interface Row<C> {
  readonly code: number;
  readonly read: (reader: ByteReader) => C;
  readonly write: (capability: C, writer: ByteWriter) => void;
}
type Table = { readonly [T in Known['type']]: Row<CapabilityOf<T>> };

const table: Table = {
  // RFC 4760 §8: AFI, a reserved octet, SAFI
  multiprotocol: {
    code: CapabilityCode.multiprotocol,
    read: (r) => ({ type: 'multiprotocol', afi: r.u16(), safi: r.u16() & 0xff }),
    write: ({ afi, safi }, w) => void w.u16(afi).u16(safi),
  },
  // RFC 2918 §2
  routeRefresh: {
    code: CapabilityCode.routeRefresh,
    read: () => ({ type: 'routeRefresh' }),
    write: () => undefined,
  },
  // RFC 8654 §3
  extendedMessage: {
    code: CapabilityCode.extendedMessage,
    read: () => ({ type: 'extendedMessage' }),
    write: () => undefined,
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
          .u8(family.forwardingKept ? 0x80 : 0);
      }
    },
  },
  // RFC 6793 §3
  fourOctetAs: {
    code: CapabilityCode.fourOctetAs,
    read: (r) => ({ type: 'fourOctetAs', asn: r.u32() }),
    write: ({ asn }, w) => void w.u32(asn),
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

/** The first capability of that type: repeats say nothing new (RFC 5492 §4). */
export function findCapability<T extends Known['type']>(
  capabilities: readonly Capability[],
  type: T,
): CapabilityOf<T> | undefined {
  return capabilities.find((capability): capability is CapabilityOf<T> => capability.type === type);
}

function readGracefulRestart(reader: ByteReader): CapabilityOf<'gracefulRestart'> {
  const bits = reader.u16();
  const families: GracefulRestartFamily[] = [];
  while (reader.remaining > 0) {
    families.push({ afi: reader.u16(), safi: reader.u8(), forwardingKept: (reader.u8() & 0x80) !== 0 });
  }
  return {
    type: 'gracefulRestart',
    restarted: (bits & 0x8000) !== 0,
    notification: (bits & 0x4000) !== 0,
    restartTimeSeconds: bits & 0xfff,
    families,
  };
}
