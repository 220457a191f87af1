/** Randomness that repeats from its seed (the public-domain generator sfc32). */
import type { Random } from '../../core/random.js';

export class SeededRandom implements Random {
  #a: number;
  #b = 0x9e3779b9;
  #c = 0x243f6a88;
  #counter = 1;

  constructor(seed: number) {
    this.#a = seed >>> 0;
    for (let i = 0; i < 16; i++) this.uint32();
  }

  uint32(): number {
    const value = (((this.#a + this.#b) >>> 0) + this.#counter) >>> 0;
    this.#counter = (this.#counter + 1) >>> 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) >>> 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + value) >>> 0;
    return value;
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.uint32() & 255);
  }

  uint64(): bigint {
    return (BigInt(this.uint32()) << 32n) | BigInt(this.uint32());
  }

  float(): number {
    return this.uint32() / 2 ** 32;
  }

  below(limit: number): number {
    return Math.floor(this.float() * limit);
  }

  chance(probability: number): boolean {
    return this.float() < probability;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}

/**
 * Runs a simulation for several seeds. `SIM_SEED` runs a single one; a failure names its seed.
 * @param first differs between tests so that they do not all see the same luck
 */
export function forSeeds(first: number, count: number, run: (random: SeededRandom) => void): void {
  const wanted = process.env['SIM_SEED'];
  const seeds =
    wanted === undefined ? Array.from({ length: count }, (_, i) => first + i) : [Number(wanted)];
  for (const seed of seeds) {
    try {
      run(new SeededRandom(seed));
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      throw new Error(`with SIM_SEED=${seed}: ${text}`, { cause: error });
    }
  }
}
