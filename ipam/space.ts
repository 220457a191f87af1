/**
 * The addresses of our own ranges: which are handed out and which are free. Always exactly the
 * ranges that the ring says are ours; `setOwned` makes it so. Source: reference/ipam.md 5.
 */
import { strict as assert } from 'node:assert';
import type { Ipv4 } from '../core/ip.js';
import {
  type AddressRange,
  contains,
  largestBlock,
  mergeAdjacent,
  overlaps,
  sizeOf,
} from './range.js';
import { RangeSet } from './range-set.js';

export class Space {
  readonly #owned = new RangeSet();
  readonly #free = new RangeSet();

  get freeCount(): number {
    return this.#free.size;
  }

  /** Handed out. */
  get usedCount(): number {
    return this.#owned.size - this.#free.size;
  }

  get freeRanges(): readonly AddressRange[] {
    return this.#free.ranges;
  }

  get ownedRanges(): readonly AddressRange[] {
    return this.#owned.ranges;
  }

  /** Handed-out addresses as ranges, ascending. */
  usedRanges(): AddressRange[] {
    const used = new RangeSet();
    for (const range of this.#owned.ranges) used.add(range);
    for (const range of this.#free.ranges) used.remove(range);
    return [...used.ranges];
  }

  owns(address: number): boolean {
    return this.#owned.has(address);
  }

  isFree(address: number): boolean {
    return this.#free.has(address);
  }

  /** Not all of the range is free; addresses that are not ours count as in use. */
  isInUse(range: AddressRange): boolean {
    return this.#free.countWithin(range) !== sizeOf(range);
  }

  countFree(range: AddressRange): number {
    return this.#free.countWithin(range);
  }

  countOwned(range: AddressRange): number {
    return this.#owned.countWithin(range);
  }

  /**
   * New ranges begin free; of ranges that are not ours any more nothing remains here.
   * @param ranges disjoint, ascending
   * @returns ranges that we had and lost, handed-out addresses in them included
   */
  setOwned(ranges: readonly AddressRange[]): AddressRange[] {
    const next = mergeAdjacent(ranges.filter((range) => sizeOf(range) > 0));
    const lost = subtract(this.#owned.ranges, next);
    const gained = subtract(next, this.#owned.ranges);
    for (const range of lost) {
      this.#owned.remove(range);
      this.#free.remove(range);
    }
    for (const range of gained) {
      this.#owned.add(range);
      this.#free.add(range);
    }
    return lost;
  }

  /** The lowest free address within a range; null: none is. */
  allocate(range: AddressRange): Ipv4 | null {
    for (const { start } of this.#free.within(range)) {
      this.#free.remove({ start, end: start + 1 });
      return start as Ipv4;
    }
    return null;
  }

  /** @returns false if the address is not free */
  claim(address: Ipv4): boolean {
    if (!this.#free.has(address)) return false;
    this.#free.remove({ start: address, end: address + 1 });
    return true;
  }

  /** @returns false if the address is not ours or already free */
  free(address: Ipv4): boolean {
    if (!this.#owned.has(address) || this.#free.has(address)) return false;
    this.#free.add({ start: address, end: address + 1 });
    return true;
  }

  /**
   * A part of the free addresses within a range that we can give away: the largest aligned block,
   * the last of several, but not more than half of what is free there. It leaves our space.
   * @param useful what the block must have an address of
   * @returns null: nothing is free
   */
  donate(range: AddressRange, useful: AddressRange = range): AddressRange | null {
    let best: AddressRange | null = null;
    for (const chunk of this.#free.within(range)) {
      if (best !== null && sizeOf(chunk) < sizeOf(best)) continue;
      const block = largestBlock(chunk);
      if (!overlaps(block, useful)) continue;
      if (best === null || sizeOf(block) >= sizeOf(best)) best = block;
    }
    if (best === null) return null;
    // Rounded up: else one address in use made of a half a quarter.
    const half = Math.ceil(this.#free.countWithin(range) / 2);
    if (sizeOf(best) > half) {
      best = { start: best.start + Math.floor(sizeOf(best) / 2), end: best.end };
    }
    this.remove(best);
    return best;
  }

  /**
   * A small aligned block around a free address, all of it free, that we can give away with it.
   * @returns null: the address is not free
   */
  donateAround(address: Ipv4, maxSize: number): AddressRange | null {
    if (!this.#free.has(address)) return null;
    let best: AddressRange = { start: address, end: address + 1 };
    for (let size = 2; size <= maxSize; size *= 2) {
      const start = address - (address % size);
      const block = { start, end: start + size };
      if (this.#free.countWithin(block) !== size) break;
      best = block;
    }
    this.remove(best);
    return best;
  }

  /** Takes free addresses out of our space: they are given away. */
  remove(range: AddressRange): void {
    assert(!this.isInUse(range), 'addresses in use are never given away');
    this.#owned.remove(range);
    this.#free.remove(range);
  }
}

/** What of `from` is not in `what`. */
export function subtract(
  from: readonly AddressRange[],
  what: readonly AddressRange[],
): AddressRange[] {
  const rest = new RangeSet();
  for (const range of from) rest.add(range);
  for (const range of what) rest.remove(range);
  return [...rest.ranges];
}

/** Whether an address lies in one of several ranges. */
export function inRanges(ranges: readonly AddressRange[], address: number): boolean {
  return ranges.some((range) => contains(range, address));
}
