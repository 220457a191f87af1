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
  let folded = sum;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x1_0000);
  return ~folded & 0xffff;
}
