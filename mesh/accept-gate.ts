/**
 * Slows down callers: a burst of 20 gets in at once, then one per 50 ms, as the original does by
 * accepting no faster (reference/wire-protocol.md 3.1). Those who wait have an open socket but no
 * session yet.
 */
import type { Timeout } from '../core/clock.js';
import { TokenBucket } from '../core/rate-limit.js';

export const ACCEPT_BURST = 20;
export const ACCEPT_INTERVAL_MS = 50;
/** Callers that may wait: 5 s worth, less than the 10 s after which they would give up. */
export const MAX_WAITING = 100;

export interface Caller {
  readonly connId: number;
  /** `ip:port` */
  readonly remoteAddr: string;
  readonly localAddr: string;
}

export class AcceptGate {
  readonly #bucket = new TokenBucket({ capacity: ACCEPT_BURST, refillMs: ACCEPT_INTERVAL_MS }, 0);
  /** BOUNDED by MAX_WAITING. */
  readonly #waiting: Caller[] = [];

  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** @returns the caller that has to go because too many wait: the oldest, or null. */
  add(caller: Caller): Caller | null {
    this.#waiting.push(caller);
    return this.#waiting.length > MAX_WAITING ? (this.#waiting.shift() as Caller) : null;
  }

  /** The caller hung up. @returns false if it does not wait here. */
  remove(connId: number): boolean {
    const index = this.#waiting.findIndex((caller) => caller.connId === connId);
    if (index >= 0) this.#waiting.splice(index, 1);
    return index >= 0;
  }

  /** The next caller that may come in now. */
  take(nowMs: number): Caller | null {
    if (this.#waiting.length === 0 || !this.#bucket.tryTake(nowMs)) return null;
    return this.#waiting.shift() ?? null;
  }

  nextTimeout(nowMs: number): Timeout | null {
    if (this.#waiting.length === 0) return null;
    return { atMs: this.#bucket.nextTokenMs(nowMs), reason: 'accept' };
  }
}
