/** The system's random source behind core/random.ts. */
import { randomBytes } from 'node:crypto';
import type { Random } from '../core/random.js';

const TWO_53 = 2 ** 53;

export const systemRandom: Random = {
  bytes: (count) => new Uint8Array(randomBytes(count)),
  uint64: () => randomBytes(8).readBigUInt64BE(),
  float: () => Number(randomBytes(8).readBigUInt64BE() >> 11n) / TWO_53,
};
