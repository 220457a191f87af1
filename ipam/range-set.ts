/** A set of addresses, kept as disjoint ranges that don't touch, in ascending order. */
import type { AddressRange } from './range.js';

export class RangeSet {
  /** BOUNDED by the addresses handed out: between two ranges lies at least one. */
  #ranges: AddressRange[] = [];
  #size = 0;

  /** Addresses in the set. */
  get size(): number {
    return this.#size;
  }

  get ranges(): readonly AddressRange[] {
    return this.#ranges;
  }

  has(address: number): boolean {
    const range = this.#ranges[this.#indexFor(address)];
    return range !== undefined && range.start <= address;
  }

  /** Adds what of the range is not in the set. */
  add({ start, end }: AddressRange): void {
    if (start >= end) return;
    // All that overlap or touch become one.
    let first = this.#indexFor(start);
    if (first > 0 && this.#ranges[first - 1]?.end === start) first--;
    let last = first;
    let merged = { start, end };
    for (; last < this.#ranges.length; last++) {
      const range = this.#ranges[last] as AddressRange;
      if (range.start > end) break;
      merged = { start: Math.min(merged.start, range.start), end: Math.max(merged.end, range.end) };
      this.#size -= range.end - range.start;
    }
    this.#ranges.splice(first, last - first, merged);
    this.#size += merged.end - merged.start;
  }

  /** Removes what of the range is in the set. */
  remove({ start, end }: AddressRange): void {
    if (start >= end) return;
    const first = this.#indexFor(start);
    const rest: AddressRange[] = [];
    let last = first;
    for (; last < this.#ranges.length; last++) {
      const range = this.#ranges[last] as AddressRange;
      if (range.start >= end) break;
      this.#size -= range.end - range.start;
      if (range.start < start) rest.push({ start: range.start, end: start });
      if (range.end > end) rest.push({ start: end, end: range.end });
    }
    if (last === first) return;
    this.#ranges.splice(first, last - first, ...rest);
    for (const range of rest) this.#size += range.end - range.start;
  }

  clear(): void {
    this.#ranges = [];
    this.#size = 0;
  }

  /** The parts of the set within a range, ascending. */
  *within(range: AddressRange): Iterable<AddressRange> {
    for (let i = this.#indexFor(range.start); i < this.#ranges.length; i++) {
      const part = this.#ranges[i] as AddressRange;
      const start = Math.max(part.start, range.start);
      const end = Math.min(part.end, range.end);
      if (start >= end) return;
      yield { start, end };
    }
  }

  countWithin(range: AddressRange): number {
    let count = 0;
    for (const { start, end } of this.within(range)) count += end - start;
    return count;
  }

  /** Index of the first range that ends behind the address. */
  #indexFor(address: number): number {
    let low = 0;
    let high = this.#ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#ranges[middle] as AddressRange).end <= address) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
