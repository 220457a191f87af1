/**
 * Who owns which short id. Short ids are the 12-bit numbers that stand for peers in VXLAN headers;
 * every router picks its own at random and moves when a peer with a lower name has picked the same.
 * Source: reference/wire-protocol.md 4.3.
 */
import { MAX_PEERS } from '../core/limits.js';
import type { PeerName } from '../core/peer-name.js';
import { type Random, randomBelow } from '../core/random.js';

/** Short ids are 0 … 4095. Larger ones appear in gossip, are passed on, and are never usable. */
export const SHORT_ID_COUNT = 4096;

/** Draws before the free ids are listed: cheap as long as the mesh is small. */
const RANDOM_DRAWS = 10;

interface Holders {
  /** null: free, but it had an owner once. */
  owner: PeerName | null;
  /** Peers that announce the id too, all with higher names. BOUNDED by MAX_PEERS (one id each). */
  readonly secondaries: Set<PeerName>;
}

export function isUsableShortId(shortId: number | null): shortId is number {
  return shortId !== null && shortId < SHORT_ID_COUNT;
}

export class ShortIds {
  /** BOUNDED by SHORT_ID_COUNT. */
  readonly #holders = new Map<number, Holders>();

  ownerOf(shortId: number): PeerName | null {
    return this.#holders.get(shortId)?.owner ?? null;
  }

  /** True if the peer may use the id in VXLAN headers. */
  owns(name: PeerName, shortId: number | null): boolean {
    return shortId !== null && this.ownerOf(shortId) === name;
  }

  /**
   * Enters a peer's announcement. Ids that are absent or over 12 bits change nothing.
   * @returns true if the id meant another peer before: caches keyed by short id are stale.
   */
  add(name: PeerName, shortId: number | null): boolean {
    if (!isUsableShortId(shortId)) return false;
    const holders = this.#holders.get(shortId);
    if (holders === undefined) {
      this.#holders.set(shortId, { owner: name, secondaries: new Set() });
      return false;
    }
    const { owner } = holders;
    if (owner === name) return false;
    if (owner === null) {
      holders.owner = name;
      return true;
    }
    if (owner < name) {
      if (holders.secondaries.size < MAX_PEERS) holders.secondaries.add(name);
      return false;
    }
    holders.secondaries.delete(name);
    holders.secondaries.add(owner);
    holders.owner = name;
    return true;
  }

  /**
   * Takes an announcement back; the lowest of the secondaries inherits the id.
   * @returns true if there was an heir. An id that nobody holds any more may stay in caches: the
   *   next owner counts as a change.
   */
  remove(name: PeerName, shortId: number | null): boolean {
    if (!isUsableShortId(shortId)) return false;
    const holders = this.#holders.get(shortId);
    if (holders === undefined) return false;
    if (holders.owner !== name) {
      holders.secondaries.delete(name);
      return false;
    }
    let heir: PeerName | null = null;
    for (const peer of holders.secondaries) if (heir === null || peer < heir) heir = peer;
    holders.owner = heir;
    if (heir === null) return false;
    holders.secondaries.delete(heir);
    return true;
  }

  /** A random id that nobody owns, or null if all 4096 have owners. */
  choose(random: Random): number | null {
    for (let i = 0; i < RANDOM_DRAWS; i++) {
      const drawn = randomBelow(random, SHORT_ID_COUNT);
      if (this.ownerOf(drawn) === null) return drawn;
    }
    const free: number[] = [];
    for (let id = 0; id < SHORT_ID_COUNT; id++) if (this.ownerOf(id) === null) free.push(id);
    return free.length === 0 ? null : (free[randomBelow(random, free.length)] as number);
  }
}
