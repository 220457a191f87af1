/**
 * Who is linked to whom: the table of known peers, one entry per peer with the connections that
 * peer itself reports. Only the owner of an entry raises its version; everybody else keeps the
 * newest version seen, so that copies converge in whatever order they travel.
 * Source: reference/wire-protocol.md 3.10, 4.2, 4.3, 6.
 */
import { DecodeError, ProtocolError } from '../core/errors.js';
import { MAX_PEERS } from '../core/limits.js';
import type { PeerName } from '../core/peer-name.js';
import type { Random } from '../core/random.js';
import { clip } from '../core/text.js';
import { NameConflictDetector } from './name-conflict.js';
import { ShortIds } from './short-ids.js';
import {
  type DecodedPeer,
  decodeTopology,
  encodeTopology,
  MAX_NICKNAME_LENGTH,
  maxEncodedBytes,
} from './topology-codec.js';
import type { PeerEntry, PeerLink } from './topology-entry.js';

export type { PeerEntry, PeerLink } from './topology-entry.js';

export interface TopologyOptions {
  readonly self: {
    readonly name: PeerName;
    readonly nickname: string;
    /** Not 0. */
    readonly uid: bigint;
    readonly shortId: number | null;
  };
}

export interface TopologyModules {
  readonly random: Random;
}

/** What the caller has to act on after any change from outside. */
export interface TopologyEffects {
  /** Our own entry changed: schedule a topology update naming us. */
  readonly selfChanged: boolean;
  /** A short id means another peer now. */
  readonly mappingChanged: boolean;
}

export interface UpdateResult extends TopologyEffects {
  /** All names in the update; passed on if it came as a broadcast. */
  readonly received: ReadonlySet<PeerName>;
  /** Names that were new or newer; passed on if it came as gossip. */
  readonly improved: ReadonlySet<PeerName>;
}

export interface IntroduceResult extends TopologyEffects {
  readonly entry: PeerEntry;
  readonly created: boolean;
  /** The table knew another incarnation, or only a placeholder: it needs our complete state. */
  readonly restarted: boolean;
}

export interface CollectResult extends TopologyEffects {
  readonly removed: readonly PeerName[];
}

/** Connections over all entries: a full mesh of 1000 peers. An update beyond it is refused. */
export const MAX_TOTAL_LINKS = 1_000_000;
const MAX_VERSION = 2n ** 64n - 1n;

interface MutableEntry extends PeerEntry {
  nickname: string;
  uid: bigint;
  version: bigint;
  shortId: number | null;
  connections: Map<PeerName, PeerLink>;
}

interface MutableEffects {
  selfChanged: boolean;
  mappingChanged: boolean;
}

