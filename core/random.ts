/** Randomness, passed in everywhere so that simulations can repeat a run from its seed. */
export interface Random {
  bytes(count: number): Uint8Array;
  /** Uniform over all 64-bit values. */
  uint64(): bigint;
  /** Uniform in [0, 1). */
  float(): number;
}

/** Uniform integer in [0, limit). */
export function randomBelow(random: Random, limit: number): number {
  return Math.floor(random.float() * limit);
}
