/**
 * Which peer a MAC address lives at, learnt from the source addresses of frames.
 * Source: reference/wire-protocol.md 12.1, 12.2, 12.5, notes C7 and C8.
 *
 * BOUNDED twice: `maxMacs` in all and `maxMacsPerPeer` for each peer, so that one peer that makes
 * up addresses only loses its own. When a bound is met the entry seen least recently goes: of
 * that peer, or of the peer that has most. A lost entry costs flooding until it is learnt again.
 */
import type { Timeout } from '../core/clock.js';
import type { Mac } from '../core/mac.js';
import type { PeerName } from '../core/peer-name.js';
import type { MacStatus } from './status.js';

export interface MacTableOptions {
  readonly localPeer: PeerName;
  readonly maxMacs?: number;
  readonly maxMacsPerPeer?: number;
}

const MAX_AGE_MS = 10 * 60_000;
const REFRESH_MS = 60_000;
const SCAN_MS = 60_000;
/**
 * A frame captured with a remote workload's address is our own injection coming back, or the
 * workload has moved here. Injections come back within milliseconds, so silence from the old peer
 * for this long tells the two apart. It also is what a moved workload may have to wait.
 */
export const TAKEOVER_GUARD_MS = 2_000;
/** The group bit of the first octet, as a divisor: bit 40 of the number. */
const GROUP_BIT = 2 ** 40;

interface MacEntry {
  readonly mac: number;
  peer: PeerName;
  /** Refreshed once a minute; what ageing and eviction look at. */
  seenMs: number;
  /** The last frame received from the remote peer, but for those of a run. Guards the take-over. */
  remoteFrameMs: number;
}

export class MacTable {
  readonly #localPeer: PeerName;
  readonly #maxMacs: number;
  readonly #maxMacsPerPeer: number;
  readonly #macs = new Map<number, MacEntry>();
  /** Each peer's entries, least recently seen first: a refresh moves an entry to the end. */
  readonly #byPeer = new Map<PeerName, Map<number, MacEntry>>();
  /** The entries asked for last, since frames come in runs of one flow. */
  #lastLearnt: MacEntry | undefined;
  #lastLookup: MacEntry | undefined;
  #scanAtMs: number | null = null;
  /** The answer given last: asked in every round, it changes once a minute. */
  #scan: Timeout | null = null;
  #moves = 0;
  #changes = 0;

  constructor(options: MacTableOptions) {
    this.#localPeer = options.localPeer;
    this.#maxMacs = options.maxMacs ?? 65_536;
    this.#maxMacsPerPeer = options.maxMacsPerPeer ?? 16_384;
  }

  get size(): number {
    return this.#macs.size;
  }

  /** How often an address changed its peer, including take-overs by our bridge. */
  get moves(): number {
    return this.#moves;
  }

  /** Goes up whenever an address appears, moves or goes: what was looked up before may be wrong. */
  get changes(): number {
    return this.#changes;
  }

  /**
   * A frame was captured on our bridge.
   * @returns false if the address is a remote peer's and the frame must be taken for a reflection.
   */
  learnLocal(mac: number, nowMs: number): boolean {
    const entry = this.#entryFor(mac, this.#localPeer, nowMs);
    if (entry === undefined) return true;
    if (entry.peer !== this.#localPeer) {
      if (nowMs - entry.remoteFrameMs < TAKEOVER_GUARD_MS) return false;
      this.#move(entry, this.#localPeer, nowMs);
    }
    this.#refresh(entry, nowMs);
    return true;
  }

  /** A frame was received from a remote peer: the latest word on where the address is. */
  learnRemote(mac: number, peer: PeerName, nowMs: number): void {
    const entry = this.#entryFor(mac, peer, nowMs);
    if (entry === undefined) return;
    if (entry.peer !== peer) this.#move(entry, peer, nowMs);
    entry.remoteFrameMs = nowMs;
    this.#refresh(entry, nowMs);
  }

  /** @returns the peer, or -1 if unknown. */
  lookup(mac: number): number {
    let entry = this.#lastLookup;
    if (entry === undefined || entry.mac !== mac) {
      entry = this.#macs.get(mac);
      if (entry === undefined) return -1;
      this.#lastLookup = entry;
    }
    return entry.peer;
  }

