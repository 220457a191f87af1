/**
 * Requests that wait for an address, and what is done to fulfil them: an address of our own space,
 * or a part of somebody else's. Source: reference/ipam.md 7, 8.3.
 *
 *   allocate ── own space? ── no ──> ask a peer that has some ──> granted: ring update, try again
 *   claim ───── our range? ── no ──> ask its owner             └> denied: ask the next
 */
import type { Timeout } from '../core/clock.js';
import { type Cidr, formatCidr, formatIpv4, type Ipv4 } from '../core/ip.js';
import { formatPeerName, type PeerName, UNKNOWN_PEER } from '../core/peer-name.js';
import type { Random } from '../core/random.js';
import { encodeUnicast } from './codec.js';
import type { Holdings } from './holdings.js';
import {
  type AllocateRequest,
  ANONYMOUS_IDENT,
  type ClaimRequest,
  type IpamResult,
  type RequestId,
} from './interfaces.js';
import type { Outbox } from './outbox.js';
import type { Peers } from './peers.js';
import {
  type AddressRange,
  formatRangeAsCidr,
  hostRangeOf,
  overlaps,
  rangeOf,
  sizeOf,
} from './range.js';
import { Searches } from './searches.js';
import { TICK_MS } from './tuning.js';

export const MAX_REQUESTS = 20_000;
/** A claim of an address whose owner stays unreachable fails at the sixth try. */
const MAX_CLAIM_TRIES = 6;
/** Addresses to claim back per tick. */
const MAX_ASKED_AT_ONCE = 64;

export interface PendingAllocate {
  readonly ident: string;
  readonly subnet: Cidr;
  readonly watched: boolean;
}

export interface PendingClaim extends ClaimRequest {
  /** Made on ticks. */
  tries: number;
  askedAtMs: number;
}

export interface RequestsModules {
  readonly holdings: Holdings;
  readonly peers: Peers;
  readonly outbox: Outbox;
  readonly random: Random;
  /** There is no ring and somebody needs one. */
  readonly onRingNeeded: () => void;
  /** New addresses must not be handed out now. */
  readonly isHeld: () => boolean;
  readonly onUsed: (ident: string) => void;
  /** The workload ended and has not come back. */
  readonly isDead: (ident: string) => boolean;
  readonly count: (event: string) => void;
}

export class Requests {
  readonly #modules: RequestsModules;
  /** All BOUNDED by MAX_REQUESTS together. In order of arrival. */
  readonly primes = new Set<RequestId>();
  readonly claims = new Map<RequestId, PendingClaim>();
  readonly allocates = new Map<RequestId, PendingAllocate>();
  readonly #searches = new Searches();
  /** Addresses of our ranges at the last look. */
  #ownedCount = 0;

  constructor(modules: RequestsModules) {
    this.#modules = modules;
  }

  get size(): number {
    return this.primes.size + this.claims.size + this.allocates.size;
  }

  get isFull(): boolean {
    return this.size >= MAX_REQUESTS;
  }

  allocate(id: RequestId, request: AllocateRequest & { subnet: Cidr }, nowMs: number): void {
    const { subnet } = request;
    const { ring } = this.#modules.holdings;
    if (!overlaps(rangeOf(subnet), ring.range)) {
      const universe = formatRangeAsCidr(ring.range);
      const text = `range ${formatCidr(subnet)} out of bounds: ${universe}`;
      this.#complete(id, { status: 'failed', code: 'ipam-out-of-range', text });
      return;
    }
    this.allocates.set(id, request);
    this.#tryAllocate(id, request, nowMs);
  }

  claim(id: RequestId, request: ClaimRequest, nowMs: number): void {
    const pending = { ...request, tries: 1, askedAtMs: Number.NEGATIVE_INFINITY };
    this.claims.set(id, pending);
    this.#tryClaim(id, pending, nowMs);
  }

  prime(id: RequestId): void {
    this.primes.add(id);
    this.#tryPrime(id);
  }

