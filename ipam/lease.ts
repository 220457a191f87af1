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
 *
 * Two living hosts of one name own the same ranges. Both stop (`cloned`) until one of them has been
 * gone for a while; the other then asks whether the ranges are still its own, as after a restart.
 */
import type { PeerName } from '../core/peer-name.js';

export interface LeaseView {
  /** Another host has our name. */
  readonly isCloned: boolean;
  /** Of the ring. */
  readonly owners: ReadonlySet<PeerName>;
  /** T; null: nobody takes over by itself. */
  readonly reclaimAfterMs: number | null;
  isReachable(peer: PeerName): boolean;
  /** In the topology. */
  isKnown(peer: PeerName): boolean;
  /** When an owner left the topology; null: it is in it. */
  goneSinceMs(peer: PeerName): number | null;
  /** Who decides about peers that lost sight of each other at that time. */
  electorate(lostAtMs: number): readonly PeerName[];
  /** Answers questions: it is of our kind. */
  isHealer(peer: PeerName): boolean;
}

export interface LeaseOptions {
  readonly localPeer: PeerName;
  readonly startHoldMs: number;
}

/** Peers of our kind tell so, or are asked, well within this. */
const KIND_KNOWN_MS = 30_000;

export type Held = 'starting' | 'isolated' | 'cloned';

export class Lease {
  readonly #options: LeaseOptions;
  /** null: sure. */
  #held: Held | null = null;
  #startedAtMs = 0;
  #lastMajorityMs = 0;
  /** Since when a majority can be reached without a break. */
  #inTouchSinceMs = 0;
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
    this.#inTouchSinceMs = nowMs;
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
    if (cutOff) this.#inTouchSinceMs = nowMs;
    else this.#lastMajorityMs = nowMs;
    if (view.isCloned) {
      // What was answered may have been meant for the other one.
      this.#welcomes.clear();
      return 'cloned';
    }
    if (this.#held === 'cloned') {
      this.#held = 'starting';
      this.#startedAtMs = nowMs;
    }
    // Who has nothing, or shares with nobody, can lose nothing.
    if (!owners.has(localPeer) || owners.size === 1) return null;
    const others = this.#reachableOthers(view);
    // Originals don't answer; but who is of our kind is known only some time after they are met.
    const patient = nowMs - this.#inTouchSinceMs >= KIND_KNOWN_MS;
    const answered = others.every(
      (peer) => this.#welcomes.has(peer) || (patient && !view.isHealer(peer)),
    );
    if (reclaimAfterMs === null) {
      if (this.#held === null || (others.length > 0 && answered)) return null;
      return nowMs - this.#startedAtMs >= startHoldMs ? null : this.#held;
    }
    if (cutOff && nowMs - this.#lastMajorityMs >= reclaimAfterMs / 2) return 'isolated';
    if (this.#held === null || (!cutOff && answered)) return null;
    return this.#held;
  }

  /**
   * Those that we have lost sight of may be a majority of those that decide about us: they could
   * agree on something without us.
   */
  #isCutOff(view: LeaseView): boolean {
    const isLost = (peer: PeerName): boolean =>
      peer !== this.#options.localPeer && !view.isKnown(peer);
    return [...view.owners].filter(isLost).some((peer) => {
      const voters = view.electorate(view.goneSinceMs(peer) ?? Number.POSITIVE_INFINITY);
      return 2 * voters.filter(isLost).length > voters.length;
    });
  }

  #reachableOthers({ owners, isReachable }: LeaseView): PeerName[] {
    return [...owners].filter((peer) => peer !== this.#options.localPeer && isReachable(peer));
  }
}
