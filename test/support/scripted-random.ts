/** Randomness that a test dictates: the ids and keys of a recorded run. */
import type { Random } from '../../core/random.js';

export interface Script {
  readonly uint64?: readonly bigint[];
  readonly bytes?: readonly Uint8Array[];
}

/** Hands out the scripted values in order and fails when there are none left. */
export class ScriptedRandom implements Random {
  readonly #uint64: bigint[];
  readonly #bytes: Uint8Array[];

  constructor(script: Script) {
    this.#uint64 = [...(script.uint64 ?? [])];
    this.#bytes = (script.bytes ?? []).map((value) => value.slice());
  }

  bytes(count: number): Uint8Array {
    const value = this.#bytes.shift();
    if (value?.length !== count) throw new Error(`script has no ${count} random bytes`);
    return value;
  }

  uint64(): bigint {
    const value = this.#uint64.shift();
    if (value === undefined) throw new Error('script has no random 64-bit number');
    return value;
  }

  float(): number {
    throw new Error('script has no fractions');
  }
}
