/**
 * Many sizes tested at once: which were sent, which was answered best, and whether an answer that
 * comes late still counts. Part of the path MTU machine.
 */
import { LATE_ANSWER_MS, sweepSizes } from './pmtu-plan.js';

export class PmtuSweep {
  /** Overlay MTUs under test, descending. BOUNDED by the list of sweepSizes plus one. */
  #sizes: readonly number[] = [];
  #best = 0;
  #lateUntilMs = 0;

  /** Largest size answered; 0 if none. */
  get best(): number {
    return this.#best;
  }

  /** The best that can be answered was. */
  get isComplete(): boolean {
    return this.#best !== 0 && this.#best === this.#sizes[0];
  }

  /** Tests `top`, the size in use, and common ones below it. */
  begin(top: number, overheadBytes: number): void {
    this.#sizes = [top, ...sweepSizes(top, overheadBytes)];
    this.#best = 0;
  }

  /** Tests common sizes below `limit` beside a search. @returns them. */
  beginBeside(limit: number, overheadBytes: number): readonly number[] {
    this.#sizes = sweepSizes(limit, overheadBytes);
    this.#best = 0;
    return this.#sizes;
  }

  /** No answer counts any more. */
  forget(): void {
    this.#sizes = [];
    this.#best = 0;
  }

  has(mtu: number): boolean {
    return this.#sizes.includes(mtu);
  }

  /** An answer; values that were not tested are ignored. */
  answer(mtu: number): void {
    if (mtu > this.#best && this.has(mtu)) this.#best = mtu;
  }

  /** Sizes that are worth another round. */
  open(): readonly number[] {
    return this.#sizes.filter((mtu) => mtu > this.#best);
  }

  /** The sweep is over; larger sizes may still be answered a while. @returns the least failed. */
  end(nowMs: number): number {
    this.#lateUntilMs = nowMs + LATE_ANSWER_MS;
    return this.#sizes[this.#sizes.indexOf(this.#best) - 1] as number;
  }

  isLateAnswer(mtu: number, mtuInUse: number, nowMs: number): boolean {
    return nowMs < this.#lateUntilMs && mtu > mtuInUse && this.has(mtu);
  }
}
