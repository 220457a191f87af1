/** A token bucket driven by the caller's clock. */
export interface TokenBucketOptions {
  readonly capacity: number;
  /** One token comes back per this many milliseconds. */
  readonly refillMs: number;
}

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
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** When the next `tryTake` can succeed; `nowMs` if it can at once. */
  nextTokenMs(nowMs: number): number {
    this.#refill(nowMs);
    return this.#tokens >= 1 ? nowMs : nowMs + (1 - this.#tokens) * this.#options.refillMs;
  }

  #refill(nowMs: number): void {
    const gained = Math.max(0, nowMs - this.#updatedMs) / this.#options.refillMs;
    this.#tokens = Math.min(this.#options.capacity, this.#tokens + gained);
    this.#updatedMs = Math.max(this.#updatedMs, nowMs);
  }
}
