/**
 * Second stage inwards: opens the datagram and refuses what was seen before. The plaintext stays
 * in the receive buffer, at `offset + link.headerBytes`.
 * Source: reference/wire-protocol.md 10.3 step 2, 10.4, 10.5.
 */
import { DropReason } from '../drop-reason.js';
import { type Link, NONCE_SEQUENCE_OFFSET } from '../link.js';
import type { Secretbox } from '../ports.js';
import { BOX_OFFSET, readU32, SEQUENCE_OFFSET, writeU32 } from '../wire.js';

/**
 * @param bytes of the whole datagram, at least a sender name; changed in place if sealed.
 * @returns `none`, `datagramTooShort`, `epochUnknown`, `forged` or `replayed`. Nothing is noted for
 *   a forged one.
 */
export function openDatagram(
  link: Link,
  secretbox: Secretbox,
  buffer: Uint8Array,
  offset: number,
  bytes: number,
  nowMs: number,
): DropReason {
  if (bytes < link.overheadBytes) return DropReason.datagramTooShort;
  if (link.receiveKeys !== null) return link.receiveKeys.open(buffer, offset, bytes, nowMs);
  return link.key === null
    ? DropReason.none
    : openBox(link, link.key, secretbox, buffer, offset, bytes);
}

function openBox(
  link: Link,
  key: Uint8Array,
  secretbox: Secretbox,
  buffer: Uint8Array,
  offset: number,
  bytes: number,
): DropReason {
  const boxBytes = bytes - BOX_OFFSET;
  const high = readU32(buffer, offset + SEQUENCE_OFFSET);
  const low = readU32(buffer, offset + SEQUENCE_OFFSET + 4);
  const nonce = link.receiveNonce;
  writeU32(nonce, NONCE_SEQUENCE_OFFSET, high);
  writeU32(nonce, NONCE_SEQUENCE_OFFSET + 4, low);
  if (!secretbox.open(buffer, offset + BOX_OFFSET, boxBytes, nonce, key)) {
    return DropReason.forged;
  }
  // The field tells the class, not the IP header's flag, which a router on the way may clear.
  const window = high >>> 31 === 1 ? link.replayDf : link.replayNonDf;
  return window.accept(high & 0x7fff_ffff, low) ? DropReason.none : DropReason.replayed;
}
