/**
 * The name table: entries of all peers by identity, with indexes of what is alive. Merging is
 * commutative, associative and idempotent (name-entry.ts, `supersedes`), so peers that have heard
 * the same end with the same table, whatever the order.
 * Source: reference/weavedns.md 2, 4.3, 5.
 */
import type { PeerName } from '../core/peer-name.js';
import { canonical, parentOf, ROOT } from './domain-name.js';
import { identityOf, isLive, type NameEntry, supersedes } from './name-entry.js';
import { reverseName } from './record-data.js';

/** Of one peer, tombstones included. A host has some hundred workloads with a name or two. */
export const MAX_ENTRIES_PER_PEER = 10_000;
/** Of all peers, about 100 MB at most. */
export const MAX_ENTRIES = 200_000;
/** Twice the clock skew that is permitted between peers. */
export const TOMBSTONE_LIFETIME_S = 1800;

/** Room made when a peer's entries are full of tombstones: visiting all for each would be slow. */
const TOMBSTONES_PER_EVICTION = 1000;

type Entries = Map<string, NameEntry>;

export interface MergeResult {
  /** New or changed, as they are now. */
  readonly changed: readonly NameEntry[];
  /** Not taken, since the origin has too many or the table is full. */
  readonly refused: number;
}

/**
 * An operation that changed a table. Another table that does the same in the same order, from the
 * start, is equal.
 */
export type TableChange =
  | { readonly kind: 'merge'; readonly entries: readonly NameEntry[] }
  | { readonly kind: 'drop'; readonly origin: PeerName }
  | { readonly kind: 'expire'; readonly nowS: number };

export class NameTable {
  /** Told of each change after it is made. */
  onChange: (change: TableChange) => void = () => {};
  /** By origin and identity. BOUNDED by MAX_ENTRIES_PER_PEER and MAX_ENTRIES. */
  readonly #byOrigin = new Map<PeerName, Entries>();
  /** Live ones by canonical name. BOUNDED as #byOrigin, like the next two. */
  readonly #byName = new Map<string, Entries>();
  /** Live addresses by their reverse name. */
  readonly #byReverse = new Map<string, Entries>();
  /** How many live names lie below a name. */
  readonly #below = new Map<string, number>();
  #size = 0;
  #tombstones = 0;
  #revision = 0;

  /** Rises with every change; what was made from the table before is stale then. */
  get revision(): number {
    return this.#revision;
  }

  get size(): number {
    return this.#size;
  }

  get tombstoneCount(): number {
    return this.#tombstones;
  }