export class Topology {
  readonly self: PeerEntry;
  readonly shortIds = new ShortIds();
  readonly #self: MutableEntry;
  readonly #random: Random;
  /** BOUNDED by MAX_PEERS; updates that would exceed it are refused as a whole. */
  readonly #peers = new Map<PeerName, MutableEntry>();
  /** Sessions per peer that keep it from garbage collection. BOUNDED by the number of sessions. */
  readonly #references = new Map<PeerName, number>();
  readonly #conflicts = new NameConflictDetector();
  #linkCount = 0;
  readonly #counters = {
    'topology-updates': 0,
    'topology-updates-refused': 0,
    'topology-entries-improved': 0,
    'topology-entries-stale': 0,
    'topology-own-incarnations': 0,
    'topology-peers-collected': 0,
    'topology-short-id-moves': 0,
  };

  constructor(options: TopologyOptions, modules: TopologyModules) {
    this.#random = modules.random;
    this.#self = { ...options.self, version: 0n, connections: new Map() };
    this.self = this.#self;
    this.#peers.set(this.#self.name, this.#self);
    this.shortIds.add(this.#self.name, this.#self.shortId);
  }

  get peers(): ReadonlyMap<PeerName, PeerEntry> {
    return this.#peers;
  }

  /** No room for a peer we do not know yet. */
  get full(): boolean {
    return this.#peers.size >= MAX_PEERS;
  }

  /** By stable name. */
  get counters(): Readonly<Record<string, number>> {
    return this.#counters;
  }

  /** Another living host has our name. */
  hasRival(nowMs: number): boolean {
    return this.#conflicts.isLasting(nowMs);
  }

  /** Sentences for people about what they should mend. */
  warnings(nowMs: number): readonly string[] {
    return this.#conflicts.warnings(nowMs, this.#self, this.#peers);
  }

  /**
   * A peer introduced itself on a connection. Existing entries stay as they are: they change only
   * through topology gossip, placeholders excepted, about which nothing was known anyway (C27).
   * @throws {ProtocolError} `too-many-peers`; nothing changed then.
   */
  introduce(
    name: PeerName,
    nickname: string,
    uid: bigint,
    shortId: number | null,
  ): IntroduceResult {
    const effects: MutableEffects = { selfChanged: false, mappingChanged: false };
    const known = this.#peers.get(name);
    const restarted = known !== undefined && known.uid !== uid;
    if (known !== undefined && !isPlaceholder(known)) {
      return { entry: known, created: false, restarted, ...effects };
    }
    if (known === undefined && this.full) {
      throw new ProtocolError('too-many-peers', `more than ${MAX_PEERS} peers known`);
    }
    const entry = known ?? this.#addPlaceholder(name);
    entry.nickname = clip(nickname, MAX_NICKNAME_LENGTH);
    entry.uid = uid;
    this.#setShortId(entry, shortId, effects);
    this.#claimShortId(effects);
    return { entry, created: known === undefined, restarted, ...effects };
  }

  /** A session refers to the peer; each call needs a `release`. */
  retain(name: PeerName): void {
    this.#references.set(name, (this.#references.get(name) ?? 0) + 1);
  }

  release(name: PeerName): void {
    const count = this.#references.get(name) ?? 0;
    if (count <= 1) this.#references.delete(name);
    else this.#references.set(name, count - 1);
  }

  /** Enters an admitted connection of ours, not established yet. Raises our version. */
  addConnection(connection: Omit<PeerLink, 'established'>): void {
    const { remotePeer, remoteTcpAddr, outbound } = connection;
    if (!this.#self.connections.has(remotePeer)) this.#linkCount += 1;
    const link = { remotePeer, remoteTcpAddr, outbound, established: false };
    this.#self.connections.set(remotePeer, link);
    this.#raiseVersion();
  }

  /** @returns false if there is no such connection or it was established before. */
  setEstablished(remotePeer: PeerName): boolean {
    const link = this.#self.connections.get(remotePeer);
    if (link === undefined || link.established) return false;
    this.#self.connections.set(remotePeer, { ...link, established: true });
    this.#raiseVersion();
    return true;
  }

  /** @returns false if there is no such connection. */
  removeConnection(remotePeer: PeerName): boolean {
    if (!this.#self.connections.delete(remotePeer)) return false;
    this.#linkCount -= 1;
    this.#raiseVersion();
    return true;
  }

  /**
   * Merges a topology payload into the table.
   * @throws {DecodeError} if it is malformed or exceeds a limit; the table is unchanged then.
   */
  applyUpdate(payload: Uint8Array, nowMs: number): UpdateResult {
    let update: readonly DecodedPeer[];
    try {
      update = decodeTopology(payload);
      this.#checkLimits(update);
    } catch (error) {
      if (error instanceof DecodeError) this.#counters['topology-updates-refused'] += 1;
      throw error;
    }
    this.#counters['topology-updates'] += 1;
    const effects: MutableEffects = { selfChanged: false, mappingChanged: false };
    const received = new Set<PeerName>();
    const improved = new Set<PeerName>();
    for (const peer of update) {
      received.add(peer.name);
      if (peer.name === this.#self.name) this.#meetOurselves(peer, effects, nowMs);
      else if (this.#take(peer, effects)) improved.add(peer.name);
    }
    this.#addMissingTargets(update);
    this.#claimShortId(effects);
    this.#counters['topology-entries-improved'] += improved.size;
    return { received, improved, ...effects };
  }

  /** The entries of the names that are known, as they are now. No known name: zero bytes. */
  encode(names: Iterable<PeerName>): Uint8Array {
    const entries: PeerEntry[] = [];
    for (const name of names) {
      const entry = this.#peers.get(name);
      if (entry !== undefined) entries.push(entry);
    }
    return encodeTopology(entries);
  }

  /**
   * The known ones among the names, in groups whose entries take up to `maxBytes` each, by the
   * upper bound of the codec. An entry that takes more is alone; the largest has some 8 MB.
   */
  *batches(names: Iterable<PeerName>, maxBytes: number): Generator<readonly PeerName[]> {
    let batch: PeerName[] = [];
    let bytes = 0;
    for (const name of names) {
      const entry = this.#peers.get(name);
      if (entry === undefined) continue;
      const size = maxEncodedBytes(entry);
      if (batch.length > 0 && bytes + size > maxBytes) {
        yield batch;
        batch = [];
        bytes = 0;
      }
      batch.push(name);
      bytes += size;
    }
    if (batch.length > 0) yield batch;
  }

  encodeAll(): Uint8Array {
    return encodeTopology(this.#peers.values());
  }

  /**
   * Removes peers that neither we nor a peer of a running session lead to by listed connections,
   * established or not. Starting from retained peers too keeps the table closed: whoever is
   * listed by an entry has an entry.
   */
  collectGarbage(): CollectResult {
    const reached = new Set<PeerName>([this.#self.name]);
    for (const name of this.#references.keys()) if (this.#peers.has(name)) reached.add(name);
    // Iterating over a set visits what is added on the way: this is the whole search.
    for (const name of reached) {
      const entry = this.#peers.get(name);
      if (entry === undefined) reached.delete(name);
      else for (const target of entry.connections.keys()) reached.add(target);
    }
    const effects: MutableEffects = { selfChanged: false, mappingChanged: false };
    const removed: PeerName[] = [];
    for (const entry of this.#peers.values()) {
      if (reached.has(entry.name)) continue;
      removed.push(entry.name);
      this.#peers.delete(entry.name);
      this.#linkCount -= entry.connections.size;
      this.#setShortId(entry, null, effects);
    }
    this.#counters['topology-peers-collected'] += removed.length;
    if (removed.length > 0) this.#claimShortId(effects);
    return { removed, ...effects };
  }

  #checkLimits(update: readonly DecodedPeer[]): void {
    const names = new Set<PeerName>();
    let links = this.#linkCount;
    for (const peer of update) {
      names.add(peer.name);
      for (const target of peer.connections.keys()) names.add(target);
      links += peer.connections.size - (this.#peers.get(peer.name)?.connections.size ?? 0);
    }
    let total = this.#peers.size;
    for (const name of names) if (!this.#peers.has(name)) total += 1;
    if (total > MAX_PEERS) {
      throw new DecodeError('too-many-peers', `topology update leads to ${total} peers`);
    }
    if (links > MAX_TOTAL_LINKS) {
      throw new DecodeError(
        'too-many-connections',
        `topology update leads to ${links} connections`,
      );
    }
  }

  /** An entry under our name with another UID is an earlier life of ours, or a second host. */
  #meetOurselves(peer: DecodedPeer, effects: MutableEffects, nowMs: number): void {
    if (peer.uid === this.#self.uid) return;
    this.#counters['topology-own-incarnations'] += 1;
    if (peer.version < this.#self.version) return;
    this.#conflicts.note(peer, nowMs);
    // The counter stays at its end rather than starting over: 0 would lose against everything.
    this.#self.version = peer.version < MAX_VERSION ? peer.version + 1n : MAX_VERSION;
    effects.selfChanged = true;
  }

  /** @returns true if the entry was new or newer. */
  #take(peer: DecodedPeer, effects: MutableEffects): boolean {
    const known = this.#peers.get(peer.name);
    if (known !== undefined && !isNewer(peer, known)) {
      this.#counters['topology-entries-stale'] += 1;
      return false;
    }
    const entry = known ?? this.#addPlaceholder(peer.name);
    this.#linkCount += peer.connections.size - entry.connections.size;
    entry.version = peer.version;
    entry.uid = peer.uid;
    entry.nickname = peer.nickname;
    entry.connections = new Map(peer.connections);
    this.#setShortId(entry, peer.shortId, effects);
    return true;
  }

  #addMissingTargets(update: readonly DecodedPeer[]): void {
    for (const peer of update) {
      for (const target of peer.connections.keys()) {
        if (!this.#peers.has(target)) this.#addPlaceholder(target);
      }
    }
  }

  #addPlaceholder(name: PeerName): MutableEntry {
    const entry: MutableEntry = {
      name,
      nickname: '',
      uid: 0n,
      version: 0n,
      shortId: null,
      connections: new Map(),
    };
    this.#peers.set(name, entry);
    return entry;
  }

  #setShortId(entry: MutableEntry, shortId: number | null, effects: MutableEffects): void {
    if (entry.shortId === shortId) return;
    const inherited = this.shortIds.remove(entry.name, entry.shortId);
    const takenOver = this.shortIds.add(entry.name, shortId);
    entry.shortId = shortId;
    if (inherited || takenOver) effects.mappingChanged = true;
  }

  /**
   * Looks for another short id if ours belongs to somebody else, once all changes at hand are
   * entered, so that the choice is made among what is really free.
   */
  #claimShortId(effects: MutableEffects): void {
    const { name, shortId } = this.#self;
    if (shortId === null || this.shortIds.owns(name, shortId)) return;
    const chosen = this.shortIds.choose(this.#random);
    if (chosen === null) return;
    this.#setShortId(this.#self, chosen, effects);
    this.#raiseVersion();
    this.#counters['topology-short-id-moves'] += 1;
    effects.selfChanged = true;
  }

  #raiseVersion(): void {
    if (this.#self.version < MAX_VERSION) this.#self.version += 1n;
  }
}

function isPlaceholder(entry: PeerEntry): boolean {
  return entry.uid === 0n && entry.version === 0n && entry.connections.size === 0;
}

function isNewer(peer: DecodedPeer, known: PeerEntry): boolean {
  if (peer.version !== known.version) return peer.version > known.version;
  if (peer.uid !== known.uid) return peer.uid > known.uid;
  // Peers learnt over protocol 1 come without the short id that their gossip tells later.
  return peer.shortId !== null && known.shortId === null;
}
