/**
 * What this peer has: its copy of the ring, the space of its own ranges, and who holds which
 * address. The three always agree: an address that is held lies in our ranges and is taken out of
 * the free ones, or it is stranded, or it lies outside the range. Source: reference/ipam.md 1, 4.4.
 */
import { type Cidr, formatIpv4, type Ipv4 } from '../core/ip.js';
import type { PeerName } from '../core/peer-name.js';
import type { GossipState } from './codec.js';
import { MAX_RING_ENTRIES } from './codec.js';
import { Conflicts } from './conflicts.js';
import { ANONYMOUS_IDENT } from './interfaces.js';
import { OwnedTable } from './owned.js';
import type { Peers } from './peers.js';
import { type AddressRange, contains, MIN_SUBNET_ADDRESSES, sizeOf } from './range.js';
import { Ring } from './ring.js';
import {
  breakTieByFree,
  checkMergeable,
  mergeRings,
  type Resolution,
  type RingConflict,
} from './ring-merge.js';
import { Space, subtract } from './space.js';
import type { IpamTuning } from './tuning.js';

export interface HoldingsOptions {
  readonly localPeer: PeerName;
  readonly universe: AddressRange;
  readonly tuning: IpamTuning;
}

export interface HoldingsModules {
  readonly peers: Peers;
  readonly count: (event: string) => void;
  readonly warn: (text: string, fields: Record<string, string>) => void;
}

