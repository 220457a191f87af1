/**
 * Workloads that ended: their addresses wait for a while, in case they come back.
 * Source: reference/ipam.md 13.
 */
import type { OwnedTable } from './owned.js';

/** A restart takes less than this. */
export const RELEASE_AFTER_MS = 30_000;

export class Workloads {
  readonly #owned: OwnedTable;
  /** When they ended. BOUNDED by the holders of addresses. */
  readonly #diedAtMs = new Map<string, number>();

  constructor(owned: OwnedTable) {
    this.#owned = owned;
  }

  get deadCount(): number {
    return this.#diedAtMs.size;
  }

  isDead(ident: string): boolean {
    return this.#diedAtMs.has(ident);
  }

  /** @returns whether it holds addresses that are to be released */
  died(ident: string, nowMs: number): boolean {
    if (!this.#owned.isWatched(ident)) return false;
    this.#diedAtMs.set(ident, nowMs);
    return true;
  }

  lives(ident: string): void {
    this.#diedAtMs.delete(ident);
  }

  /** Those whose time is over, once. */
  takeExpired(nowMs: number): string[] {
    const expired = [...this.#diedAtMs]
      .filter(([, diedAtMs]) => nowMs - diedAtMs > RELEASE_AFTER_MS)
      .map(([ident]) => ident);
    for (const ident of expired) this.#diedAtMs.delete(ident);
    return expired;
  }
}
