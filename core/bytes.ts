/**
 * Bytes in network order: a bounds-checked reader for input from outside, a growing writer for
 * messages of the control plane, and small helpers. The hot path works on preallocated buffers
 * with DataView instead (see fastdp/).
 */
import { DecodeError } from './errors.js';

const HEX = /^(?:[0-9a-fA-F]{2})*$/;

/** Lower-case hex without separators. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** @throws {DecodeError} `hex-invalid` unless the text is an even number of hex digits. */
export function fromHex(text: string): Uint8Array {
  if (!HEX.test(text)) throw new DecodeError('hex-invalid', 'not a string of hex digit pairs');
  return new Uint8Array(Buffer.from(text, 'hex'));
}

export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let total = 0;
  for (const part of parts) total += part.length;
  const out = new Uint8Array(total);
  let offset = 0;
  for (const part of parts) {
    out.set(part, offset);
    offset += part.length;
  }
  return out;
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** What a view may waste of the memory behind it before `compact` copies. */
const MAX_WASTED_BYTES = 4096;

/**
 * For bytes that will wait: the same bytes, as a copy if the view would keep a buffer alive that is
 * much larger than itself.
 */
export function compact(bytes: Uint8Array): Uint8Array {
  const wasted = bytes.buffer.byteLength - bytes.length;
  return wasted > bytes.length + MAX_WASTED_BYTES ? bytes.slice() : bytes;
}

/** Overwrites key material. The engine may have copied it before; this is best effort. */
export function wipe(bytes: Uint8Array): void {
  bytes.fill(0);
}

export function utf8(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'utf8'));
}

/** Lossy like the original's: invalid sequences become U+FFFD. */
export function fromUtf8(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

/** Reads big-endian fields; every read past the end throws `truncated`. */
export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #offset: number;

  constructor(bytes: Uint8Array, offset = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#offset = offset;
  }

  get offset(): number {
    return this.#offset;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16be(): number {
    return this.#view.getUint16(this.#take(2));
  }

  u32be(): number {
    return this.#view.getUint32(this.#take(4));
  }

  /** A 48-bit number: a peer name or a MAC address. */
  u48be(): number {
    const at = this.#take(6);
    return this.#view.getUint16(at) * 0x1_0000_0000 + this.#view.getUint32(at + 2);
  }

  u64be(): bigint {
    return this.#view.getBigUint64(this.#take(8));
  }

  /** A view into the input, not a copy. */
  bytes(count: number): Uint8Array {
    const at = this.#take(count);
    return this.#bytes.subarray(at, at + count);
  }

  rest(): Uint8Array {
    return this.bytes(this.remaining);
  }

  #take(count: number): number {
    const at = this.#offset;
    if (count < 0 || count > this.#bytes.length - at) {
      throw new DecodeError(
        'truncated',
        `${count} bytes wanted at offset ${at}, ${this.#bytes.length - at} left`,
      );
    }
    this.#offset = at + count;
    return at;
  }
}

/** Collects big-endian fields. Grows by doubling; `finish` returns a copy of the exact size. */
export class ByteWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(initialBytes = 256) {
    this.#bytes = new Uint8Array(initialBytes);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): this {
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
    return this;
  }

  u16be(value: number): this {
    const at = this.#grow(2);
    this.#view.setUint16(at, value);
    return this;
  }

  u32be(value: number): this {
    const at = this.#grow(4);
    this.#view.setUint32(at, value);
    return this;
  }

  u48be(value: number): this {
    const at = this.#grow(6);
    this.#view.setUint16(at, Math.floor(value / 0x1_0000_0000));
    this.#view.setUint32(at + 2, value >>> 0);
    return this;
  }

  u64be(value: bigint): this {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, value);
    return this;
  }

  bytes(value: Uint8Array): this {
    const at = this.#grow(value.length);
    this.#bytes.set(value, at);
    return this;
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  /** Replaces the buffer, so callers must grow first and name the buffer afterwards. */
  #grow(count: number): number {
    const at = this.#length;
    const needed = at + count;
    if (needed > this.#bytes.length) {
      const next = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      next.set(this.#bytes);
      this.#bytes = next;
      this.#view = new DataView(next.buffer);
    }
    this.#length = needed;
    return at;
  }
}
