/**
 * Replay protection for datagrams numbered from 0 under one key: a ring of bits that follows the
 * highest number seen. Checking and noting are separate, since a replay should be refused before
 * the work of opening it, and a forgery must not be noted. Source: RFC 6479.
 */
const BITS = 1 << 17;
const WORDS = BITS / 32;
const WORD_MASK = WORDS - 1;
/** Numbers remembered up to the highest; a word less than the ring, as words are cleared whole. */
export const WINDOW_SPAN = BITS - 32;

/** Numbers are unsigned 32-bit. */
export class SlidingWindow {
  /** 16 KiB, made for the first number: a key that is never used costs nothing. */
  #words: Uint32Array | null = null;
  /** One above the highest number noted. */
  #next = 0;

  /** @returns false for a number that was noted, or is too old to tell. */
  isFresh(number: number): boolean {
    if (number >= this.#next) return true;
    if (this.#next - number > WINDOW_SPAN) return false;
    const words = this.#words as Uint32Array;
    const word = words[(number >>> 5) & WORD_MASK] as number;
    return (word & (1 << (number & 31))) === 0;
  }

  /** Notes a number whose datagram has proven genuine. Only for one that is fresh. */
  note(number: number): void {
    this.#words ??= new Uint32Array(WORDS);
    const words = this.#words;
    if (number >= this.#next) {
      // The word of the highest number is in use; those behind it hold what is a whole ring older.
      const top = this.#next === 0 ? -1 : (this.#next - 1) >>> 5;
      const last = number >>> 5;
      for (let i = Math.max(top + 1, last - WORD_MASK); i <= last; i++) words[i & WORD_MASK] = 0;
      this.#next = number + 1;
    }
    const at = (number >>> 5) & WORD_MASK;
    words[at] = (words[at] as number) | (1 << (number & 31));
  }
}
