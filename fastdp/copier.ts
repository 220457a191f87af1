/**
 * Copies between buffers without making an object: where both lie in one memory, within it; short
 * runs byte by byte; only else by way of a view.
 */
import { copyBytes } from './wire.js';

/** Up to here a loop is faster than the call. */
const LOOP_BYTES = 64;

export class Copier {
  /** The whole memory that copies are cheapest in. */
  readonly #memory: Uint8Array;
  // Where the arrays asked about last begin in that memory; −1: elsewhere. Asking an array for its
  // memory is slow, so each is asked once while it is in use.
  #from: Uint8Array | null = null;
  #fromBase = -1;
  #to: Uint8Array | null = null;
  #toBase = -1;

  /** @param home any array in that memory. */
  constructor(home: Uint8Array) {
    this.#memory = new Uint8Array(home.buffer);
  }

  /** The ranges may not overlap. */
  copy(
    from: Uint8Array,
    fromOffset: number,
    to: Uint8Array,
    toOffset: number,
    count: number,
  ): void {
    if (count <= LOOP_BYTES) {
      for (let i = 0; i < count; i++) to[toOffset + i] = from[fromOffset + i] as number;
      return;
    }
    if (from !== this.#from) {
      this.#from = from;
      this.#fromBase = this.#baseOf(from);
    }
    if (to !== this.#to) {
      this.#to = to;
      this.#toBase = this.#baseOf(to);
    }
    if (this.#fromBase < 0 || this.#toBase < 0) {
      copyBytes(from, fromOffset, to, toOffset, count);
      return;
    }
    const start = this.#fromBase + fromOffset;
    this.#memory.copyWithin(this.#toBase + toOffset, start, start + count);
  }

  #baseOf(bytes: Uint8Array): number {
    return bytes.buffer === this.#memory.buffer ? bytes.byteOffset : -1;
  }
}
