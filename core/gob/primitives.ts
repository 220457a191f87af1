/**
 * The primitive encodings of gob: variable-length unsigned integers and what is built on them.
 * Source: reference/wire-protocol.md 2.1.
 */
import type { ByteWriter } from '../bytes.js';
import { DecodeError } from '../errors.js';

/** Type ids that need no definition. */
export const BUILTIN = { bool: 1, int: 2, uint: 3, float: 4, bytes: 5, string: 6, complex: 7 };
/** The lowest id a definition may have. */
export const FIRST_DEFINABLE_ID = 64;
/** The lowest id a Go process hands out. */
export const FIRST_USER_ID = 65;

const TWO_32 = 2 ** 32;
const floatView = new DataView(new ArrayBuffer(8));

export function writeUint(writer: ByteWriter, value: number): void {
  if (value < 128) {
    writer.u8(value);
    return;
  }
  let count = 1;
  for (let rest = Math.floor(value / 256); rest > 0; rest = Math.floor(rest / 256)) count++;
  writer.u8(256 - count);
  for (let i = count - 1; i >= 0; i--) writer.u8(Math.floor(value / 256 ** i) % 256);
}

export function writeUintBig(writer: ByteWriter, value: bigint): void {
  if (value <= BigInt(Number.MAX_SAFE_INTEGER)) {
    writeUint(writer, Number(value));
    return;
  }
  let count = 7;
  while (value >> BigInt(8 * count) !== 0n) count++;
  writer.u8(256 - count);
  for (let i = count - 1; i >= 0; i--) writer.u8(Number((value >> BigInt(8 * i)) & 0xffn));
}

export function writeInt(writer: ByteWriter, value: bigint): void {
  writeUintBig(writer, value < 0n ? ((-value - 1n) << 1n) | 1n : value << 1n);
}

/** For type ids and lengths. */
export function writeSmallInt(writer: ByteWriter, value: number): void {
  writeUint(writer, value < 0 ? (-value - 1) * 2 + 1 : value * 2);
}

/** The double's bytes reversed, so that short fractions take few bytes. */
export function writeFloat(writer: ByteWriter, value: number): void {
  floatView.setFloat64(0, value);
  writeUintBig(writer, floatView.getBigUint64(0, true));
}

/** Reads primitives from one message; never past its end. */
export class GobReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  /** The halves of the integer read last: numbers, so that reading allocates nothing. */
  #high = 0;
  #low = 0;
  /** Elements of lists and maps made so far; see `count`. */
  #elements = 0;

  constructor(message: Uint8Array) {
    this.#bytes = message;
  }

  get offset(): number {
    return this.#at;
  }

  get remaining(): number {
    return this.#bytes.length - this.#at;
  }

  /** @throws {DecodeError} `gob-integer-range` if it does not fit a JavaScript number exactly. */
  uint(): number {
    this.#readUint();
    if (this.#high >= 2 ** 21) throw outOfRange();
    return this.#high * TWO_32 + this.#low;
  }

  uintBig(): bigint {
    this.#readUint();
    return (BigInt(this.#high) << 32n) | BigInt(this.#low);
  }

  /** True for an unsigned integer other than 0. */
  bool(): boolean {
    this.#readUint();
    return this.#high !== 0 || this.#low !== 0;
  }

  int(): bigint {
    const raw = this.uintBig();
    return (raw & 1n) === 0n ? raw >> 1n : -(raw >> 1n) - 1n;
  }

  /** A signed integer within 32 bits: type ids. */
  smallInt(): number {
    const raw = this.uint();
    if (raw >= TWO_32) throw outOfRange();
    return raw % 2 === 0 ? raw / 2 : -(raw - 1) / 2 - 1;
  }

  float(): number {
    floatView.setBigUint64(0, this.uintBig(), true);
    return floatView.getFloat64(0);
  }

  /** A byte count and that many bytes, as a view. */
  bytes(): Uint8Array {
    const length = this.uint();
    if (length > this.remaining) {
      throw new DecodeError('truncated', `${length} bytes announced, ${this.remaining} left`);
    }
    const start = this.#at;
    this.#at += length;
    return this.#bytes.subarray(start, this.#at);
  }

  /**
   * The element count of a list or map. Every element takes at least one byte, so a count above
   * what is left is a lie; and all counts of a message together are limited, because a one-byte
   * element may become an object a hundred times as large.
   * @throws {DecodeError} `gob-count`
   */
  count(limit: number): number {
    const count = this.uint();
    this.#elements += count;
    if (count > this.remaining || this.#elements > limit) {
      throw new DecodeError(
        'gob-count',
        `${count} elements announced, ${this.remaining} bytes left`,
      );
    }
    return count;
  }

  #readUint(): void {
    const first = this.#byte();
    this.#high = 0;
    this.#low = first;
    if (first < 128) return;
    const count = 256 - first;
    if (count > 8) throw outOfRange();
    this.#low = 0;
    for (let i = 0; i < count; i++) {
      this.#high = ((this.#high << 8) | (this.#low >>> 24)) >>> 0;
      this.#low = ((this.#low << 8) | this.#byte()) >>> 0;
    }
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) throw new DecodeError('truncated', 'gob message ends in a value');
    this.#at++;
    return byte;
  }
}

export function outOfRange(): DecodeError {
  return new DecodeError('gob-integer-range', 'gob integer is out of range');
}
