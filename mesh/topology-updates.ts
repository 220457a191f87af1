/**
 * News about ourselves, collected for a second before they are gossiped, and the garbage
 * collection that follows updates (reference/wire-protocol.md 6.4, 6.5).
 */
import { earliest, type Timeout } from '../core/clock.js';
import type { PeerName } from '../core/peer-name.js';

export const UPDATE_DELAY_MS = 1_000;
export const COLLECTION_DELAY_MS = 1_000;

export interface TopologyUpdatesModules {
  /** Gossip entries of these peers to random neighbours. */
  readonly onUpdateDue: (names: ReadonlySet<PeerName>) => void;
  readonly onCollectionDue: () => void;
}

export class TopologyUpdates {
  readonly #modules: TopologyUpdatesModules;
  /** BOUNDED by the admissions of one second, which the accept rate limits. */
  #names = new Set<PeerName>();
  #updateAtMs: number | null = null;
  #collectAtMs: number | null = null;

  constructor(modules: TopologyUpdatesModules) {
    this.#modules = modules;
  }

  /** The entries of these peers changed by our own doing. */
  request(names: readonly PeerName[], nowMs: number): void {
    for (const name of names) this.#names.add(name);
    this.#updateAtMs ??= nowMs + UPDATE_DELAY_MS;
  }

  requestCollection(nowMs: number): void {
    this.#collectAtMs ??= nowMs + COLLECTION_DELAY_MS;
  }

  handleTimeout(nowMs: number): void {
    if (this.#collectAtMs !== null && nowMs >= this.#collectAtMs) {
      this.#collectAtMs = null;
      this.#modules.onCollectionDue();
    }
    if (this.#updateAtMs !== null && nowMs >= this.#updateAtMs) {
      this.#updateAtMs = null;
      const names = this.#names;
      this.#names = new Set();
      this.#modules.onUpdateDue(names);
    }
  }

  nextTimeout(): Timeout | null {
    return earliest(
      this.#updateAtMs === null ? null : { atMs: this.#updateAtMs, reason: 'topology update' },
      this.#collectAtMs === null ? null : { atMs: this.#collectAtMs, reason: 'garbage collection' },
    );
  }
}
