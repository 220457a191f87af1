/**
 * Slows down callers: a burst of 20 gets in at once, then one per 50 ms, as the original does by
 * accepting no faster (reference/wire-protocol.md 3.1). Those who wait have an open socket but no
 * session yet; what they say meanwhile, usually the header, is kept for it.
 */
import { concatBytes } from '../core/bytes.js';
import type { Timeout } from '../core/clock.js';
import { TokenBucket } from '../core/rate-limit.js';

export const ACCEPT_BURST = 20;
export const ACCEPT_INTERVAL_MS = 50;
/** Callers that may wait: 5 s worth, less than the 10 s after which they would give up. */
export const MAX_WAITING = 100;

/**
 * Bytes kept of one who waits. The original says 7 before it has heard from us, and nobody has more
 * to say than header, flag and public key.
 */
export const MAX_EARLY_BYTES = 1024;

export interface Caller {
  readonly connId: number;
  /** `ip:port` */
  readonly remoteAddr: string;
  readonly localAddr: string;
}

interface Waiting {
  readonly caller: Caller;
  /** BOUNDED by MAX_EARLY_BYTES. */
  early: Uint8Array;
}

export class AcceptGate {
  readonly #bucket = new TokenBucket({ capacity: ACCEPT_BURST, refillMs: ACCEPT_INTERVAL_MS }, 0);
  /** In order of arrival. BOUNDED by MAX_WAITING. */
  readonly #waiting: Waiting[] = [];

  get waitingCount(): number {
    return this.#waiting.length;
  }

  /**
   * @returns the caller that has to go because too many wait, or null. It is the oldest from the
   *   address that most of them come from: who floods us pushes out nobody else.
   */
  add(caller: Caller): Caller | null {
    this.#waiting.push({ caller, early: new Uint8Array(0) });
    if (this.#waiting.length <= MAX_WAITING) return null;
    const counts = new Map<string, number>();
    let busiest = '';
    for (const waiting of this.#waiting) {
      const host = hostOf(waiting.caller);
      const count = (counts.get(host) ?? 0) + 1;
      counts.set(host, count);
      if (count > (counts.get(busiest) ?? 0)) busiest = host;
    }
    const index = this.#waiting.findIndex((waiting) => hostOf(waiting.caller) === busiest);
    return this.#waiting.splice(index, 1)[0]?.caller ?? null;
  }

  /**
   * Keeps what a waiting caller says.
   * @param chunk copied
   * @returns false if it talks too much and has to go; true also if it does not wait here.
   */
  hold(connId: number, chunk: Uint8Array): boolean {
    const waiting = this.#waiting.find(({ caller }) => caller.connId === connId);
    if (waiting === undefined) return true;
    if (waiting.early.length + chunk.length > MAX_EARLY_BYTES) return false;
    waiting.early = concatBytes(waiting.early, chunk);
    return true;
  }

  /** The caller hung up. @returns false if it does not wait here. */
  remove(connId: number): boolean {
    const index = this.#waiting.findIndex(({ caller }) => caller.connId === connId);
    if (index >= 0) this.#waiting.splice(index, 1);
    return index >= 0;
  }

  /** The next caller that may come in now, with what it has said so far. */
  take(nowMs: number): { readonly caller: Caller; readonly early: Uint8Array } | null {
    if (this.#waiting.length === 0 || !this.#bucket.tryTake(nowMs)) return null;
    return this.#waiting.shift() ?? null;
  }

  nextTimeout(nowMs: number): Timeout | null {
    if (this.#waiting.length === 0) return null;
    return { atMs: this.#bucket.nextTokenMs(nowMs), reason: 'accept' };
  }
}

/** Without the port, which is another for each call. */
function hostOf({ remoteAddr }: Caller): string {
  return remoteAddr.slice(0, remoteAddr.lastIndexOf(':'));
}
