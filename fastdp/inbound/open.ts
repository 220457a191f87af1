/**
 * Second stage inwards: opens the box and refuses what was seen before. The plaintext stays in
 * the receive buffer, at `offset + link.overheadBytes`.
 * Source: reference/wire-protocol.md 10.3 step 2, 10.4, 10.5.
 */
import { SEAL_OVERHEAD_BYTES } from '../../core/nacl.js';
import { DropReason } from '../drop-reason.js';
import { type Link, NONCE_SEQUENCE_OFFSET } from '../link.js';
import type { Secretbox } from '../ports.js';
import { BOX_OFFSET, readU32, SEQUENCE_OFFSET, writeU32 } from '../wire.js';

/**
 * @param bytes of the whole datagram, at least a sender name; changed in place if sealed.
 * @returns `none`, `datagramTooShort`, `forged` or `replayed`. Nothing changes for a forged one.
 */
export function openDatagram(
  link: Link,
  secretbox: Secretbox,
  buffer: Uint8Array,
  offset: number,
  bytes: number,
): DropReason {
  if (link.key === null) return DropReason.none;
  const boxBytes = bytes - BOX_OFFSET;
  if (boxBytes < SEAL_OVERHEAD_BYTES) return DropReason.datagramTooShort;
  const high = readU32(buffer, offset + SEQUENCE_OFFSET);
  const low = readU32(buffer, offset + SEQUENCE_OFFSET + 4);
  const nonce = link.receiveNonce;
  writeU32(nonce, NONCE_SEQUENCE_OFFSET, high);
  writeU32(nonce, NONCE_SEQUENCE_OFFSET + 4, low);
  if (!secretbox.open(buffer, offset + BOX_OFFSET, boxBytes, nonce, link.key)) {
    return DropReason.forged;
  }
  // The field tells the class, not the IP header's flag, which a router on the way may clear.
  const window = high >>> 31 === 1 ? link.replayDf : link.replayNonDf;
  return window.accept(high & 0x7fff_ffff, low) ? DropReason.none : DropReason.replayed;
}
