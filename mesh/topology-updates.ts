/**
 * What follows changes of the topology some time later, once for a whole burst: gossip about
 * ourselves after a second, garbage collection, and a look at whom to dial
 * (reference/wire-protocol.md 6.3 to 6.5).
 */
import { earliest, type Timeout } from '../core/clock.js';
import type { PeerName } from '../core/peer-name.js';

export const UPDATE_DELAY_MS = 1_000;
export const COLLECTION_DELAY_MS = 1_000;
/** Going through all addresses in the topology takes a while when there are hundreds of peers. */
export const DIALER_DELAY_MS = 100;

export interface TopologyUpdatesModules {
  /** Gossip entries of these peers to random neighbours. */
  readonly onUpdateDue: (names: ReadonlySet<PeerName>) => void;
  readonly onCollectionDue: () => void;
  readonly onDialerDue: () => void;
}

export class TopologyUpdates {
  readonly #modules: TopologyUpdatesModules;
  /** BOUNDED by the admissions of one second, which the accept rate limits. */
  #names = new Set<PeerName>();
  #updateAtMs: number | null = null;
  #collectAtMs: number | null = null;
  #dialerAtMs: number | null = null;

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

  /** The topology may name new addresses. */
  requestDialer(nowMs: number): void {
    this.#dialerAtMs ??= nowMs + DIALER_DELAY_MS;
  }

  handleTimeout(nowMs: number): void {
    if (this.#dialerAtMs !== null && nowMs >= this.#dialerAtMs) {
      this.#dialerAtMs = null;
      this.#modules.onDialerDue();
    }
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
    const update = wakeUp(this.#updateAtMs, 'topology update');
    const collection = wakeUp(this.#collectAtMs, 'garbage collection');
    return earliest(earliest(update, collection), wakeUp(this.#dialerAtMs, 'look for targets'));
  }
}

function wakeUp(atMs: number | null, reason: string): Timeout | null {
  return atMs === null ? null : { atMs, reason };
}
