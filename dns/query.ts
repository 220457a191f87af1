/**
 * A query as it came, taken apart by the codec and checked. What is wrong with it decides between
 * silence and an error code. Source: RFC 1035 4.1, RFC 6891, RFC 9619 (one question).
 */
import { type DecodedPacket, decode } from 'dns-packet';
import { canonical } from './domain-name.js';

export const HEADER_BYTES = 12;
/** Every transport takes this much. */
export const MIN_UDP_BYTES = 512;

export type Rcode = keyof typeof RCODES;
/** RFC 1035 4.1.1; BADVERS (RFC 6891) has its upper bits in the OPT record. */
export const RCODES = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  BADVERS: 16,
} as const;

export interface Query {
  readonly id: number;
  /** Second half of the header's first word, QR excluded. */
  readonly flags: number;
  /** Canonical. */
  readonly name: string;
  /** As the codec spells it. */
  readonly type: string;
  readonly class: string;
  /** Bytes of the question, for the answer to repeat. */
  readonly question: Uint8Array;
  readonly edns: { readonly udpBytes: number } | null;
}

export type ParsedQuery =
  | { readonly kind: 'query'; readonly query: Query }
  /** To be answered with nothing but a code, and the question where it could be read. */
  | { readonly kind: 'error'; readonly rcode: Rcode; readonly query: Query }
  | { readonly kind: 'ignore'; readonly reason: 'short' | 'response' };

/** The root as name, type, class, TTL and no data. */
const MIN_RECORD_BYTES = 11;
const QR = 0x8000;
const OPCODE = 0x7800;

/** Never throws. */
export function parseQuery(bytes: Buffer): ParsedQuery {
  if (bytes.length < HEADER_BYTES) return { kind: 'ignore', reason: 'short' };
  const flags = bytes.readUInt16BE(2);
  // Answering answers would let two servers talk to each other for ever.
  if ((flags & QR) !== 0) return { kind: 'ignore', reason: 'response' };
  const blank: Query = {
    id: bytes.readUInt16BE(0),
    flags,
    name: '.',
    type: 'NONE',
    class: 'IN',
    question: new Uint8Array(0),
    edns: null,
  };
  const error = (rcode: Rcode, query = blank): ParsedQuery => ({ kind: 'error', rcode, query });
  if ((flags & OPCODE) !== 0) return error('NOTIMP');
  if (bytes.readUInt16BE(4) !== 1) return error('FORMERR');
  const questionEnd = endOfQuestion(bytes);
  if (questionEnd === null || !hasRoomForRecords(bytes, questionEnd)) return error('FORMERR');
  let packet: DecodedPacket;
  try {
    packet = decode(bytes);
  } catch {
    // The codec throws plain errors and, beyond the end of the bytes, range errors.
    return error('FORMERR');
  }
  const [asked] = packet.questions ?? [];
  if (asked === undefined) return error('FORMERR');
  const opts = (packet.additionals ?? []).filter((record) => record.type === 'OPT');
  const opt = opts[0];
  if (opts.length > 1) return error('FORMERR');
  const query: Query = {
    ...blank,
    name: canonical(asked.name),
    type: asked.type,
    class: asked.class ?? 'IN',
    question: Buffer.from(bytes.subarray(HEADER_BYTES, questionEnd)),
    edns: opt?.type === 'OPT' ? { udpBytes: Math.max(MIN_UDP_BYTES, opt.udpPayloadSize) } : null,
  };
  if (opt?.type === 'OPT' && opt.ednsVersion > 0) return error('BADVERS', query);
  if (query.class !== 'IN' && query.class !== 'ANY') return error('REFUSED', query);
  return { kind: 'query', query };
}

/** The codec makes lists of the lengths that the header claims, before it looks for the records. */
function hasRoomForRecords(bytes: Buffer, start: number): boolean {
  const count = bytes.readUInt16BE(6) + bytes.readUInt16BE(8) + bytes.readUInt16BE(10);
  return start + count * MIN_RECORD_BYTES <= bytes.length;
}

/**
 * A question has nothing before it to point back to. A label with a dot inside would be taken for
 * two by everything that handles names as text, so that such names are refused here, too.
 */
function endOfQuestion(bytes: Buffer): number | null {
  let at = HEADER_BYTES;
  for (;;) {
    const length = bytes[at];
    if (length === undefined || length > 63) return null;
    if (length === 0) break;
    if (bytes.subarray(at + 1, at + 1 + length).includes(0x2e)) return null;
    at += 1 + length;
    if (at - HEADER_BYTES > 254) return null;
  }
  return at + 5 <= bytes.length ? at + 5 : null;
}
