/**
 * Makes bad inputs out of good ones: flipped bits, cut, doubled and spliced parts, edited length
 * fields, random bytes. The same seed gives the same inputs, so a number reproduces a crash.
 */
import { SeededNumbers } from '../support/garbage.js';

/** Longer inputs only repeat what shorter ones show. */
export const MAX_INPUT_BYTES = 64 * 1024;
const MAX_MUTATIONS = 6;
const MAX_RANDOM_BYTES = 512;

/** Values at which lengths, counts and signs go wrong. */
const EDGE_VALUES = [0, 1, 2, 0x7f, 0x80, 0xf8, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000];
const EDGE_WORDS = [0x7fffffff, 0x80000000, 0xa00001, 0xfffffffe, 0xffffffff];

export class Mutator {
  readonly #seeds: readonly Uint8Array[];
  /** Two buffers, since an insertion reads from one and writes into the other. */
  #input = new Uint8Array(MAX_INPUT_BYTES);
  #spare = new Uint8Array(MAX_INPUT_BYTES);
  #inputBytes = 0;
  #numbers = new SeededNumbers(0);

  constructor(seeds: readonly Uint8Array[]) {
    this.#seeds = seeds.filter((seed) => seed.length <= MAX_INPUT_BYTES);
  }

  /** @returns a view that stays valid until the next call. */
  make(seed: number): Uint8Array {
    this.#numbers = new SeededNumbers(seed);
    // Every sixteenth input owes nothing to a valid one.
    if (this.#seeds.length === 0 || this.#numbers.below(16) === 0) this.#fillRandom();
    else this.#load(this.#pickSeed());
    const mutations = this.#numbers.below(MAX_MUTATIONS) + 1;
    for (let count = 0; count < mutations; count += 1) this.#mutate();
    return this.#input.subarray(0, this.#inputBytes);
  }

  #pickSeed(): Uint8Array {
    return this.#seeds[this.#numbers.below(this.#seeds.length)] as Uint8Array;
  }

  #load(bytes: Uint8Array): void {
    this.#input.set(bytes);
    this.#inputBytes = bytes.length;
  }

  #fillRandom(): void {
    this.#inputBytes = this.#numbers.below(MAX_RANDOM_BYTES);
    for (let at = 0; at < this.#inputBytes; at += 1)
      this.#input[at] = this.#numbers.uint32() >>> 24;
  }

  #mutate(): void {
    if (this.#inputBytes === 0) {
      this.#insert(this.#randomPart());
      return;
    }
    const at = this.#numbers.below(this.#inputBytes);
    switch (this.#numbers.below(10)) {
      case 0:
      case 1:
        this.#input[at] = (this.#input[at] as number) ^ (1 << this.#numbers.below(8));
        break;
      case 2:
        this.#input[at] = this.#numbers.uint32() >>> 24;
        break;
      case 3:
        this.#inputBytes = at;
        break;
      case 4:
        this.#remove(at, this.#numbers.below(16) + 1);
        break;
      case 5:
        this.#insert(this.#randomPart());
        break;
      case 6:
        this.#insert(this.#part(this.#input.subarray(0, this.#inputBytes)));
        break;
      case 7:
        this.#splice(at);
        break;
      default:
        this.#editNumber(at);
    }
  }

  #randomPart(): Uint8Array {
    const bytes = new Uint8Array(this.#numbers.below(24) + 1);
    for (let at = 0; at < bytes.length; at += 1) bytes[at] = this.#numbers.uint32() >>> 24;
    return bytes;
  }

  /** A copy of some part, so that it survives the buffer it came from. */
  #part(from: Uint8Array): Uint8Array {
    if (from.length === 0) return this.#randomPart();
    const start = this.#numbers.below(from.length);
    return from.slice(start, start + this.#numbers.below(from.length - start) + 1);
  }

  #remove(at: number, count: number): void {
    this.#input.copyWithin(at, at + count, this.#inputBytes);
    this.#inputBytes = Math.max(at, this.#inputBytes - count);
  }

  #insert(part: Uint8Array): void {
    const at = this.#numbers.below(this.#inputBytes + 1);
    const room = MAX_INPUT_BYTES - this.#inputBytes;
    const added = part.subarray(0, room);
    const target = this.#spare;
    target.set(this.#input.subarray(0, at));
    target.set(added, at);
    target.set(this.#input.subarray(at, this.#inputBytes), at + added.length);
    this.#spare = this.#input;
    this.#input = target;
    this.#inputBytes += added.length;
  }

  /** The head of this input, the tail of another seed. */
  #splice(at: number): void {
    if (this.#seeds.length === 0) return;
    const tail = this.#part(this.#pickSeed()).subarray(0, MAX_INPUT_BYTES - at);
    this.#input.set(tail, at);
    this.#inputBytes = at + tail.length;
  }

  /** Writes an edge value, or one that nearly fits what is left, as a number of 1, 2 or 4 bytes. */
  #editNumber(at: number): void {
    const left = this.#inputBytes - at;
    const width = Math.min([1, 2, 4][this.#numbers.below(3)] as number, left);
    let value: number;
    switch (this.#numbers.below(3)) {
      case 0:
        value = EDGE_VALUES[this.#numbers.below(EDGE_VALUES.length)] as number;
        break;
      case 1:
        value = EDGE_WORDS[this.#numbers.below(EDGE_WORDS.length)] as number;
        break;
      default:
        value = Math.max(0, left - width + this.#numbers.below(5) - 2);
    }
    for (let byte = 0; byte < width; byte += 1) {
      this.#input[at + byte] = value >>> (8 * (width - 1 - byte));
    }
  }
}
