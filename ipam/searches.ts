/**
 * Searches for space within a subnet, each shared by all that wait for an address of it. One peer
 * is asked at a time. Messages get lost, a peer that does not know us yet can't answer, and one that
 * just appeared can't be reached yet: so all is tried again after half a second, a second and so on,
 * up to TICK_MS.
 */
import type { PeerName } from '../core/peer-name.js';
import { type AddressRange, formatRangeAsCidr } from './range.js';
import { TICK_MS } from './tuning.js';

const FIRST_REPEAT_MS = 500;

interface Search {
  readonly range: AddressRange;
  /** `peer` null: none of those with space can be reached. */
  asked: {
    readonly peer: PeerName | null;
    readonly atMs: number;
    readonly pauseMs: number;
  } | null;
  /** Since the last tick. */
  readonly denied: Set<PeerName>;
}

export interface SearchPeers {
  isReachable(peer: PeerName): boolean;
  rank(): readonly PeerName[];
}

export class Searches {
  /** By range text. BOUNDED by the subnets waited for. */
  readonly #searches = new Map<string, Search>();

  /**
   * @param peers `rank`: who has space there, best first; called only if somebody is to be asked.
   * @returns who is to be asked now; null while an answer is awaited, or if nobody is left.
   */
  choose(range: AddressRange, peers: SearchPeers, nowMs: number): PeerName | null {
    const key = formatRangeAsCidr(range);
    const search = this.#searches.get(key) ?? { range, asked: null, denied: new Set() };
    this.#searches.set(key, search);
    const { asked } = search;
    const isThere = asked?.peer != null && peers.isReachable(asked.peer);
    if (isThere && nowMs - asked.atMs < asked.pauseMs) return null;
    const hopeful = peers.rank().filter((p) => !search.denied.has(p));
    if (hopeful.length === 0) return null;
    const left = hopeful.filter((p) => peers.isReachable(p));
    // Whoever has not answered for long gives way to another choice.
    const again = isThere && asked.pauseMs < TICK_MS && left.includes(asked.peer as PeerName);
    const peer = again ? asked.peer : (left[0] ?? null);
    const isWaiting = asked !== null && nowMs - asked.atMs < asked.pauseMs;
    if (peer === null && asked?.peer === null && isWaiting) return null;
    const pauseMs = peer === asked?.peer ? Math.min(2 * asked.pauseMs, TICK_MS) : FIRST_REPEAT_MS;
    search.asked = { peer, atMs: nowMs, pauseMs };
    return peer;
  }

  handleDenied(range: AddressRange, peer: PeerName): void {
    const search = this.#searches.get(formatRangeAsCidr(range));
    if (search === undefined) return;
    search.denied.add(peer);
    if (search.asked?.peer === peer) search.asked = null;
  }

  /** When somebody is asked again, in ms; Infinity if nobody. */
  nextRepeatMs(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { asked } of this.#searches.values()) {
      if (asked !== null) next = Math.min(next, asked.atMs + asked.pauseMs);
    }
    return next;
  }

  /** What nobody could repeat is nothing to wait for: a later try begins anew. */
  endOverdue(nowMs: number): void {
    for (const search of this.#searches.values()) {
      const { asked } = search;
      if (asked !== null && asked.atMs + asked.pauseMs <= nowMs) search.asked = null;
    }
  }

  /** Those who denied may have space by now. How long to wait for whom was asked stays known. */
  forgetDenials(): void {
    for (const search of this.#searches.values()) search.denied.clear();
  }

  clear(): void {
    this.#searches.clear();
  }

  /** @param isWanted of a range as text: somebody still waits for it. */
  keep(isWanted: (key: string) => boolean): void {
    for (const key of this.#searches.keys()) if (!isWanted(key)) this.#searches.delete(key);
  }
}
