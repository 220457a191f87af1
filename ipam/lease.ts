/**
 * Whether we may rely on what the ring gives us. Where peers take over the ranges of others that
 * are gone for a time T (`--ipalloc-reclaim-after`), a peer that the others may think gone stops
 * handing out addresses after T/2, so before a majority takes its ranges. Coming back, it asks the
 * others first whether its ranges are still its own. After a restart the same question is asked;
 * without T, for a few seconds only.
 *
 *   sure ── cut off from a majority for T/2 ──> isolated ─┐
 *   restarted ── ranges from the store ───────> starting ─┴─ a majority can be asked,
 *                                                            and all of it has answered ──> sure
 */
import type { PeerName } from '../core/peer-name.js';

export interface LeaseView {
  /** Of the ring. */
  readonly owners: ReadonlySet<PeerName>;
  /** T; null: nobody takes over by itself. */
  readonly reclaimAfterMs: number | null;
  isReachable(peer: PeerName): boolean;
  /** Answers questions: it is of our kind. */
  isHealer(peer: PeerName): boolean;
}

export interface LeaseOptions {
  readonly localPeer: PeerName;
  readonly startHoldMs: number;
}

export type Held = 'starting' | 'isolated';

export class Lease {
  readonly #options: LeaseOptions;
  /** null: sure. */
  #held: Held | null = null;
  #startedAtMs = 0;
  #lastMajorityMs = 0;
  /** Who answered since we are held. BOUNDED by the owners. */
  readonly #welcomes = new Set<PeerName>();
  /** Since the last tick. BOUNDED by the owners. */
  readonly #asked = new Set<PeerName>();

  constructor(options: LeaseOptions) {
    this.#options = options;
  }

  get held(): Held | null {
    return this.#held;
  }

  /** @param restored our ranges come from the store, and others may have taken them */
  start(restored: boolean, nowMs: number): void {
    this.#startedAtMs = nowMs;
    this.#lastMajorityMs = nowMs;
    if (restored) this.#held = 'starting';
  }

  /** An owner says that it has not agreed to our removal; its ring was merged before. */
  welcome(peer: PeerName): void {
    if (this.#held !== null) this.#welcomes.add(peer);
  }

  /** @returns whether that changed what `held` says */
  update(view: LeaseView, nowMs: number): boolean {
    const before = this.#held;
    this.#held = this.#next(view, nowMs);
    if (this.#held === null || before === null) this.#welcomes.clear();
    return this.#held !== before;
  }

  /** Owners to ask now whether our ranges are still ours, each once; none unless we are held. */
  takePeersToAsk(view: LeaseView): PeerName[] {
    if (this.#held === null) return [];
    const peers = this.#reachableOthers(view).filter(
      (peer) => !this.#welcomes.has(peer) && !this.#asked.has(peer),
    );
    for (const peer of peers) this.#asked.add(peer);
    return peers;
  }

  /** Questions or answers may have been lost. */
  askAgain(): void {
    this.#asked.clear();
  }

  #next(view: LeaseView, nowMs: number): Held | null {
    const { owners, reclaimAfterMs } = view;
    const { localPeer, startHoldMs } = this.#options;
    const cutOff = this.#isCutOff(view);
    if (!cutOff) this.#lastMajorityMs = nowMs;
    // Who has nothing, or shares with nobody, can lose nothing.
    if (!owners.has(localPeer) || owners.size === 1) return null;
    const answered = this.#reachableOthers(view).every((peer) => this.#welcomes.has(peer));
    const enough = this.#reachableOthers(view).length > 0;
    if (reclaimAfterMs === null) {
      if (this.#held === null || (enough && answered)) return null;
      return nowMs - this.#startedAtMs >= startHoldMs ? null : this.#held;
    }
    if (cutOff && nowMs - this.#lastMajorityMs >= reclaimAfterMs / 2) return 'isolated';
    if (this.#held === null || (!cutOff && answered)) return null;
    return this.#held;
  }

  /** The owners that we can't reach are a majority: they could agree on something without us. */
  #isCutOff({ owners, isReachable }: LeaseView): boolean {
    const { localPeer } = this.#options;
    const missing = [...owners].filter((peer) => peer !== localPeer && !isReachable(peer)).length;
    return 2 * missing > owners.size;
  }

  /** Owners other than ourselves that could have agreed to our removal. */
  #reachableOthers({ owners, isReachable, isHealer }: LeaseView): PeerName[] {
    return [...owners].filter(
      (peer) => peer !== this.#options.localPeer && isReachable(peer) && isHealer(peer),
    );
  }
}