  /** All entries, in no order. */
  *all(): IterableIterator<NameEntry> {
    for (const entries of this.#byOrigin.values()) yield* entries.values();
  }

  entriesOf(origin: PeerName): Iterable<NameEntry> {
    return this.#byOrigin.get(origin)?.values() ?? [];
  }

  find(entry: Omit<NameEntry, 'version' | 'tombstone'>): NameEntry | undefined {
    return this.#byOrigin.get(entry.origin)?.get(identityOf(entry));
  }

  /** Live entries. @param name canonical */
  lookUp(name: string): Iterable<NameEntry> {
    return this.#byName.get(name)?.values() ?? [];
  }

  /** There are live names below this one. @param name canonical */
  hasNamesBelow(name: string): boolean {
    return this.#below.has(name);
  }

  /** Live addresses. @param name canonical, below `in-addr.arpa.` or `ip6.arpa.` */
  lookUpReverse(name: string): Iterable<NameEntry> {
    return this.#byReverse.get(name)?.values() ?? [];
  }

  /** Does what another table did. */
  apply(change: TableChange): void {
    if (change.kind === 'merge') this.merge(change.entries);
    else if (change.kind === 'drop') this.dropPeer(change.origin);
    else this.expire(change.nowS);
  }

  merge(received: readonly NameEntry[]): MergeResult {
    const changed = new Map<string, NameEntry>();
    let refused = 0;
    for (const entry of received) {
      const identity = identityOf(entry);
      const known = this.#byOrigin.get(entry.origin)?.get(identity);
      if (known !== undefined && !supersedes(entry, known)) continue;
      if (known === undefined && !this.#hasRoom(entry.origin)) {
        refused++;
        continue;
      }
      this.#put(identity, entry, known);
      changed.set(identity, entry);
    }
    // Entries that found no room may have driven out others.
    if (changed.size > 0 || refused > 0) this.onChange({ kind: 'merge', entries: received });
    return { changed: [...changed.values()], refused };
  }

  /** Everything that this peer said, without a trace. */
  dropPeer(origin: PeerName): void {
    const entries = this.#byOrigin.get(origin);
    if (entries === undefined) return;
    for (const [identity, entry] of entries) this.#drop(identity, entry);
    this.onChange({ kind: 'drop', origin });
  }

  hasEntriesOf(origin: PeerName): boolean {
    return this.#byOrigin.has(origin);
  }

  /** Drops tombstones that are too old to meet a living version of themselves. */
  expire(nowS: number): void {
    const before = this.#size;
    for (const entries of this.#byOrigin.values()) {
      for (const [identity, entry] of entries) {
        if (!isLive(entry) && nowS - entry.tombstone > TOMBSTONE_LIFETIME_S) {
          this.#drop(identity, entry);
        }
      }
    }
    if (this.#size !== before) this.onChange({ kind: 'expire', nowS });
  }

  #hasRoom(origin: PeerName): boolean {
    const isFull = (): boolean =>
      (this.#byOrigin.get(origin)?.size ?? 0) >= MAX_ENTRIES_PER_PEER || this.#size >= MAX_ENTRIES;
    if (!isFull()) return true;
    this.#evictTombstones(origin);
    return !isFull();
  }

  /** The oldest tombstones of a peer make room for what is alive. */
  #evictTombstones(origin: PeerName): void {
    const dead = [...(this.#byOrigin.get(origin) ?? [])].filter(([, entry]) => !isLive(entry));
    dead.sort(([, a], [, b]) => a.tombstone - b.tombstone);
    for (const [identity, entry] of dead.slice(0, TOMBSTONES_PER_EVICTION)) {
      this.#drop(identity, entry);
    }
  }

  #put(identity: string, entry: NameEntry, known: NameEntry | undefined): void {
    if (known !== undefined) this.#forget(identity, known);
    let entries = this.#byOrigin.get(entry.origin);
    if (entries === undefined) {
      entries = new Map();
      this.#byOrigin.set(entry.origin, entries);
    }
    entries.set(identity, entry);
    this.#size++;
    if (isLive(entry)) this.#index(identity, entry);
    else this.#tombstones++;
    this.#revision++;
  }

  #drop(identity: string, entry: NameEntry): void {
    this.#forget(identity, entry);
    const entries = this.#byOrigin.get(entry.origin);
    entries?.delete(identity);
    if (entries?.size === 0) this.#byOrigin.delete(entry.origin);
    this.#revision++;
  }

  /** Takes an entry out of counts and indexes; its place in #byOrigin is the caller's. */
  #forget(identity: string, entry: NameEntry): void {
    this.#size--;
    if (!isLive(entry)) {
      this.#tombstones--;
      return;
    }
    const name = canonical(entry.hostname);
    if (removeFrom(this.#byName, name, identity)) this.#countBelow(name, -1);
    if (isAddress(entry)) removeFrom(this.#byReverse, reverseName(entry), identity);
  }

  #index(identity: string, entry: NameEntry): void {
    const name = canonical(entry.hostname);
    if (addTo(this.#byName, name, identity, entry)) this.#countBelow(name, 1);
    if (isAddress(entry)) addTo(this.#byReverse, reverseName(entry), identity, entry);
  }

  #countBelow(name: string, step: 1 | -1): void {
    for (let above = parentOf(name); above !== ROOT; above = parentOf(above)) {
      const count = (this.#below.get(above) ?? 0) + step;
      if (count === 0) this.#below.delete(above);
      else this.#below.set(above, count);
    }
  }
}

const isAddress = ({ type }: NameEntry): boolean => type === 'A' || type === 'AAAA';

/** @returns whether the key is new. */
function addTo(
  index: Map<string, Entries>,
  key: string,
  identity: string,
  entry: NameEntry,
): boolean {
  const entries = index.get(key);
  if (entries !== undefined) {
    entries.set(identity, entry);
    return false;
  }
  index.set(key, new Map([[identity, entry]]));
  return true;
}

/** @returns whether the key is gone. */
function removeFrom(index: Map<string, Entries>, key: string, identity: string): boolean {
  const entries = index.get(key);
  entries?.delete(identity);
  return entries?.size === 0 && index.delete(key);
}
