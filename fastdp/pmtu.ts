/**
 * Finds how large an overlay packet may be to reach a neighbour unfragmented, and notices when
 * that changes. A machine without sockets: tests go out through `pollTest`, and answers come back
 * as "message too long" of the system or as "PMTU verified" of the neighbour.
 * Source: reference/wire-protocol.md 10.7, notes C9, C10, C34.
 *
 *   idle ──start──▶ probe ──EMSGSIZE──▶ search ──▶ verified ◀──────────────┐
 *                     │ no answer                   │ every 3 s of traffic │ answered
 *                     ▼                             ▼                      │
 *                   sweep ◀────no answer───────── verify ──────────────────┘
 *                     └──▶ search (raising, from the best size answered)
 *
 * - probe: one frame too large for almost any link, so that the system tells its path MTU.
 * - search: the original's bisection, eight tests a size with doubling waits.
 * - verify: repeats a test of the size in use while large DF datagrams flow, which detects a path
 *   that began to swallow them without an ICMP message.
 * - sweep: tests of many common sizes at once; the best answer is in use about a second later.
 *   The original's bisection would need some twenty seconds for that. A search whose first size
 *   fails sends the same tests beside its own.
 * - raising: looks for a larger size while the proven one stays in use; tried every 5 minutes.
 */
import type { Timeout } from '../core/clock.js';
import { ETHERNET_HEADER_BYTES, MAX_DATAGRAM_BYTES } from '../core/limits.js';
import {
  ASSUMED_GOOD_MTU,
  COMMON_UNDERLAY_MTU,
  LEAST_MTU,
  PROBE_MTU,
  PROBE_WAITS_MS,
  RAISE_INTERVAL_MS,
  SEARCH_TESTS,
  SEARCH_WAIT_MS,
  SILENT_RETRY_MS,
  SWEEP_WAITS_MS,
  UNKNOWN_MTU,
  VERIFY_INTERVAL_MS,
  VERIFY_WAITS_MS,
} from './pmtu-plan.js';
import { PmtuSweep } from './pmtu-sweep.js';
import { OUTER_HEADER_BYTES } from './wire.js';

export type PmtuState = 'idle' | 'probe' | 'search' | 'verified' | 'verify' | 'sweep';

export interface PathMtuOptions {
  /** Underlay IP packet minus overlay IP packet: see tunnelOverheadBytes. */
  readonly overheadBytes: number;
}

export class PathMtu {
  readonly #overheadBytes: number;
  #state: PmtuState = 'idle';
  #mtu = UNKNOWN_MTU;
  #maxPayloadBytes = MAX_DATAGRAM_BYTES;
  #known = false;
  /** MTU last reported by `pollChange`. */
  #reportedMtu = 0;
  /** Size under test; 0 if none. */
  #candidate = 0;
  #good = 0;
  #bad = 0;
  /** An answer has confirmed `#good`. */
  #proven = false;
  /** The search looks upwards: `#mtu` stays in use until it ends. */
  #raising = false;
  /** Tests sent for the candidate, or rounds of a sweep. */
  #sent = 0;
  #deadlineMs: number | null = null;
  #raiseAtMs = 0;
  #largeTraffic = false;
  readonly #sweep = new PmtuSweep();
  /** Frames to send, oldest first. BOUNDED by one round of a sweep, which replaces it. */
  #tests: number[] = [];

  constructor(options: PathMtuOptions) {
    this.#overheadBytes = options.overheadBytes;
  }

  get state(): PmtuState {
    return this.#state;
  }

  /** Largest overlay IP packet for the DF class. */
  get mtu(): number {
    return this.#mtu;
  }

  /** Largest UDP payload for the DF class. */
  get maxPayloadBytes(): number {
    return this.#maxPayloadBytes;
  }

  /** A value was found, as opposed to the assumption at the start. */
  get known(): boolean {
    return this.#known;
  }

  get candidate(): number {
    return this.#candidate;
  }

