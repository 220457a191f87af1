/** The Internet checksum. Source: RFC 1071. */
import { readU16 } from './wire.js';

/** Adds 16-bit words to a running sum; an odd last byte counts as the high half of a word. */
export function checksumAdd(
  sum: number,
  buffer: Uint8Array,
  offset: number,
  bytes: number,
): number {
  let total = sum;
  const even = offset + (bytes & ~1);
  for (let at = offset; at < even; at += 2) total += readU16(buffer, at);
  if ((bytes & 1) === 1) total += (buffer[even] as number) << 8;
  return total;
}

/** Folds the carries and complements: the value for the header field. */
export function checksumFinish(sum: number): number {
  return ~foldSum(sum) & 0xffff;
}

/** Carries of a running sum (below 2^48) folded into 16 bits; not complemented. */
export function foldSum(sum: number): number {
  let folded = sum;
  if (folded > 0xffff_ffff) folded = (folded % 0x1_0000) + Math.floor(folded / 0x1_0000);
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}

/**
 * Sum of 16-bit big-endian words, carries folded to 16 bits once. Reads eight bytes at a time in
 * little-endian order, since a ones' complement sum may be byte-swapped at the end (RFC 1071
 * section 2B). An odd last byte counts as the high half of a word.
 */
export function sumWords(view: DataView, offset: number, bytes: number): number {
  let low = 0;
  let high = 0;
  let at = offset;
  const end = offset + bytes;
  // At most 2^14 steps of 2^17 each before 31 bits are full: 128 KiB, twice the largest frame.
  for (const last = end - 8; at <= last; at += 8) {
    const a = view.getInt32(at, true);
    const b = view.getInt32(at + 4, true);
    low = (low + (a & 0xffff) + (b & 0xffff)) | 0;
    high = (high + (a >>> 16) + (b >>> 16)) | 0;
  }
  let sum = low + high;
  for (; at + 1 < end; at += 2) sum += view.getUint16(at, true);
  if (at < end) sum += view.getUint8(at);
  const folded = foldSum(sum);
  return ((folded & 0xff) << 8) | (folded >>> 8);
}

/**
 * Completes a transport checksum whose field holds the sum of the pseudo header.
 * @param offset of the transport header. @param bytes of header and payload.
 */
export function completeChecksum(
  view: DataView,
  offset: number,
  bytes: number,
  fieldOffset: number,
): void {
  const sum = sumWords(view, offset, bytes);
  // Zero means "none" in UDP; its equal in ones' complement is always right.
  view.setUint16(offset + fieldOffset, ~sum & 0xffff || 0xffff);
}

/** The view of the buffer asked for last; the few in use come in runs. */
export class ViewCache {
  readonly #views = new WeakMap<Uint8Array, DataView>();
  #last: Uint8Array | null = null;
  #lastView: DataView = new DataView(new ArrayBuffer(0));

  of(buffer: Uint8Array): DataView {
    if (buffer === this.#last) return this.#lastView;
    let view = this.#views.get(buffer);
    if (view === undefined) {
      view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
      this.#views.set(buffer, view);
    }
    this.#last = buffer;
    this.#lastView = view;
    return view;
  }
}
