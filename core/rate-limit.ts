/** A token bucket driven by the caller's clock. */
export interface TokenBucketOptions {
  readonly capacity: number;
  /** One token comes back per this many milliseconds. */
  readonly refillMs: number;
}

/** Fractions of tokens add up inexactly; a wait for the last billionth would never end. */
const WHOLE_TOKEN = 1 - 1e-9;

export class TokenBucket {
  readonly #options: TokenBucketOptions;
  #tokens: number;
  #updatedMs: number;

  constructor(options: TokenBucketOptions, nowMs: number) {
    this.#options = options;
    this.#tokens = options.capacity;
    this.#updatedMs = nowMs;
  }

  /** Takes one token if there is one. */
  tryTake(nowMs: number): boolean {
    this.#refill(nowMs);
    if (this.#tokens < WHOLE_TOKEN) return false;
    this.#tokens -= 1;
    return true;
  }

  /** When the next `tryTake` can succeed; `nowMs` if it can at once. */
  nextTokenMs(nowMs: number): number {
    this.#refill(nowMs);
    return this.#tokens >= WHOLE_TOKEN
      ? nowMs
      : nowMs + (1 - this.#tokens) * this.#options.refillMs;
  }

  #refill(nowMs: number): void {
    const gained = Math.max(0, nowMs - this.#updatedMs) / this.#options.refillMs;
    this.#tokens = Math.min(this.#options.capacity, this.#tokens + gained);
    this.#updatedMs = Math.max(this.#updatedMs, nowMs);
  }
}
