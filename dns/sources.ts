/**
 * Who is served, and how much. Strangers are not: what they send could make us throw answers at
 * others. A source that floods a busy server waits behind those that do not.
 */
import { TokenBucket } from '../core/rate-limit.js';

/** Sources remembered; beyond it all are forgotten and start anew. */
const MAX_SOURCES = 4096;
/** Judgements are made per window of this length. */
const WINDOW_MS = 100;
/** Queries in a window from which on the server counts as busy: 20,000 a second. */
const BUSY_QUERIES = 2000;
/** Of a busy window's queries that one source may have while others ask, too. */
const MAX_SHARE = 0.5;
/** Errors given to one source: so many at once, then ten a second. */
const ERROR_BURST = 20;
const ERROR_REFILL_MS = 100;

export type Admission = 'serve' | 'stranger' | 'flood';

interface Source {
  readonly isServed: boolean;
  windowStartMs: number;
  count: number;
  /** Made at the first error. */
  errors: TokenBucket | null;
}

export class Sources {
  readonly #isServed: (address: string) => boolean;
  /** BOUNDED by MAX_SOURCES. */
  readonly #sources = new Map<string, Source>();
  #windowStartMs = 0;
  #windowCount = 0;
  #windowSources = 0;

  /** @param isServed asked once for each source until `forget`. */
  constructor(isServed: (address: string) => boolean) {
    this.#isServed = isServed;
  }

  admit(address: string, nowMs: number): Admission {
    const source = this.#sourceOf(address);
    if (!source.isServed) return 'stranger';
    if (nowMs - this.#windowStartMs >= WINDOW_MS) {
      this.#windowStartMs = nowMs;
      this.#windowCount = 0;
      this.#windowSources = 0;
    }
    if (source.windowStartMs !== this.#windowStartMs) {
      source.windowStartMs = this.#windowStartMs;
      source.count = 0;
      this.#windowSources++;
    }
    source.count++;
    this.#windowCount++;
    const isBusy = this.#windowCount > BUSY_QUERIES && this.#windowSources > 1;
    return isBusy && source.count > this.#windowCount * MAX_SHARE ? 'flood' : 'serve';
  }

  /** Whether the source may be given an error now. */
  mayTellError(address: string, nowMs: number): boolean {
    const source = this.#sourceOf(address);
    source.errors ??= new TokenBucket({ capacity: ERROR_BURST, refillMs: ERROR_REFILL_MS }, nowMs);
    return source.errors.tryTake(nowMs);
  }

  /** The host's addresses changed: who is served is to be asked again. */
  forget(): void {
    this.#sources.clear();
  }

  #sourceOf(address: string): Source {
    let source = this.#sources.get(address);
    if (source === undefined) {
      if (this.#sources.size >= MAX_SOURCES) this.#sources.clear();
      source = { isServed: this.#isServed(address), windowStartMs: -1, count: 0, errors: null };
      this.#sources.set(address, source);
    }
    return source;
  }
}