  /** The overlay works in both directions: find the MTU unless traffic has begun to already. */
  start(nowMs: number): void {
    if (this.#state === 'idle') this.#beginProbe(nowMs);
  }

  /** A DF datagram of more than trivial size was sent: the size in use is worth verifying. */
  noteLargeTraffic(): void {
    this.#largeTraffic = true;
  }

  /** The path may be another one, since the neighbour's address changed. */
  handlePathChange(nowMs: number): void {
    if (this.#state === 'verified' || this.#state === 'verify') this.#beginVerify(nowMs);
  }

  /**
   * The system refused a DF datagram.
   * @param pathMtuBytes what it holds for the path MTU, 0 if it does not say.
   */
  handleTooBig(pathMtuBytes: number, nowMs: number): void {
    const reported = pathMtuBytes > 0 ? pathMtuBytes : COMMON_UNDERLAY_MTU;
    const mtu = Math.max(LEAST_MTU, Math.min(UNKNOWN_MTU, reported - this.#overheadBytes));
    if (this.#state === 'search') {
      // Refusals of datagrams under way come in bursts; only news restarts the search.
      if (mtu >= this.#candidate) return;
      if (!this.#raising || mtu <= this.#mtu) {
        this.#beginSearch(mtu, nowMs);
        return;
      }
      this.#bad = mtu + 1;
      this.#test(mtu, nowMs);
      return;
    }
    if (!this.#known || mtu < this.#mtu) {
      this.#beginSearch(mtu, nowMs);
      return;
    }
    if (this.#state !== 'probe') return;
    if (mtu > this.#mtu) this.#beginRaise(mtu + 1, mtu, nowMs);
    else this.#settle(this.#mtu, nowMs);
  }

  /** "PMTU verified" arrived. Values that answer no test of ours are ignored. */
  handleVerified(mtu: number, nowMs: number): void {
    switch (this.#state) {
      case 'search':
        if (mtu === this.#candidate) {
          this.#accept(mtu);
          this.#search(nowMs);
        } else this.#handleSweepAnswer(mtu, nowMs);
        return;
      case 'probe':
        if (mtu === PROBE_MTU) this.#settle(UNKNOWN_MTU, nowMs);
        return;
      case 'verify':
        if (mtu === this.#candidate) this.#settle(this.#mtu, nowMs);
        return;
      case 'sweep':
        this.#sweep.answer(mtu);
        if (this.#sweep.isComplete) this.#endSweep(nowMs);
        return;
      case 'verified':
        if (this.#sweep.isLateAnswer(mtu, this.#mtu, nowMs)) this.#settle(mtu, nowMs);
        return;
      case 'idle':
    }
  }

  nextTimeout(): Timeout | null {
    return this.#deadlineMs === null
      ? null
      : { atMs: this.#deadlineMs, reason: `pmtu-${this.#state}` };
  }

  handleTimeout(nowMs: number): void {
    if (this.#deadlineMs === null || nowMs < this.#deadlineMs) return;
    switch (this.#state) {
      case 'idle':
        return;
      case 'probe':
        this.#handleProbeTimeout(nowMs);
        return;
      case 'search':
        if (this.#sent < SEARCH_TESTS) this.#sendSearchTest(nowMs);
        else this.#handleSizeFailed(nowMs);
        return;
      case 'verified':
        this.#handleTick(nowMs);
        return;
      case 'verify':
        if (this.#sent < VERIFY_WAITS_MS.length) this.#sendTest(VERIFY_WAITS_MS, nowMs);
        else this.#beginSweep(nowMs);
        return;
      case 'sweep':
        if (this.#sent < SWEEP_WAITS_MS.length) this.#sendSweepRound(nowMs);
        else this.#endSweep(nowMs);
        return;
    }
  }

  /** @returns length of a special DF frame to send now, or 0. */
  pollTest(): number {
    return this.#tests.shift() ?? 0;
  }

  /** @returns the MTU if it became known or changed since the last call, else 0. */
  pollChange(): number {
    if (!this.#known || this.#mtu === this.#reportedMtu) return 0;
    this.#reportedMtu = this.#mtu;
    return this.#mtu;
  }

  #beginProbe(nowMs: number): void {
    this.#state = 'probe';
    this.#candidate = PROBE_MTU;
    this.#sent = 0;
    this.#sendTest(PROBE_WAITS_MS, nowMs);
  }

  #handleProbeTimeout(nowMs: number): void {
    // The system took the probe but the path did not. If a size is in use, it stays.
    if (this.#known) {
      this.#settle(this.#mtu, nowMs);
      return;
    }
    if (this.#sent < PROBE_WAITS_MS.length) {
      this.#sendTest(PROBE_WAITS_MS, nowMs);
      return;
    }
    this.#beginSweep(nowMs);
  }

  /** From `mtu` downwards; it is used meanwhile, as it most often is right. */
  #beginSearch(mtu: number, nowMs: number): void {
    this.#state = 'search';
    this.#raising = false;
    this.#proven = false;
    this.#sweep.forget();
    this.#good = mtu > ASSUMED_GOOD_MTU ? ASSUMED_GOOD_MTU : LEAST_MTU;
    this.#bad = mtu + 1;
    this.#use(mtu);
    this.#test(mtu, nowMs);
  }

  /** Between the size in use and `bad`, trying `first` at first. */
  #beginRaise(bad: number, first: number, nowMs: number): void {
    this.#state = 'search';
    this.#raising = true;
    this.#proven = true;
    this.#good = this.#mtu;
    this.#bad = bad;
    this.#test(first, nowMs);
  }

  #search(nowMs: number): void {
    if (this.#good + 1 >= this.#bad) {
      if (this.#proven || this.#good === LEAST_MTU) {
        this.#settle(this.#good, nowMs);
        return;
      }
      // The assumption is all that is left: unlike the original, do not trust it untested.
      this.#bad = this.#good + 1;
      this.#good = LEAST_MTU;
      this.#test(ASSUMED_GOOD_MTU, nowMs);
      return;
    }
    this.#test(Math.floor((this.#good + this.#bad) / 2), nowMs);
  }

  #handleSizeFailed(nowMs: number): void {
    const isFirst = !this.#raising && !this.#proven && this.#candidate === this.#mtu;
    this.#bad = this.#candidate;
    this.#search(nowMs);
    if (!isFirst || this.#state !== 'search') return;
    // What the system says is wrong. The bisection goes on as the original's, but answers to
    // these make a proven size usable at once instead of after many waits.
    const sizes = this.#sweep.beginBeside(this.#bad, this.#overheadBytes);
    for (const mtu of sizes) this.#tests.push(mtu + ETHERNET_HEADER_BYTES);
  }

  /** An answer to a test of a sweep while a search goes on. */
  #handleSweepAnswer(mtu: number, nowMs: number): void {
    if ((this.#proven && mtu <= this.#good) || !this.#sweep.has(mtu)) return;
    if (mtu >= this.#bad) {
      if (this.#sweep.isLateAnswer(mtu, this.#mtu, nowMs)) this.#settle(mtu, nowMs);
      return;
    }
    this.#accept(mtu);
    if (this.#candidate <= mtu) this.#search(nowMs);
  }

  /** A size was proven. It is used as soon as the one in use has turned out too large. */
  #accept(mtu: number): void {
    this.#good = mtu;
    this.#proven = true;
    if (this.#bad > this.#mtu) return;
    this.#raising = true;
    this.#use(mtu);
  }

  #test(candidate: number, nowMs: number): void {
    this.#candidate = candidate;
    this.#sent = 0;
    this.#sendSearchTest(nowMs);
  }

  #sendSearchTest(nowMs: number): void {
    this.#tests = [this.#candidate + ETHERNET_HEADER_BYTES];
    this.#deadlineMs = nowMs + SEARCH_WAIT_MS * 2 ** this.#sent;
    this.#sent += 1;
  }

  #sendTest(waitsMs: readonly number[], nowMs: number): void {
    this.#tests = [this.#candidate + ETHERNET_HEADER_BYTES];
    this.#deadlineMs = nowMs + (waitsMs[this.#sent] as number);
    this.#sent += 1;
  }

  #handleTick(nowMs: number): void {
    if (!this.#known || nowMs >= this.#raiseAtMs) {
      this.#beginProbe(nowMs);
      return;
    }
    if (this.#largeTraffic) {
      this.#beginVerify(nowMs);
      return;
    }
    this.#deadlineMs = nowMs + VERIFY_INTERVAL_MS;
  }

  #beginVerify(nowMs: number): void {
    this.#state = 'verify';
    this.#largeTraffic = false;
    this.#candidate = Math.min(this.#mtu, PROBE_MTU);
    this.#sent = 0;
    this.#sendTest(VERIFY_WAITS_MS, nowMs);
  }

  #beginSweep(nowMs: number): void {
    this.#state = 'sweep';
    this.#candidate = 0;
    this.#sweep.begin(Math.min(this.#mtu, PROBE_MTU), this.#overheadBytes);
    this.#sent = 0;
    this.#sendSweepRound(nowMs);
  }

  #sendSweepRound(nowMs: number): void {
    this.#tests = this.#sweep.open().map((mtu) => mtu + ETHERNET_HEADER_BYTES);
    this.#deadlineMs = nowMs + (SWEEP_WAITS_MS[this.#sent] as number);
    this.#sent += 1;
  }

  #endSweep(nowMs: number): void {
    const { best, isComplete } = this.#sweep;
    if (best === 0) {
      // Nothing passes, so size is not the trouble. The heartbeat decides about the connection.
      this.#state = 'verified';
      this.#largeTraffic = true;
      this.#tests = [];
      this.#deadlineMs = nowMs + SILENT_RETRY_MS;
      return;
    }
    if (isComplete) {
      this.#settle(this.#mtu, nowMs);
      return;
    }
    const bad = this.#sweep.end(nowMs);
    this.#use(best);
    this.#known = true;
    this.#raiseAtMs = nowMs + RAISE_INTERVAL_MS;
    if (best + 1 >= bad) {
      this.#settle(best, nowMs);
      return;
    }
    this.#beginRaise(bad, Math.floor((best + bad) / 2), nowMs);
  }

  #settle(mtu: number, nowMs: number): void {
    const keepRaise = this.#known && this.#state === 'verify';
    this.#state = 'verified';
    this.#use(mtu);
    this.#known = true;
    this.#candidate = 0;
    this.#raising = false;
    this.#tests = [];
    if (!keepRaise) this.#raiseAtMs = nowMs + RAISE_INTERVAL_MS;
    this.#deadlineMs = nowMs + VERIFY_INTERVAL_MS;
  }

  #use(mtu: number): void {
    this.#mtu = mtu;
    this.#maxPayloadBytes = Math.min(
      MAX_DATAGRAM_BYTES,
      mtu + this.#overheadBytes - OUTER_HEADER_BYTES,
    );
  }
}
