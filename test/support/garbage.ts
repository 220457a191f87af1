/** Bad bytes for a router's ports, the same ones for the same seed. */

/** xorshift32: small, fast and repeatable; nothing here needs more. */
export class SeededNumbers {
  #state: number;

  constructor(seed: number) {
    // Neighbouring seeds must not give neighbouring states; zero would stay zero for ever.
    this.#state = (Math.imul(seed + 1, 0x9e3779b1) ^ 0x5bd1e995) >>> 0 || 1;
  }

  /** Uniform in 0 … 2^32 − 1. */
  uint32(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state;
  }

  below(limit: number): number {
    return this.uint32() % limit;
  }
}

export function seededBytes(seed: number, count: number): Uint8Array {
  const numbers = new SeededNumbers(seed);
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count; at += 1) bytes[at] = numbers.uint32() >>> 24;
  return bytes;
}

/** A valid header of a TCP session: magic, lowest and highest protocol version. */
const GREETING = Buffer.from('weave\x01\x02', 'latin1');

/** Random bytes, a valid greeting with random bytes behind it, or zeros, of up to 3 kB. */
export function garbageInput(seed: number): Uint8Array {
  const numbers = new SeededNumbers(seed);
  const body = seededBytes(seed, numbers.below(3000));
  switch (numbers.below(4)) {
    case 0:
      return new Uint8Array(body.length);
    case 1:
      return Buffer.concat([GREETING, body]);
    case 2:
      // A length of up to 4 GiB in front, as a hostile peer would claim it.
      return Buffer.concat([GREETING, Buffer.from([0]), Buffer.from([255, 255, 255, 255]), body]);
    default:
      return body;
  }
}
