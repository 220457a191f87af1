/**
 * Contradictions that could not be resolved: ranges over which an original router and we disagree,
 * and rings that cannot be merged at all. They stay visible, nothing is handed out of such ranges,
 * and no connection ends because of them.
 */
import type { Ipv4 } from '../core/ip.js';
import type { PeerName } from '../core/peer-name.js';
import type { ConflictStatus } from './interfaces.js';
import type { AddressRange } from './range.js';
import type { RingConflict } from './ring-merge.js';

/** What nobody has repeated for so long is over. */
const FORGET_AFTER_MS = 5 * 60_000;
export const MAX_CONFLICTS = 1024;
const MAX_REFUSALS = 64;

interface Conflict {
  readonly range: AddressRange;
  readonly ours: PeerName;
  readonly theirs: PeerName;
  readonly sinceMs: number;
  lastMs: number;
  readonly reason: string;
}

/** A peer whose ring and ours don't go together. */
export interface Refusal {
  readonly peer: PeerName;
  readonly code: string;
  readonly text: string;
  readonly sinceMs: number;
}

export class Conflicts {
  /** By token and other owner. BOUNDED by MAX_CONFLICTS. */
  readonly #conflicts = new Map<string, Conflict>();
  /** By peer. BOUNDED by MAX_REFUSALS. */
  readonly #refusals = new Map<PeerName, Refusal & { lastMs: number }>();

  get size(): number {
    return this.#conflicts.size + this.#refusals.size;
  }

  get refusals(): readonly Refusal[] {
    return [...this.#refusals.values()];
  }

  /** Not to be handed out. */
  get ranges(): readonly AddressRange[] {
    return [...this.#conflicts.values()].map(({ range }) => range);
  }

  /** @returns whether it is new */
  note(conflict: RingConflict, reason: string, nowMs: number): boolean {
    const key = `${conflict.theirs.token} ${conflict.theirs.peer}`;
    const known = this.#conflicts.get(key);
    if (known !== undefined) {
      known.lastMs = nowMs;
      return false;
    }
    if (this.#conflicts.size >= MAX_CONFLICTS) return false;
    this.#conflicts.set(key, {
      range: { start: conflict.start, end: conflict.end },
      ours: conflict.ours.peer,
      theirs: conflict.theirs.peer,
      sinceMs: nowMs,
      lastMs: nowMs,
      reason,
    });
    return true;
  }

  /** @returns whether it is new */
  refuse(peer: PeerName, code: string, text: string, nowMs: number): boolean {
    const known = this.#refusals.get(peer);
    if (known === undefined && this.#refusals.size >= MAX_REFUSALS) return false;
    this.#refusals.set(peer, { peer, code, text, sinceMs: known?.sinceMs ?? nowMs, lastMs: nowMs });
    return known?.code !== code;
  }

  /** The peer's own ring came and could be merged; what it contradicted before `nowMs` is over. */
  settle(peer: PeerName, nowMs: number): void {
    this.#refusals.delete(peer);
    for (const [key, { theirs, lastMs }] of this.#conflicts) {
      if (theirs === peer && lastMs < nowMs) this.#conflicts.delete(key);
    }
  }

  expire(nowMs: number): void {
    for (const [key, { lastMs }] of this.#conflicts) {
      if (nowMs - lastMs > FORGET_AFTER_MS) this.#conflicts.delete(key);
    }
    for (const [peer, { lastMs }] of this.#refusals) {
      if (nowMs - lastMs > FORGET_AFTER_MS) this.#refusals.delete(peer);
    }
  }

  status(nowMs: number): ConflictStatus[] {
    return [...this.#conflicts.values()].map((conflict) => ({
      start: conflict.range.start as Ipv4,
      end: conflict.range.end,
      ours: conflict.ours,
      theirs: conflict.theirs,
      sinceMs: nowMs - conflict.sinceMs,
      reason: conflict.reason,
    }));
  }
}
