/**
 * Who owns which part of the address range: a list of tokens, each the start of a range that
 * reaches to the next token. Tokens are never removed; the owner of an entry alone changes it, and
 * raises its version. All operations change this peer's copy; merging copies is ring-merge.ts.
 * Source: reference/ipam.md 2.3, 3.
 */
import { strict as assert } from 'node:assert';
import { ProtocolError } from '../core/errors.js';
import { formatIpv4, type Ipv4 } from '../core/ip.js';
import { type PeerName, UNKNOWN_PEER } from '../core/peer-name.js';
import type { Random } from '../core/random.js';
import type { RingEntry, RingState } from './interfaces.js';
import { type AddressRange, overlaps, sizeOf } from './range.js';

export const MAX_VERSION = 2 ** 32 - 1;
/** So much that a taken-over peer does not overtake it by the changes it makes by itself. */
export const TAKE_OVER_INCREMENT = 2 ** 20;
/** What the original adds; enough to pass on what is our own. */
export const HAND_OVER_INCREMENT = 100;

/** A range with its owner; one that reaches around the end of the ring is two. */
export interface OwnedRange extends AddressRange {
  readonly peer: PeerName;
  readonly version: number;
}

/** The next version; it stays at the end of its 32 bits. */
export function raise(version: number, increment = 1): number {
  return Math.min(version + increment, MAX_VERSION);
}

/** From a token to the next, around the end; the whole ring if they are the same. */
export function distance(ring: AddressRange, from: number, to: number): number {
  return to > from ? to - from : ring.end - from + (to - ring.start);
}

/**
 * @throws {ProtocolError} `ipam-ring-invalid`, with the original's text: not ascending, a token
 *   twice or outside of the ring's range, more free addresses than there are
 */
export function checkRing({ start, end, entries }: RingState): void {
  const fail = (text: string): never => {
    throw new ProtocolError('ipam-ring-invalid', text);
  };
  const ascending = entries.every(
    ({ token }, i) => token >= (entries[i - 1]?.token ?? Number.NEGATIVE_INFINITY),
  );
  if (!ascending) fail('Ring not sorted');
  const repeated = entries.some(({ token }, i) => token === entries[i - 1]?.token);
  if (repeated) fail('Token appears twice in ring');
  const [first] = entries;
  const last = entries.at(-1);
  if (first === undefined || last === undefined) return;
  if (first.token < start || last.token >= end) fail('Token is out of range');
  for (const [i, { token, free }] of entries.entries()) {
    const next = (entries[i + 1] ?? first).token;
    const most = distance({ start, end }, token, next);
    if (free > most) {
      const range = `${formatIpv4(token)}-${formatIpv4(next)}`;
      fail(`Entry ${range} reporting too much free space: ${free} > ${most}`);
    }
  }
}

export class Ring {
  readonly range: AddressRange;
  readonly #localPeer: PeerName;
  /** By token. BOUNDED by MAX_RING_ENTRIES of the codec. */
  #entries: RingEntry[] = [];
  /** Computed from the entries; null: they have changed since. */
  #ranges: readonly OwnedRange[] | null = null;
  #owners: ReadonlySet<PeerName> | null = null;
  #seeds: readonly PeerName[] = [];

  constructor(range: AddressRange, localPeer: PeerName) {
    this.range = range;
    this.#localPeer = localPeer;
  }

  get isEmpty(): boolean {
    return this.#entries.length === 0;
  }

  get entries(): readonly RingEntry[] {
    return this.#entries;
  }

  get seeds(): readonly PeerName[] {
    return this.#seeds;
  }

