/** What the controller has done so far: plain numbers, read by the status pages and the metrics. */

/** Upper ends in seconds, from the first change of a transaction to the kernel's answer. */
export const DELAY_BUCKETS_S = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10] as const;
/** Codes beyond this share one entry: they come from programs and servers outside. */
const MAX_CODES = 64;
const OTHER_CODE = 'other';

export class NpcCounters {
  fullApplies = 0;
  changeApplies = 0;
  repairs = 0;
  lostEvents = 0;
  lostPackets = 0;
  malformedMessages = 0;
  /** Times that the API did not answer or answered with an error. */
  apiFailures = 0;
  /** Objects skipped or taken with a correction, since the start. */
  objectProblems = 0;
  #delaySum = 0;
  readonly #delays = new Array<number>(DELAY_BUCKETS_S.length + 1).fill(0);
  /** BOUNDED by MAX_CODES. */
  readonly #failures = new Map<string, number>();

  addApply(full: boolean, waitedMs: number): void {
    if (full) this.fullApplies += 1;
    else this.changeApplies += 1;
    const seconds = waitedMs / 1000;
    const slot = DELAY_BUCKETS_S.findIndex((end) => seconds <= end);
    const index = slot < 0 ? DELAY_BUCKETS_S.length : slot;
    this.#delays[index] = (this.#delays[index] ?? 0) + 1;
    this.#delaySum += seconds;
  }

  addFailure(code: string): void {
    const known = this.#failures.has(code) || this.#failures.size < MAX_CODES;
    const key = known ? code : OTHER_CODE;
    this.#failures.set(key, (this.#failures.get(key) ?? 0) + 1);
  }

  /** By code. */
  failures(): ReadonlyMap<string, number> {
    return this.#failures;
  }

  /** `counts` has one entry per bucket and one for everything above the last. */
  delays(): { readonly counts: readonly number[]; readonly sum: number } {
    return { counts: this.#delays, sum: this.#delaySum };
  }
}
