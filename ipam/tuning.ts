/**
 * Times and sizes that are ours to choose. The originals' own choices are in `ORIGINAL_TUNING`: the
 * tests follow recorded runs of the original with them.
 */
import { HAND_OVER_INCREMENT, TAKE_OVER_INCREMENT } from './ring.js';
import { type Resolution, type RingConflict, resolveAmongHealers } from './ring-merge.js';

export interface IpamTuning {
  /** Free counts are reported at most this often, unless a range runs out or ceases to be out. */
  readonly freeReportMs: number;
  /** After a restart, how long to wait for word from others before handing out addresses. */
  readonly startHoldMs: number;
  /** Largest block given away around a claimed address. */
  readonly claimBlockSize: number;
  /** Of versions, at a take-over. */
  readonly takeOverIncrement: number;
  /** Between two owners that are both of our kind. */
  readonly resolve: (conflict: RingConflict) => Resolution;
}

export const DEFAULT_TUNING: IpamTuning = {
  freeReportMs: 30_000,
  startHoldMs: 5_000,
  claimBlockSize: 16,
  takeOverIncrement: TAKE_OVER_INCREMENT,
  resolve: resolveAmongHealers,
};

export const ORIGINAL_TUNING: IpamTuning = {
  freeReportMs: 0,
  startHoldMs: 0,
  claimBlockSize: 1,
  takeOverIncrement: HAND_OVER_INCREMENT,
  resolve: resolveAmongHealers,
};

/** Retries, repeated proposals, releases: looked after this often while there is any. */
export const TICK_MS = 5_000;
