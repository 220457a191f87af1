/**
 * Byte layout of a datagram. The first two are sleeve's, the third is our own.
 * Source: reference/wire-protocol.md 10.2 to 10.4; README.md, "AES-256-GCM".
 *
 *   offset  in the clear            offset  NaCl
 *   0       sender name (6)         0       sender name (6)
 *   6       record, record, ...     6       sequence u64be: bit 63 DF class, 0..62 counter
 *                                   14      Poly1305 tag (16)    \ secretbox of the
 *                                   30      record, record, ...  / records
 *
 *   offset  AES-256-GCM
 *   0       sender name (6)          authenticated
 *   6       epoch u16be              authenticated; which key
 *   8       counter u64be            in the nonce; from 0 under each key
 *   16      record, record, ...      encrypted
 *   end-16  GCM tag (16)
 *
 *   record: 0 source name (6) | 6 destination name (6) | 12 length u16be | 14 Ethernet frame
 *
 * The sender is the previous hop and selects the key; source and destination are the peers the
 * frame travels between. Names are 48-bit numbers, high 16 and low 32 bits read separately, which
 * keeps BigInt out of the hot path.
 */
import { ETHERNET_HEADER_BYTES } from '../core/limits.js';
import type { PeerName } from '../core/peer-name.js';
import type { DataCipher } from '../mesh/overlay.js';
import { DropReason } from './drop-reason.js';

export const NAME_BYTES = 6;
export const SEQUENCE_OFFSET = 6;
export const BOX_OFFSET = 14;
export const RECORD_HEADER_BYTES = 14;
export const EPOCH_OFFSET = 6;
export const COUNTER_OFFSET = 8;
export const GCM_TAG_BYTES = 16;
/** What a datagram holds before and behind its records. */
export const DATAGRAM_LAYOUTS = {
  none: { headerBytes: 6, trailerBytes: 0 },
  nacl: { headerBytes: 30, trailerBytes: 0 },
  'aes-256-gcm': { headerBytes: 16, trailerBytes: GCM_TAG_BYTES },
} as const satisfies Record<DataCipher, { headerBytes: number; trailerBytes: number }>;
/** IPv4 and UDP header of the underlay. */
export const OUTER_HEADER_BYTES = 28;
/** A record's length field has 16 bits. */
export const MAX_FRAME_BYTES = 65535;

/** Special frames are told apart by their length alone. */
export const HEARTBEAT_FRAME_BYTES = 22;
export const FRAGMENTATION_TEST_FRAME_BYTES = 60001;
/** The first DF probe; its only purpose is to make the system tell its path MTU. */
export const FIRST_PROBE_FRAME_BYTES = 60000;

const TWO_32 = 0x1_0000_0000;

/** Underlay IP packet minus overlay IP packet, if the datagram holds one frame. */
export function tunnelOverheadBytes(cipher: DataCipher): number {
  const { headerBytes, trailerBytes } = DATAGRAM_LAYOUTS[cipher];
  const inner = RECORD_HEADER_BYTES + ETHERNET_HEADER_BYTES;
  return OUTER_HEADER_BYTES + headerBytes + trailerBytes + inner;
}

export function readU16(buffer: Uint8Array, offset: number): number {
  return ((buffer[offset] as number) << 8) | (buffer[offset + 1] as number);
}

export function readU32(buffer: Uint8Array, offset: number): number {
  return (
    (((buffer[offset] as number) << 24) |
      ((buffer[offset + 1] as number) << 16) |
      ((buffer[offset + 2] as number) << 8) |
      (buffer[offset + 3] as number)) >>>
    0
  );
}

/** A peer name or a MAC address. */
export function readU48(buffer: Uint8Array, offset: number): number {
  return readU16(buffer, offset) * TWO_32 + readU32(buffer, offset + 2);
}

export function writeU16(buffer: Uint8Array, offset: number, value: number): void {
  buffer[offset] = value >>> 8;
  buffer[offset + 1] = value;
}

export function writeU32(buffer: Uint8Array, offset: number, value: number): void {
  buffer[offset] = value >>> 24;
  buffer[offset + 1] = value >>> 16;
  buffer[offset + 2] = value >>> 8;
  buffer[offset + 3] = value;
}

export function writeU48(buffer: Uint8Array, offset: number, value: number): void {
  writeU16(buffer, offset, Math.floor(value / TWO_32));
  writeU32(buffer, offset + 2, value >>> 0);
}

/** Copies between buffers. Short runs byte by byte, since a view costs more than it saves there. */
export function copyBytes(
  from: Uint8Array,
  fromOffset: number,
  to: Uint8Array,
  toOffset: number,
  count: number,
): void {
  if (count <= 32) {
    for (let i = 0; i < count; i++) to[toOffset + i] = from[fromOffset + i] as number;
    return;
  }
  to.set(from.subarray(fromOffset, fromOffset + count), toOffset);
}

/** @returns offset behind the header, where the frame goes. */
export function writeRecordHeader(
  buffer: Uint8Array,
  offset: number,
  source: PeerName,
  destination: PeerName,
  frameBytes: number,
): number {
  writeU48(buffer, offset, source);
  writeU48(buffer, offset + 6, destination);
  writeU16(buffer, offset + 12, frameBytes);
  return offset + RECORD_HEADER_BYTES;
}

/** From the header before the frame at `frameOffset`. */
export function recordSource(buffer: Uint8Array, frameOffset: number): PeerName {
  return readU48(buffer, frameOffset - RECORD_HEADER_BYTES) as PeerName;
}

export function recordDestination(buffer: Uint8Array, frameOffset: number): PeerName {
  return readU48(buffer, frameOffset - RECORD_HEADER_BYTES + NAME_BYTES) as PeerName;
}

/**
 * Receives the records of a datagram; the frame is valid only during the call. Its names stand
 * before it: most frames continue a run, whose names need not become numbers.
 */
export interface RecordSink {
  handleRecord(buffer: Uint8Array, frameOffset: number, frameBytes: number): void;
}

/**
 * Cuts a datagram's plaintext into records. What precedes an error has been delivered by then,
 * as the original does; a frame may have any length, 0 included.
 * @returns `none`, `recordTruncated` or `trailingBytes`.
 */
export function splitRecords(
  buffer: Uint8Array,
  offset: number,
  bytes: number,
  sink: RecordSink,
): DropReason {
  let at = offset;
  const end = offset + bytes;
  while (end - at >= RECORD_HEADER_BYTES) {
    const frameBytes = readU16(buffer, at + 12);
    const frameOffset = at + RECORD_HEADER_BYTES;
    if (frameBytes > end - frameOffset) return DropReason.recordTruncated;
    sink.handleRecord(buffer, frameOffset, frameBytes);
    at = frameOffset + frameBytes;
  }
  return at === end ? DropReason.none : DropReason.trailingBytes;
}