  cancel(id: RequestId): void {
    const allocate = this.allocates.get(id);
    const claim = this.claims.get(id);
    if (allocate !== undefined) this.#cancelled(id, `Allocate request for ${allocate.ident}`);
    else if (claim !== undefined) this.#cancelled(id, `Claim request for ${claim.ident}`);
    else if (this.primes.has(id)) this.#cancelled(id, 'Prime request');
  }

  cancelOf(ident: string): void {
    for (const [id, request] of this.allocates) if (request.ident === ident) this.cancel(id);
    for (const [id, request] of this.claims) if (request.ident === ident) this.cancel(id);
  }

  cancelAll(): void {
    for (const id of [...this.primes, ...this.claims.keys(), ...this.allocates.keys()]) {
      this.cancel(id);
    }
  }

  /** Something changed that may help: the ring, our space, who can be reached. */
  retry(nowMs: number): void {
    const { usedCount, freeCount } = this.#modules.holdings.space;
    // Whoever was asked has given; others may still be needed.
    if (usedCount + freeCount > this.#ownedCount) this.#searches.clear();
    this.#ownedCount = usedCount + freeCount;
    for (const id of this.primes) this.#tryPrime(id);
    for (const [id, claim] of this.claims) this.#tryClaim(id, claim, nowMs);
    // Whoever waits for a subnet that is exhausted here need not be looked at one by one.
    const exhausted = new Set<string>();
    for (const [id, request] of this.allocates) {
      const key = formatCidr(request.subnet);
      if (exhausted.has(key) && !this.#hasAddress(request)) continue;
      if (!this.#tryAllocate(id, request, nowMs)) exhausted.add(key);
    }
    this.#dropSearches();
  }

  /** Asks again where no answer came. */
  handleTimeout(nowMs: number): void {
    if (this.#searches.nextRepeatMs() > nowMs) return;
    this.retry(nowMs);
    this.#searches.endOverdue(nowMs);
  }

  /** @param tickAtMs of the allocator */
  nextTimeout(tickAtMs: number): Timeout {
    const atMs = this.#searches.nextRepeatMs();
    return atMs < tickAtMs
      ? { atMs, reason: 'ipam-repeat' }
      : { atMs: tickAtMs, reason: 'ipam-tick' };
  }

  /** Every TICK_MS: those who denied may have some by now, lost messages are repeated. */
  handleTick(nowMs: number): void {
    this.#searches.forgetDenials();
    for (const claim of this.claims.values()) claim.tries++;
    this.retry(nowMs);
    this.claimStranded(nowMs);
  }

  handleDenied(range: AddressRange, peer: PeerName, nowMs: number): void {
    const { holdings } = this.#modules;
    this.#searches.handleDenied(range, peer);
    if (sizeOf(range) === 1 && holdings.ring.ownerOf(range.start) === peer) {
      for (const [id, { cidr }] of this.claims) {
        if (cidr.address === range.start) this.#failClaim(id, cidr, peer, '');
      }
      this.#noteDuplicate(range.start as Ipv4, peer);
    }
    this.retry(nowMs);
  }

  /** Addresses in use whose range another peer has are asked for, one by one. */
  claimStranded(nowMs: number): void {
    const { holdings, peers } = this.#modules;
    const { stranded } = holdings.owned;
    if (stranded.size > 0 && holdings.ring.isEmpty) this.#modules.onRingNeeded();
    let asked = 0;
    for (const [address, { duplicate, askedAtMs }] of stranded) {
      const owner = holdings.ring.ownerOf(address);
      const pauseMs = duplicate ? 12 * TICK_MS : TICK_MS;
      if (owner === UNKNOWN_PEER || nowMs - askedAtMs < pauseMs || !peers.isReachable(owner))
        continue;
      if (this.#modules.isHeld()) return;
      holdings.owned.noteAsked(address, nowMs);
      this.#ask(owner, { start: address, end: address + 1 });
      if (++asked >= MAX_ASKED_AT_ONCE) return;
    }
  }

  #tryPrime(id: RequestId): void {
    if (this.#modules.holdings.ring.isEmpty) this.#modules.onRingNeeded();
    if (this.#modules.holdings.ring.isEmpty || !this.primes.has(id)) return;
    this.#complete(id, { status: 'granted', request: 'prime' });
  }

  #hasAddress({ ident, subnet }: PendingAllocate): boolean {
    const { owned } = this.#modules.holdings;
    return ident !== ANONYMOUS_IDENT && owned.find(ident, rangeOf(subnet)) !== undefined;
  }

  /** @returns false if others that wait for this subnet would not succeed either */
  #tryAllocate(id: RequestId, request: PendingAllocate, nowMs: number): boolean {
    const { holdings, outbox, onUsed } = this.#modules;
    const { ident, subnet, watched } = request;
    const { prefixLength } = subnet;
    const known = holdings.owned.find(ident, rangeOf(subnet));
    if (ident !== ANONYMOUS_IDENT && known !== undefined) {
      if (watched) holdings.owned.watch(ident);
      onUsed(ident);
      const cidr = { address: known.address, prefixLength };
      this.#complete(id, { status: 'granted', request: 'allocate', cidr, fresh: false });
      return true;
    }
    if (holdings.ring.isEmpty) this.#modules.onRingNeeded();
    // The vote may have come to an end in the call, and with it this request.
    if (!this.allocates.has(id)) return true;
    if (holdings.ring.isEmpty || this.#modules.isHeld()) return false;
    const address = holdings.takeAddress(hostRangeOf(subnet));
    if (address === null) {
      this.#search(rangeOf(subnet), nowMs);
      return false;
    }
    const cidr = { address, prefixLength };
    holdings.hold(ident, cidr, watched);
    onUsed(ident);
    outbox.save();
    this.#complete(id, { status: 'granted', request: 'allocate', cidr, fresh: true });
    return true;
  }

  /** Asks one peer at a time for space within a subnet. */
  #search(range: AddressRange, nowMs: number): void {
    const { holdings, peers, random } = this.#modules;
    const candidates = {
      isReachable: (peer: PeerName) => peers.isReachable(peer),
      rank: () => holdings.ring.peersToAsk(range, random),
    };
    const peer = this.#searches.choose(range, candidates, nowMs);
    if (peer !== null) this.#ask(peer, range);
  }

  #ask(peer: PeerName, range: AddressRange): void {
    this.#modules.count('ipam-space-requests-sent');
    this.#modules.outbox.unicast(peer, encodeUnicast({ type: 'space-request', range }));
  }

  #tryClaim(id: RequestId, claim: PendingClaim, nowMs: number): void {
    const { holdings, onUsed } = this.#modules;
    const { ident, cidr, optimistic } = claim;
    const { address } = cidr;
    if (this.#tryHeld(id, claim)) return;
    if (!holdings.isInUniverse(address)) {
      this.#grantClaim(id, claim);
      return;
    }
    onUsed(ident);
    if (holdings.ring.isEmpty) this.#modules.onRingNeeded();
    if (!this.claims.has(id)) return;
    const owner = holdings.ring.ownerOf(address);
    if (owner === UNKNOWN_PEER) {
      if (optimistic) this.#grantInAdvance(id, claim);
    } else if (!holdings.space.owns(address)) {
      this.#askForClaim(id, claim, owner, nowMs);
    } else if (this.#modules.isHeld()) {
      return;
    } else if (holdings.space.claim(address)) {
      this.#grantClaim(id, claim);
    } else {
      const text = `Address ${formatIpv4(address)} is not free to claim`;
      this.#complete(id, { status: 'failed', code: 'ipam-not-free', text });
    }
  }

  /** The address is held on this host. @returns whether that settles the claim */
  #tryHeld(id: RequestId, { ident, cidr, watched }: PendingClaim): boolean {
    const { holdings, onUsed } = this.#modules;
    const holder = holdings.owned.holderOf(cidr.address);
    if (holder === undefined) return false;
    const inside = holdings.isInUniverse(cidr.address);
    const anonymous = holder === formatIpv4(cidr.address);
    if (holder === ident || ident === ANONYMOUS_IDENT) {
      if (watched && holder === ident) holdings.owned.watch(ident);
      onUsed(holder);
      this.#complete(id, { status: 'granted', request: 'claim', fresh: false });
      return true;
    }
    if (!inside && this.#modules.isDead(holder)) {
      holdings.release(holder, cidr.address);
      return false;
    }
    const used = `address ${formatCidr(cidr)} already in use`;
    const text = !inside
      ? `${used} by ${holder}`
      : anonymous
        ? used
        : `address ${formatCidr(cidr)} is already owned by ${holder}`;
    this.#complete(id, { status: 'failed', code: 'ipam-address-in-use', text });
    return true;
  }

  #askForClaim(id: RequestId, claim: PendingClaim, owner: PeerName, nowMs: number): void {
    const { address } = claim.cidr;
    if (!this.#modules.peers.isReachable(owner)) {
      const reason = ` - unknown relay destination: ${formatPeerName(owner)}`;
      if (claim.optimistic) this.#grantInAdvance(id, claim);
      else if (claim.tries >= MAX_CLAIM_TRIES) this.#failClaim(id, claim.cidr, owner, reason);
      return;
    }
    if (nowMs - claim.askedAtMs < TICK_MS) return;
    claim.askedAtMs = nowMs;
    this.#ask(owner, { start: address, end: address + 1 });
  }

  #failClaim(id: RequestId, cidr: Cidr, owner: PeerName, reason: string): void {
    const nickname = this.#modules.peers.nicknames.get(owner);
    const who = formatPeerName(owner) + (nickname === undefined ? '' : ` (${nickname})`);
    const text = `address ${formatCidr(cidr)} is owned by other peer ${who}${reason}`;
    const code = reason === '' ? 'ipam-owned-by-peer' : 'ipam-unreachable-owner';
    this.#complete(id, { status: 'failed', code, text });
  }

