/**
 * The receiving end of a connection sealed with AES-256-GCM, which has a chain of keys, epochs and
 * a replay window for each lane: each thread of the sender is a lane. So threads need not agree on
 * anything at either end, and no nonce can be used by two. Reasoning in README.md, "Lanes".
 */
import { wipe } from '../core/bytes.js';
import { earliest, type Timeout } from '../core/clock.js';
import { DropReason } from './drop-reason.js';
import type { ChainOptions } from './key-chain.js';
import { type KeyScheduleModules, ReceiveKeys } from './key-schedule.js';
import { hasMark, laneMark, laneOfMark } from './lane-mark.js';
import { COUNTER_OFFSET, readU32 } from './wire.js';

/** Which lanes a receiving thread takes: those whose number leaves `index` divided by `count`. */
export interface LaneShare {
  readonly index: number;
  readonly count: number;
}

const ALL: LaneShare = { index: 0, count: 1 };

export class ReceiveLanes {
  readonly #options: ChainOptions;
  readonly #modules: KeyScheduleModules;
  readonly #share: LaneShare;
  /** By lane, made at the first datagram that names it. BOUNDED by MAX_LANES. */
  readonly #lanes: (ReceiveKeys | undefined)[] = [];
  /** The lane asked for last: most senders have one. */
  #mark: number;
  #keys: ReceiveKeys;

  /** @param options the session key is copied, as lanes may show up late. */
  constructor(options: ChainOptions, modules: KeyScheduleModules, share: LaneShare = ALL) {
    this.#options = { ...options, sessionKey: new Uint8Array(options.sessionKey) };
    this.#modules = modules;
    this.#share = share;
    this.#mark = laneMark(share.index);
    this.#keys = this.#make(share.index);
  }

  /** The newest that a genuine datagram of the lane came under; 0 before the first. */
  epochOf(lane: number): number {
    return this.#lanes[lane]?.epoch ?? 0;
  }

  /**
   * Opens a datagram in place.
   * @param bytes of the whole datagram, at least header and trailer.
   * @returns `none`, `laneUnknown`, `epochUnknown`, `replayed` or `forged`; no window or epoch
   *   changes unless `none`.
   */
  open(buffer: Uint8Array, offset: number, bytes: number, nowMs: number): DropReason {
    const mark = readU32(buffer, offset + COUNTER_OFFSET);
    if (mark !== this.#mark) {
      const reason = this.#turnTo(mark);
      if (reason !== DropReason.none) return reason;
    }
    return this.#keys.open(buffer, offset, bytes, nowMs);
  }

  nextTimeout(): Timeout | null {
    let next: Timeout | null = null;
    for (const keys of this.#lanes) next = earliest(next, keys?.nextTimeout() ?? null);
    return next;
  }

  handleTimeout(nowMs: number): void {
    for (const keys of this.#lanes) keys?.handleTimeout(nowMs);
  }

  /** Nothing may be opened afterwards. */
  destroy(): void {
    for (const keys of this.#lanes) keys?.destroy();
    wipe(this.#options.sessionKey);
  }

  #turnTo(mark: number): DropReason {
    const lane = laneOfMark(mark);
    // A sender's counters have 32 bits, see KeyLimits: what lies above them can only be a mark.
    if (lane < 0) return hasMark(mark) ? DropReason.laneUnknown : DropReason.forged;
    const { index, count } = this.#share;
    if (lane % count !== index) return DropReason.laneUnknown;
    this.#keys = this.#lanes[lane] ?? this.#make(lane);
    this.#mark = mark;
    return DropReason.none;
  }

  #make(lane: number): ReceiveKeys {
    const keys = new ReceiveKeys({ ...this.#options, lane }, this.#modules);
    this.#lanes[lane] = keys;
    return keys;
  }
}