export class Holdings {
  readonly ring: Ring;
  readonly space = new Space();
  readonly owned = new OwnedTable();
  readonly conflicts = new Conflicts();
  readonly #options: HoldingsOptions;
  readonly #modules: HoldingsModules;
  #reportedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: HoldingsOptions, modules: HoldingsModules) {
    this.#options = options;
    this.#modules = modules;
    this.ring = new Ring(options.universe, options.localPeer);
  }

  /** Makes space and holdings follow the ring. Call after every change of it. */
  followRing(): void {
    const lost = this.space.setOwned(this.ring.rangesOf(this.#options.localPeer));
    const stranded = this.owned.heldWithin(lost);
    for (const address of stranded) this.owned.strand(address);
    if (stranded.length > 0) this.#reportStranded(stranded);
    for (const address of [...this.owned.stranded.keys()]) {
      if (!this.space.owns(address)) continue;
      this.space.claim(address);
      this.owned.land(address);
    }
  }

  /** After a restart: everything held takes its place again. */
  settle(): void {
    this.space.setOwned(this.ring.rangesOf(this.#options.localPeer));
    for (const address of this.owned.heldWithin([this.ring.range])) {
      if (!this.space.claim(address)) this.owned.strand(address);
    }
  }

  /**
   * @returns whether our ring changed
   * @throws {ProtocolError} of `checkMergeable`; nothing is changed then
   */
  merge(received: NonNullable<GossipState['ring']>, nowMs: number): boolean {
    const { localPeer } = this.#options;
    checkMergeable(this.ring.state, received);
    const { entries, seeds, changed, raised } = mergeRings(localPeer, this.ring.state, received, {
      isInUse: (range) => this.space.isInUse(range),
      resolve: (conflict) => this.#resolve(conflict, nowMs),
      breakTie: (ours, theirs) =>
        this.#bothHeal(ours.peer, theirs.peer)
          ? byName(ours.peer, theirs.peer)
          : breakTieByFree(ours, theirs),
    });
    this.conflicts.settle(received.peer, nowMs);
    if (!changed && !raised) return false;
    if (entries.length > MAX_RING_ENTRIES) {
      this.#modules.count('ipam-ring-full');
      return false;
    }
    this.ring.install(entries, seeds);
    this.followRing();
    return true;
  }

  /** Writes our free counts into the ring. @returns whether anything changed */
  reportFree(nowMs: number): boolean {
    const due = nowMs - this.#reportedAtMs >= this.#options.tuning.freeReportMs;
    if (due) this.#reportedAtMs = nowMs;
    return this.ring.reportFree(
      (range) => this.space.countFree(range),
      (before, now) => due || (before === 0) !== (now === 0),
    );
  }

  /** The lowest free address within a range that nobody disputes. */
  takeAddress(range: AddressRange): Ipv4 | null {
    for (const part of subtract([range], this.conflicts.ranges)) {
      const address = this.space.allocate(part);
      if (address !== null) return address;
    }
    return null;
  }

  /**
   * A part of our free space within a range, for somebody else; null: there is none. The first and
   * the last address of a subnet alone help nobody, so they are not given away.
   */
  donate(range: AddressRange): AddressRange | null {
    const isSubnet = sizeOf(range) >= MIN_SUBNET_ADDRESSES;
    const inner = { start: range.start + 1, end: range.end - 1 };
    const parts = subtract([range], this.conflicts.ranges);
    const useful = parts.filter((part) => !isSubnet || this.#hasFree(part, inner));
    for (const part of useful) {
      const given =
        sizeOf(part) === 1
          ? this.space.donateAround(part.start as Ipv4, this.#blockSize())
          : this.space.donate(part, isSubnet ? inner : part);
      if (given !== null) return given;
    }
    return null;
  }

  /** @returns whether the address was held by the identifier */
  release(ident: string, address: Ipv4): boolean {
    if (!this.owned.remove(ident, address)) return false;
    this.space.free(address);
    return true;
  }

  hold(ident: string, cidr: Cidr, watched: boolean): void {
    this.owned.add(ident, cidr, watched);
  }

  /** An address found in use: it is held from now on, whoever owns its range. */
  adopt(ident: string, cidr: Cidr, watched: boolean): void {
    const holder = this.owned.holderOf(cidr.address);
    if (holder === ident && watched) this.owned.watch(holder);
    if (holder === ident || (holder !== undefined && ident === ANONYMOUS_IDENT)) return;
    // What is seen counts more than what was stored, which may be older.
    if (holder !== undefined) this.release(holder, cidr.address);
    this.owned.add(ident, cidr, watched);
    if (this.isInUniverse(cidr.address) && !this.space.claim(cidr.address)) {
      this.owned.strand(cidr.address);
    }
  }

  isInUniverse(address: Ipv4): boolean {
    return contains(this.ring.range, address);
  }

  /** A small part of what is free, so that many claims from afar don't empty a small owner. */
  #blockSize(): number {
    const most = this.#options.tuning.claimBlockSize;
    return Math.max(1, Math.min(most, 2 ** Math.floor(Math.log2(this.space.freeCount / 16 + 1))));
  }

  #hasFree(part: AddressRange, inner: AddressRange): boolean {
    const start = Math.max(part.start, inner.start);
    const end = Math.min(part.end, inner.end);
    return start < end && this.space.countFree({ start, end }) > 0;
  }

  #resolve(conflict: RingConflict, nowMs: number): Resolution {
    const { ours, theirs } = conflict;
    const { peers, count, warn } = this.#modules;
    if (this.#bothHeal(ours.peer, theirs.peer)) {
      count('ipam-conflicts-resolved');
      const resolution = this.#options.tuning.resolve(conflict);
      warn('contradicting owners of a range; resolved', {
        range: conflict.text,
        resolution: resolution === 'take' ? 'given up' : 'kept',
        peer: peers.describe(theirs.peer),
      });
      return resolution;
    }
    // An original took the range over while we were away. It would hand out what we hold back:
    // what is in use is asked for at once instead, address by address.
    if (conflict.kind === 'newer') {
      count('ipam-conflicts-resolved');
      warn('a range was taken over by a router of another kind; given up', {
        range: conflict.text,
        peer: peers.describe(theirs.peer),
      });
      return 'take';
    }
    count('ipam-conflicts-quarantined');
    const who = peers.describe(theirs.peer);
    const reason = `${conflict.text}; ${who} is a router of another kind, so it is kept as it is`;
    if (this.conflicts.note(conflict, reason, nowMs)) {
      warn('contradicting owners of a range; nothing is handed out of it', {
        range: conflict.text,
        peer: who,
      });
    }
    return 'keep';
  }

  #bothHeal(a: PeerName, b: PeerName): boolean {
    const { healers } = this.#modules.peers;
    return healers.has(a) && healers.has(b);
  }

  #reportStranded(addresses: readonly Ipv4[]): void {
    this.#modules.count('ipam-ranges-lost-in-use');
    this.#modules.warn('addresses in use lie in a range that another peer has now', {
      addresses: addresses.slice(0, 16).map(formatIpv4).join(' '),
      count: `${addresses.length}`,
    });
  }
}

const byName = (ours: PeerName, theirs: PeerName): Resolution => (theirs < ours ? 'take' : 'keep');
