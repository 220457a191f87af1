/**
 * Messages from one thread to another through shared memory, in order, without a lock: one thread
 * writes, one reads. A message lies in one piece, so a frame is copied once on either side.
 *
 *   0     head u32: bytes ever read      written by the reader
 *   64    tail u32: bytes ever written   written by the writer
 *   128   messages: length u32, bytes, padded to a multiple of four; a length of −1 says that the
 *         rest up to the end is empty, and the next message lies at the beginning
 *
 * Head and tail count modulo 2^32, which the capacity, a power of two, divides. BOUNDED by the
 * capacity: what does not fit is refused, and the writer counts it.
 */
import { strict as assert } from 'node:assert';

const HEAD = 0;
const TAIL = 16;
const HEADER_BYTES = 128;
const LENGTH_BYTES = 4;
const SKIP = -1;

export class FrameRing {
  readonly buffer: SharedArrayBuffer;
  /** Where messages lie; offsets count from its beginning. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #words: Int32Array;
  readonly #capacity: number;
  /** The writer's: where the message in hand ends. The reader's: likewise. */
  #next = 0;

  /** @param buffer of the other thread's ring; both ends must be the only one of their kind. */
  constructor(buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#capacity = buffer.byteLength - HEADER_BYTES;
    assert(this.#capacity > 0 && (this.#capacity & (this.#capacity - 1)) === 0, 'a power of two');
    this.bytes = new Uint8Array(buffer, HEADER_BYTES);
    this.view = new DataView(buffer, HEADER_BYTES);
    this.#words = new Int32Array(buffer);
  }

  /** @param capacityBytes a power of two; the longest message has somewhat less than half of it. */
  static create(capacityBytes: number): FrameRing {
    return new FrameRing(new SharedArrayBuffer(HEADER_BYTES + capacityBytes));
  }

  /** Writer: room for a message. @returns its offset in `bytes`, or −1 if there is none. */
  reserve(byteLength: number): number {
    const head = Atomics.load(this.#words, HEAD);
    const tail = this.#words[TAIL] as number;
    const needed = LENGTH_BYTES + padded(byteLength);
    const at = tail & (this.#capacity - 1);
    const untilEnd = this.#capacity - at;
    const skipped = needed > untilEnd ? untilEnd : 0;
    const used = (tail - head) >>> 0;
    if (used + skipped + needed > this.#capacity) return -1;
    if (skipped > 0) this.view.setInt32(at, SKIP, true);
    const start = skipped > 0 ? 0 : at;
    this.view.setInt32(start, byteLength, true);
    this.#next = (tail + skipped + needed) | 0;
    return start + LENGTH_BYTES;
  }

  /** Writer: the message reserved last is complete. */
  commit(): void {
    Atomics.store(this.#words, TAIL, this.#next);
  }

  /** Reader: the oldest message. @returns its offset in `bytes`, or −1 if there is none. */
  peek(): number {
    const tail = Atomics.load(this.#words, TAIL);
    let head = this.#words[HEAD] as number;
    if (head === tail) return -1;
    let at = head & (this.#capacity - 1);
    if (this.view.getInt32(at, true) === SKIP) {
      head = (head + this.#capacity - at) | 0;
      at = 0;
    }
    this.#next = (head + LENGTH_BYTES + padded(this.view.getInt32(at, true))) | 0;
    return at + LENGTH_BYTES;
  }

  /** Reader: bytes of the message at an offset that `peek` gave. */
  lengthAt(offset: number): number {
    return this.view.getInt32(offset - LENGTH_BYTES, true);
  }

  /** Reader: the message peeked last is done with; its place may be written again. */
  release(): void {
    Atomics.store(this.#words, HEAD, this.#next);
  }
}

function padded(byteLength: number): number {
  return (byteLength + 3) & ~3;
}
