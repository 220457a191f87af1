/**
 * Remembers which sequence numbers of one direction and DF class were seen. The number line is cut
 * into windows of 2^20; the current one and the one before it are remembered exactly, everything
 * older is refused. Source: reference/wire-protocol.md 10.5.
 *
 * Bitmaps come in pages of 2 KiB, made when a number falls into them and used again when a window
 * is left, so an idle connection costs one page and a busy one at most 256 KiB a class.
 */
const WINDOW_BITS = 20;
const PAGE_BITS = 14;
const PAGES_PER_WINDOW = 1 << (WINDOW_BITS - PAGE_BITS);
const WORDS_PER_PAGE = (1 << PAGE_BITS) / 32;

/** BOUNDED by the 64 pages of a window. */
type Pages = (Uint32Array | undefined)[];

export class ReplayWindow {
  #current = 0;
  #used: Pages = new Array(PAGES_PER_WINDOW).fill(undefined);
  /** Null until the window has moved once. */
  #previous: Pages | null = null;
  /** Cleared pages. BOUNDED by the pages of two windows, as only those are ever made. */
  readonly #spare: Uint32Array[] = [];

  /**
   * Takes note of a number whose datagram has proven genuine.
   * @param high31 bits 32 to 62 of the sequence, @param low32 the rest.
   * @returns false for a duplicate or for one too old to tell.
   */
  accept(high31: number, low32: number): boolean {
    const window = high31 * 4096 + (low32 >>> WINDOW_BITS);
    const ahead = window - this.#current;
    let pages = this.#used;
    if (ahead < 0) {
      if (ahead < -1 || this.#previous === null) return false;
      pages = this.#previous;
    } else if (ahead > 0) {
      pages = this.#advance(window, ahead === 1);
    }
    const page = (low32 >>> PAGE_BITS) & (PAGES_PER_WINDOW - 1);
    let words = pages[page];
    if (words === undefined) {
      words = this.#spare.pop() ?? new Uint32Array(WORDS_PER_PAGE);
      pages[page] = words;
    }
    const word = (low32 >>> 5) & (WORDS_PER_PAGE - 1);
    const bit = 1 << (low32 & 31);
    const bits = words[word] as number;
    if ((bits & bit) !== 0) return false;
    words[word] = bits | bit;
    return true;
  }

  /** Moves on; the window before the new one is ours only if it is the one just left. */
  #advance(window: number, adjacent: boolean): Pages {
    const fresh = this.#previous ?? new Array(PAGES_PER_WINDOW).fill(undefined);
    this.#recycle(fresh);
    this.#previous = this.#used;
    if (!adjacent) this.#recycle(this.#previous);
    this.#used = fresh;
    this.#current = window;
    return fresh;
  }

  #recycle(pages: Pages): void {
    for (let i = 0; i < PAGES_PER_WINDOW; i++) {
      const words = pages[i];
      if (words === undefined) continue;
      words.fill(0);
      this.#spare.push(words);
      pages[i] = undefined;
    }
  }
}
