/**
 * A sign of life in shared memory: the loop's thread writes when its last round began, the main
 * thread reads how long ago that was. performance.now() counts from another start in each thread,
 * so both shift it to the machine's monotonic clock.
 */
export class Heartbeat {
  readonly buffer: SharedArrayBuffer;
  readonly #lastMs: Float64Array;
  readonly #shiftMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();

  /** @param buffer of the other thread's Heartbeat. */
  constructor(buffer = new SharedArrayBuffer(8)) {
    this.buffer = buffer;
    this.#lastMs = new Float64Array(buffer);
  }

  /** @param nowMs performance.now() of this thread. */
  beat(nowMs: number): void {
    this.#lastMs[0] = nowMs + this.#shiftMs;
  }

  /** Milliseconds since the last beat of either thread; Infinity before the first. */
  ageMs(): number {
    const last = this.#lastMs[0] as number;
    if (last === 0) return Number.POSITIVE_INFINITY;
    return Math.max(0, performance.now() + this.#shiftMs - last);
  }
}