  /** The peer left the topology. */
  forgetPeer(peer: PeerName): void {
    const entries = this.#byPeer.get(peer);
    if (entries === undefined) return;
    for (const entry of [...entries.values()]) this.#remove(entry);
  }

  nextTimeout(): Timeout | null {
    const atMs = this.#scanAtMs;
    if (atMs === null) return null;
    if (this.#scan?.atMs !== atMs) this.#scan = { atMs, reason: 'mac-scan' };
    return this.#scan;
  }

  handleTimeout(nowMs: number): void {
    if (this.#scanAtMs === null || nowMs < this.#scanAtMs) return;
    for (const entries of [...this.#byPeer.values()]) {
      for (const entry of [...entries.values()]) {
        if (nowMs - entry.seenMs <= MAX_AGE_MS) break;
        this.#remove(entry);
      }
    }
    this.#scanAtMs = this.#macs.size === 0 ? null : nowMs + SCAN_MS;
  }

  status(nowMs: number): MacStatus[] {
    return [...this.#macs.values()].map((entry) => ({
      mac: entry.mac as Mac,
      peer: entry.peer,
      ageMs: Math.max(0, nowMs - entry.seenMs),
    }));
  }

  /** The entry, made if need be; undefined for a group or zero address, which nobody owns. */
  #entryFor(mac: number, peer: PeerName, nowMs: number): MacEntry | undefined {
    if (this.#lastLearnt?.mac === mac) return this.#lastLearnt;
    let entry = this.#macs.get(mac);
    if (entry === undefined) {
      if (mac === 0 || (Math.floor(mac / GROUP_BIT) & 1) === 1) return undefined;
      this.#makeRoom(peer);
      this.#changes += 1;
      entry = { mac, peer, seenMs: nowMs, remoteFrameMs: Number.NEGATIVE_INFINITY };
      this.#macs.set(mac, entry);
      this.#entriesOf(peer).set(mac, entry);
      this.#scanAtMs ??= nowMs + SCAN_MS;
    }
    this.#lastLearnt = entry;
    return entry;
  }

  #refresh(entry: MacEntry, nowMs: number): void {
    if (nowMs - entry.seenMs < REFRESH_MS) return;
    entry.seenMs = nowMs;
    const entries = this.#entriesOf(entry.peer);
    entries.delete(entry.mac);
    entries.set(entry.mac, entry);
  }

  #move(entry: MacEntry, peer: PeerName, nowMs: number): void {
    this.#detach(entry);
    const entries = this.#entriesOf(peer);
    if (entries.size >= this.#maxMacsPerPeer) this.#evictOldest(entries);
    entry.peer = peer;
    entry.seenMs = nowMs;
    this.#entriesOf(peer).set(entry.mac, entry);
    this.#moves += 1;
    this.#changes += 1;
  }

  #makeRoom(peer: PeerName): void {
    const own = this.#byPeer.get(peer);
    if (own !== undefined && own.size >= this.#maxMacsPerPeer) {
      this.#evictOldest(own);
      return;
    }
    if (this.#macs.size < this.#maxMacs) return;
    let largest: Map<number, MacEntry> | undefined;
    for (const entries of this.#byPeer.values()) {
      if (largest === undefined || entries.size > largest.size) largest = entries;
    }
    if (largest !== undefined) this.#evictOldest(largest);
  }

  #evictOldest(entries: Map<number, MacEntry>): void {
    for (const entry of entries.values()) {
      this.#remove(entry);
      return;
    }
  }

  #entriesOf(peer: PeerName): Map<number, MacEntry> {
    let entries = this.#byPeer.get(peer);
    if (entries === undefined) {
      entries = new Map();
      this.#byPeer.set(peer, entries);
    }
    return entries;
  }

  #remove(entry: MacEntry): void {
    this.#changes += 1;
    this.#macs.delete(entry.mac);
    this.#detach(entry);
    if (this.#lastLearnt === entry) this.#lastLearnt = undefined;
    if (this.#lastLookup === entry) this.#lastLookup = undefined;
  }

  #detach(entry: MacEntry): void {
    const entries = this.#byPeer.get(entry.peer);
    entries?.delete(entry.mac);
    if (entries?.size === 0) this.#byPeer.delete(entry.peer);
  }
}
