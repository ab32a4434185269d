// OPEN message (RFC 4271 §4.2, RFC 5492, extended optional parameters of RFC 9072). Decoding checks form only;
// fsm/negotiate.ts judges the content against the configured peer.

import { ByteReader, ByteWriter } from './bytes.ts';
import { type Capability, decodeCapability, encodeCapability, findCapability } from './capabilities.ts';
import { DecodeError, notification } from './errors.ts';
import { AS_TRANS, ErrorCode, OpenSubcode } from './iana.ts';

const BGP_VERSION = 4;
const CAPABILITIES_PARAMETER = 2;
const EXTENDED_PARAMETERS = 255;

export interface OpenMessage {
  readonly type: 'open';
  /** The two-octet field: 23456 if the AS number needs four octets. */
  readonly myAs: number;
  /** 0 to 65535; 0 means no timers. */
  readonly holdTimeSeconds: number;
  /** Unsigned 32 bits. */
  readonly bgpIdentifier: number;
  readonly capabilities: readonly Capability[];
  /** Types of optional parameters other than capabilities; each is an error, judged after AS and identifier. */
  readonly unsupportedParameters: readonly number[];
}

/** The speaker's AS number: capability 65 if there (RFC 6793), else the two-octet field. */
export function openAsn(open: OpenMessage): number {
  return findCapability(open.capabilities, 'fourOctetAs')?.asn ?? open.myAs;
}

/** An OPEN for this AS; `myAs` is filled in. */
export function openMessage(
  fields: Pick<OpenMessage, 'holdTimeSeconds' | 'bgpIdentifier' | 'capabilities'> & { readonly asn: number },
): OpenMessage {
  return {
    type: 'open',
    myAs: fields.asn > 0xffff ? AS_TRANS : fields.asn,
    holdTimeSeconds: fields.holdTimeSeconds,
    bgpIdentifier: fields.bgpIdentifier,
    capabilities: fields.capabilities,
    unsupportedParameters: [],
  };
}

export function decodeOpen(body: Uint8Array): OpenMessage {
  const reader = new ByteReader(body, malformed);
  const version = reader.u8();
  if (version !== BGP_VERSION) {
    const supported = Uint8Array.of(0, BGP_VERSION);
    throw new DecodeError(
      notification(ErrorCode.openMessage, OpenSubcode.unsupportedVersion, supported),
      `version ${version}`,
    );
  }
  const myAs = reader.u16();
  const holdTimeSeconds = reader.u16();
  const bgpIdentifier = reader.u32();
  const { parameters, lengthOctets } = parameterReader(reader);
  const capabilities: Capability[] = [];
  const unsupportedParameters: number[] = [];
  while (parameters.remaining > 0) {
    const type = parameters.u8();
    const value = parameters.slice(lengthOctets === 1 ? parameters.u8() : parameters.u16());
    if (type !== CAPABILITIES_PARAMETER) unsupportedParameters.push(type);
    else while (value.remaining > 0) capabilities.push(decodeCapability(value));
  }
  return { type: 'open', myAs, holdTimeSeconds, bgpIdentifier, capabilities, unsupportedParameters };
}

/** RFC 9072 §2: length 255 followed by type 255 announces a 16-bit total length and 16-bit parameter lengths. */
function parameterReader(reader: ByteReader): {
  readonly parameters: ByteReader;
  readonly lengthOctets: 1 | 2;
} {
  const length = reader.u8();
  if (length > 0 && reader.remaining > 0) {
    const rest = reader.rest();
    const isExtended = rest[0] === EXTENDED_PARAMETERS;
    const again = new ByteReader(rest, malformed);
    if (isExtended) again.u8();
    const total = isExtended ? again.u16() : length;
    if (total !== again.remaining) throw malformed();
    return { parameters: again, lengthOctets: isExtended ? 2 : 1 };
  }
  if (length !== reader.remaining) throw malformed();
  return { parameters: reader, lengthOctets: 1 };
}

/** All capabilities in one parameter; the extended form only where they need it. */
export function encodeOpen(open: OpenMessage): Uint8Array {
  const capabilities = new ByteWriter();
  for (const capability of open.capabilities) encodeCapability(capability, capabilities);
  const value = capabilities.finish();
  const writer = new ByteWriter()
    .u8(BGP_VERSION)
    .u16(open.myAs)
    .u16(open.holdTimeSeconds)
    .u32(open.bgpIdentifier);
  if (value.length === 0) return writer.u8(0).finish();
  if (value.length + 2 <= 255) {
    writer
      .u8(value.length + 2)
      .u8(CAPABILITIES_PARAMETER)
      .u8(value.length);
  } else {
    writer
      .u8(255)
      .u8(EXTENDED_PARAMETERS)
      .u16(value.length + 3)
      .u8(CAPABILITIES_PARAMETER)
      .u16(value.length);
  }
  return writer.raw(value).finish();
}

function malformed(): DecodeError {
  return new DecodeError(
    notification(ErrorCode.openMessage, OpenSubcode.unspecific),
    'OPEN: lengths inside do not add up',
  );
}
