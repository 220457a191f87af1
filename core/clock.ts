/** Time, passed in everywhere so that tests own it. */
export interface Clock {
  /** Milliseconds from an arbitrary start, never going back. Timers of machines use this. */
  nowMs(): number;
  /** Milliseconds since 1970, for what people read. */
  wallMs(): number;
}

export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
};

/** What a machine answers when asked for its next wake-up. */
export interface Timeout {
  readonly atMs: number;
  /** Constant text for traces, e.g. `heartbeat`. */
  readonly reason: string;
}

/** The earlier of two wake-ups; `null` means none. */
export function earliest(a: Timeout | null, b: Timeout | null): Timeout | null {
  if (a === null) return b;
  if (b === null) return a;
  return b.atMs < a.atMs ? b : a;
}