  get state(): RingState {
    const { start, end } = this.range;
    return { start: start as Ipv4, end, entries: this.#entries, seeds: this.#seeds };
  }

  /** From the store or a merge. @throws {ProtocolError} `ipam-ring-invalid` */
  install(entries: readonly RingEntry[], seeds: readonly PeerName[]): void {
    checkRing({ ...this.state, entries, seeds });
    this.#seeds = seeds;
    this.#replace([...entries]);
  }

  /** The first division, the same wherever it is made from the same names. */
  divide(peers: readonly PeerName[]): void {
    const seeds = [...new Set(peers)].sort((a, b) => a - b);
    assert(seeds.length > 0, 'nobody to divide the range among');
    const entries: RingEntry[] = [];
    const split = (start: number, share: number, among: readonly PeerName[]): void => {
      const [peer] = among;
      if (share === 0 || peer === undefined) return;
      if (share === 1 || among.length === 1) {
        entries.push({ token: start as Ipv4, peer, version: 0, free: share });
        return;
      }
      const lower = Math.floor(share / 2);
      const few = among.length >> 1;
      split(start, lower, among.slice(0, few));
      split(start + lower, share - lower, among.slice(few));
    };
    split(this.range.start, sizeOf(this.range), seeds);
    this.#seeds = seeds;
    this.#replace(entries);
  }

  /** A range of ours, all of it, becomes another peer's. */
  grant({ start, end }: AddressRange, peer: PeerName): void {
    assert(start < end && start >= this.range.start && end <= this.range.end, 'range in the ring');
    const at = this.#indexBefore(start);
    const before = this.#entries[at] as RingEntry;
    assert.equal(before.peer, this.#localPeer, 'only what is ours can be granted');
    const free = Math.min(end - start, this.#distanceToNext(at, start));
    let next = at + 1;
    if (before.token === start) {
      this.#entries[at] = { ...before, peer, version: raise(before.version), free };
    } else {
      const kept = distance(this.range, before.token, start);
      this.#entries[at] = { ...before, version: raise(before.version), free: kept };
      // In front of the first token lies the wrapped part of the last range.
      next = start < before.token ? 0 : at + 1;
      this.#entries.splice(next, 0, { token: start as Ipv4, peer, version: 0, free });
      next++;
    }
    for (; next < this.#entries.length; next++) {
      const entry = this.#entries[next] as RingEntry;
      if (entry.token >= end) break;
      assert.equal(entry.peer, this.#localPeer, 'only what is ours can be granted');
      const most = Math.min(entry.free, distance(this.range, entry.token, end));
      this.#entries[next] = { ...entry, peer, version: raise(entry.version), free: most };
    }
    this.#placeToken(end === this.range.end ? this.range.start : end);
    this.#replace(this.#entries);
  }

  /**
   * All ranges of a peer become another's. @returns the ranges
   * @param increment of the versions: more than what others may have changed meanwhile
   */
  transfer(from: PeerName, to: PeerName, increment: number): AddressRange[] {
    const ranges = this.rangesOf(from);
    this.#replace(
      this.#entries.map((entry) =>
        entry.peer === from
          ? { ...entry, peer: to, version: raise(entry.version, increment) }
          : entry,
      ),
    );
    return ranges;
  }

  /**
   * Writes how much is free in our ranges. @param countFree free addresses within a range
   * @param shouldReport whether a change from one count to another is worth a new version
   * @returns whether anything changed
   */
  reportFree(
    countFree: (range: AddressRange) => number,
    shouldReport: (before: number, now: number) => boolean = () => true,
  ): boolean {
    let changed = false;
    for (const [i, entry] of this.#entries.entries()) {
      if (entry.peer !== this.#localPeer) continue;
      const free = this.#partsOf(i).reduce((sum, part) => sum + countFree(part), 0);
      if (free === entry.free || !shouldReport(entry.free, free)) continue;
      this.#entries[i] = { ...entry, free, version: raise(entry.version) };
      changed = true;
    }
    if (changed) this.#replace(this.#entries);
    return changed;
  }

  ownerOf(address: number): PeerName {
    return this.#entries[this.#indexBefore(address)]?.peer ?? UNKNOWN_PEER;
  }

  /** In the order of their first tokens. */
  owners(): ReadonlySet<PeerName> {
    this.#owners ??= new Set(this.#entries.map(({ peer }) => peer));
    return this.#owners;
  }

  hasOwner(peer: PeerName): boolean {
    return this.owners().has(peer);
  }

  /** All ranges in the order of their tokens; what reaches around the end comes first. */
  ranges(): readonly OwnedRange[] {
    this.#ranges ??= this.#computeRanges();
    return this.#ranges;
  }

  rangesOf(peer: PeerName): AddressRange[] {
    return this.ranges()
      .filter((range) => range.peer === peer)
      .map(({ start, end }) => ({ start, end }));
  }

  /** Free addresses per owner, as they said last, within a range. Ourselves left out. */
  freeByPeer(range: AddressRange): Map<PeerName, number> {
    const sums = new Map<PeerName, number>();
    for (const [i, { peer, free }] of this.#entries.entries()) {
      if (peer === this.#localPeer || free === 0) continue;
      if (!this.#partsOf(i).some((part) => overlaps(part, range))) continue;
      sums.set(peer, (sums.get(peer) ?? 0) + free);
    }
    return sums;
  }

  /** Whom to ask for space within a range: more free, more likely first. */
  peersToAsk(range: AddressRange, random: Random): PeerName[] {
    return [...this.freeByPeer(range)]
      .map(([peer, free]) => ({ peer, rank: free * random.float() }))
      .sort((a, b) => b.rank - a.rank)
      .map(({ peer }) => peer);
  }

  #replace(entries: RingEntry[]): void {
    this.#entries = entries;
    this.#ranges = null;
    this.#owners = null;
  }

  #computeRanges(): OwnedRange[] {
    const ranges: OwnedRange[] = [];
    const wrapped: OwnedRange[] = [];
    for (const [i, { peer, version }] of this.#entries.entries()) {
      const [head, rest] = this.#partsOf(i);
      if (head !== undefined) ranges.push({ start: head.start, end: head.end, peer, version });
      if (rest !== undefined) wrapped.push({ start: rest.start, end: rest.end, peer, version });
    }
    return [...wrapped, ...ranges];
  }

  /** The range of an entry: up to the next token, in two if around the end of the ring. */
  #partsOf(index: number): AddressRange[] {
    const { token } = this.#entries[index] as RingEntry;
    const following = this.#entries[index + 1];
    if (following !== undefined) return [{ start: token, end: following.token }];
    const { start, end } = this.range;
    const first = (this.#entries[0] as RingEntry).token;
    const head = { start: token, end };
    return first === start ? [head] : [head, { start, end: first }];
  }

  /** Index of the entry with the largest token up to an address, around the start; -1: none. */
  #indexBefore(address: number): number {
    let low = 0;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#entries[middle] as RingEntry).token <= address) low = middle + 1;
      else high = middle;
    }
    return low === 0 ? this.#entries.length - 1 : low - 1;
  }

  #distanceToNext(index: number, from: number): number {
    const next = this.#entries[(index + 1) % this.#entries.length] as RingEntry;
    return distance(this.range, from, next.token);
  }

  /** What lies behind a grant stays ours, under a token of its own. */
  #placeToken(token: number): void {
    const at = this.#indexBefore(token);
    if (this.#entries[at]?.token === token) return;
    const following = this.#distanceToNext(at, token);
    const entry = { token: token as Ipv4, peer: this.#localPeer, version: 0, free: following };
    const index = this.#entries.findIndex((other) => other.token > token);
    this.#entries.splice(index < 0 ? this.#entries.length : index, 0, entry);
  }
}