  #grantClaim(id: RequestId, { ident, cidr, watched }: PendingClaim): void {
    this.#modules.holdings.hold(ident, cidr, watched);
    this.#modules.onUsed(ident);
    this.#modules.outbox.save();
    this.#complete(id, { status: 'granted', request: 'claim', fresh: true });
  }

  /** Success before the owner has agreed: the address is held, and claimed for as long as that. */
  #grantInAdvance(id: RequestId, claim: PendingClaim): void {
    this.#modules.holdings.hold(claim.ident, claim.cidr, claim.watched);
    this.#modules.holdings.owned.strand(claim.cidr.address);
    this.#modules.outbox.save();
    this.#complete(id, { status: 'granted', request: 'claim', fresh: true });
  }

  #noteDuplicate(address: Ipv4, owner: PeerName): void {
    const { holdings, outbox, peers, count } = this.#modules;
    const stranded = holdings.owned.stranded.get(address);
    if (stranded === undefined || stranded.duplicate) return;
    holdings.owned.markDuplicate(address);
    count('ipam-duplicates');
    outbox.log('warn', 'an address in use here is in use at another peer too', {
      address: formatIpv4(address),
      ident: holdings.owned.holderOf(address),
      peer: peers.describe(owner),
    });
  }

  /** Searches that nobody waits for any more. */
  #dropSearches(): void {
    const wanted = new Set(
      [...this.allocates.values()].map(({ subnet }) => formatRangeAsCidr(rangeOf(subnet))),
    );
    this.#searches.keep((key) => wanted.has(key));
  }

  #cancelled(id: RequestId, what: string): void {
    this.#complete(id, { status: 'failed', code: 'ipam-cancelled', text: `${what} cancelled` });
  }

  #complete(id: RequestId, result: IpamResult): void {
    this.primes.delete(id);
    this.claims.delete(id);
    this.allocates.delete(id);
    this.#modules.outbox.complete(id, result);
  }
}
