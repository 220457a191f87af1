/**
 * The life of names on this peer as a machine: what we register, what others tell, who may be
 * believed, and when what is gone is forgotten. Messages, commands and time go in; what is to be
 * said goes out through the channels (name-channel.ts). Source: reference/weavedns.md 3 to 5.
 *
 *   register, remove ────────────> table ──> broadcast of what changed
 *   gossip ── known peer? ──yes──> table ──> pass on what was new
 *                └──no── kept aside until the topology knows the peer, or for 30 s
 *   peer gone ── 5 s of grace ───> its entries dropped
 */
import type { Clock, Timeout } from '../core/clock.js';
import { RequestError } from '../core/errors.js';
import type { LogFields } from '../core/log.js';
import { formatPeerName, type PeerName } from '../core/peer-name.js';
import { canonical, isWithin } from './domain-name.js';
import type { NamesMessage } from './gossip-codec.js';
import { isLive, type NameEntry } from './name-entry.js';
import { NameTable, TOMBSTONE_LIFETIME_S } from './name-table.js';
import type { RecordData } from './record-data.js';

/** Peers whose clocks differ more are not believed. */
export const MAX_CLOCK_SKEW_S = 900;
/** How long names outlive the loss of contact with their peer, so that a flap takes none away. */
export const PEER_GRACE_MS = 5_000;
/** How long entries wait for the topology to hear of their peer. */
export const ASIDE_LIFETIME_MS = 30_000;
/** Entries waiting so; the oldest peers' go first. */
export const MAX_ASIDE_ENTRIES = 10_000;

const CHECK_INTERVAL_MS = 500;
const EXPIRE_INTERVAL_MS = 60_000;

export interface NamesOptions {
  readonly localPeer: PeerName;
  /** Canonical; only names within it can be registered here. */
  readonly domain: string;
}

export interface NamesModules {
  readonly clock: Clock;
  /** The peer is in the topology. */
  readonly isKnownPeer: (name: PeerName) => boolean;
  /** Limited by the caller: strangers can cause these. */
  readonly warn: (kind: string, text: string, fields: LogFields) => void;
}

/** Which own entries; a field that is absent matches all. Names match without regard to case. */
export interface NameFilter {
  readonly hostname?: string;
  readonly containerId?: string;
  readonly record?: RecordData;
}

interface Aside {
  readonly entries: Map<string, NameEntry>;
  readonly sinceMs: number;
}

export class Names {
  /** Own entries to be told to everybody. */
  onBroadcast: (entries: readonly NameEntry[]) => void = () => {};
  /** Entries of others that came out of waiting: to be passed on like gossip. */
  onNews: (entries: readonly NameEntry[]) => void = () => {};
  /** Own names were registered or removed. */
  onOwnChanged: () => void = () => {};
  readonly table = new NameTable();
  readonly #options: NamesOptions;
  readonly #modules: NamesModules;
  /** BOUNDED by MAX_ASIDE_ENTRIES over all peers. */
  readonly #aside = new Map<PeerName, Aside>();
  #asideCount = 0;
  /** When the entries of peers that left are dropped. BOUNDED by the peers in the table. */
  readonly #leaving = new Map<PeerName, number>();
  #checkedMs = Number.NEGATIVE_INFINITY;
  #expiredMs = Number.NEGATIVE_INFINITY;
  readonly #counters = {
    'names-clock-skew': 0,
    'names-unusable': 0,
    'names-refused': 0,
    'names-old-tombstones': 0,
    'names-other-domain': 0,
    'names-corrected': 0,
    'names-kept-aside': 0,
    'names-aside-dropped': 0,
  };

  constructor(options: NamesOptions, modules: NamesModules) {
    this.#options = options;
    this.#modules = modules;
  }

  get counters(): Readonly<Record<string, number>> {
    return this.#counters;
  }

  get domain(): string {
    return this.#options.domain;
  }

  /** Live ones. */
  own(): readonly NameEntry[] {
    return [...this.table.entriesOf(this.#options.localPeer)].filter(isLive);
  }

  isLocal(hostname: string): boolean {
    return isWithin(canonical(hostname), this.#options.domain);
  }

  /**
   * Idempotent; spelling the name differently makes no second entry.
   * @param hostname valid (domain-name.ts) and within the domain.
   * @throws {RequestError} `names-full`
   */
  register(hostname: string, containerId: string, record: RecordData): NameEntry {
    const known = this.#ownEntry(hostname, containerId, record);
    const fresh: NameEntry = {
      ...record,
      hostname: known?.hostname ?? hostname,
      origin: this.#options.localPeer,
      containerId,
      version: known === undefined ? 0 : known.version + (isLive(known) ? 0 : 1),
      tombstone: 0,
    };
    const { refused, changed } = this.table.merge([fresh]);
    if (refused > 0) {
      throw new RequestError('names-full', 'there are too many names on this host', 409);
    }
    if (changed.length > 0) this.onOwnChanged();
    // Also if nothing changed: a caller that repeats itself may want others to hear it again.
    this.onBroadcast([fresh]);
    return fresh;
  }

  /** @returns what was removed, as tombstones. */
  remove(filter: NameFilter): readonly NameEntry[] {
    const tombstone = this.#nowS();
    const { hostname, containerId, record } = filter;
    const name = hostname === undefined ? undefined : canonical(hostname);
    const dead = this.own()
      .filter(
        (entry) =>
          (name === undefined || canonical(entry.hostname) === name) &&
          (containerId === undefined || entry.containerId === containerId) &&
          (record === undefined || (entry.type === record.type && entry.data === record.data)),
      )
      .map((entry) => ({ ...entry, tombstone, version: entry.version + 1 }));
    this.table.merge(dead);
    if (dead.length > 0) {
      this.onOwnChanged();
      this.onBroadcast(dead);
    }
    return dead;
  }

  /**
   * @param message of entries of one channel; entries may repeat.
   * @returns what was new, and the message as it is to be passed on if it was a broadcast; null if
   *   nothing of it is believed.
   */
  handleGossip(
    message: NamesMessage & { readonly unusable: number },
    nowMs: number,
  ): { readonly news: readonly NameEntry[]; readonly relayed: readonly NameEntry[] } | null {
    const nowS = this.#nowS();
    this.#counters['names-unusable'] += message.unusable;
    if (Math.abs(message.timestamp - nowS) > MAX_CLOCK_SKEW_S) {
      this.#counters['names-clock-skew']++;
      const skewS = message.timestamp - nowS;
      const text = 'names refused: the clock of a peer is too far from ours';
      this.#modules.warn('clock-skew', text, { skewS, limitS: MAX_CLOCK_SKEW_S });
      return null;
    }
    const relayed: NameEntry[] = [];
    const corrected: NameEntry[] = [];
    for (const entry of message.entries) {
      if (entry.origin === this.#options.localPeer) {
        const correction = this.#correct(entry, nowS);
        relayed.push(correction ?? entry);
        if (correction !== null) corrected.push(correction);
      } else if (!this.#modules.isKnownPeer(entry.origin)) {
        this.#keepAside(entry, nowMs);
      } else {
        relayed.push(entry);
      }
    }
    this.#counters['names-corrected'] += corrected.length;
    const news = this.#merge(relayed, nowS);
    if (corrected.length > 0) this.onBroadcast(corrected);
    return { news, relayed };
  }

  /** Contact with the peer is lost: the topology no longer has it. */
  handlePeerGone(name: PeerName, nowMs: number): void {
    if (!this.table.hasEntriesOf(name)) return;
    this.#leaving.set(name, nowMs + PEER_GRACE_MS);
  }

  handleTimeout(nowMs: number): void {
    if (nowMs - this.#checkedMs >= CHECK_INTERVAL_MS) {
      this.#checkedMs = nowMs;
      this.#checkAside(nowMs);
      this.#checkLeaving(nowMs);
    }
    if (nowMs - this.#expiredMs < EXPIRE_INTERVAL_MS) return;
    this.#expiredMs = nowMs;
    this.table.expire(this.#nowS());
  }

  /** Soon while somebody is awaited or leaving; else when tombstones are due. */
  nextTimeout(): Timeout {
    if (this.#aside.size > 0 || this.#leaving.size > 0) {
      return { atMs: this.#checkedMs + CHECK_INTERVAL_MS, reason: 'peers come and go' };
    }
    return { atMs: this.#expiredMs + EXPIRE_INTERVAL_MS, reason: 'expiry of tombstones' };
  }

  #nowS(): number {
    return Math.floor(this.#modules.clock.wallMs() / 1000);
  }

  #ownEntry(hostname: string, containerId: string, record: RecordData): NameEntry | undefined {
    const origin = this.#options.localPeer;
    const exact = this.table.find({ ...record, hostname, origin, containerId });
    if (exact !== undefined && isLive(exact)) return exact;
    const name = canonical(hostname);
    for (const entry of this.table.lookUp(name)) {
      const same = entry.origin === origin && entry.containerId === containerId;
      if (same && entry.type === record.type && entry.data === record.data) return entry;
    }
    return exact;
  }

  /**
   * Somebody knows something of ours, most likely from before a restart.
   * @returns what is true instead; null if it may stand.
   */
  #correct(entry: NameEntry, nowS: number): NameEntry | null {
    const known = this.table.find(entry);
    if (known === undefined) {
      if (!isLive(entry)) return null;
      return { ...entry, tombstone: nowS, version: entry.version + 1 };
    }
    const isBehind = known.version < entry.version;
    const differs = known.version === entry.version && known.tombstone !== entry.tombstone;
    return isBehind || differs ? { ...known, version: entry.version + 1 } : null;
  }

  /** Old tombstones would circle for ever, since each peer expires them at its own time. */
  #merge(entries: readonly NameEntry[], nowS: number): readonly NameEntry[] {
    const wanted = entries.filter((entry) => {
      if (isLive(entry) || nowS - entry.tombstone <= TOMBSTONE_LIFETIME_S) return true;
      const known = this.table.find(entry);
      if (known !== undefined && isLive(known)) return true;
      this.#counters['names-old-tombstones']++;
      return false;
    });
    const { changed, refused } = this.table.merge(wanted);
    this.#noteOtherDomain(changed);
    if (refused > 0) {
      this.#counters['names-refused'] += refused;
      this.#modules.warn('names-full', 'names refused: a peer has too many', { refused });
    }
    return changed;
  }

  /** A peer with another `--dns-domain`: its names are kept and shown, but nobody here finds them. */
  #noteOtherDomain(entries: readonly NameEntry[]): void {
    const foreign = entries.filter((entry) => isLive(entry) && !this.isLocal(entry.hostname));
    const [first] = foreign;
    if (first === undefined) return;
    this.#counters['names-other-domain'] += foreign.length;
    const text = 'a peer has names of another domain, which are not served here';
    const { domain } = this.#options;
    const peer = formatPeerName(first.origin);
    this.#modules.warn('other-domain', text, { peer, hostname: first.hostname, domain });
  }

  /** On a new connection names may arrive before the topology does. */
  #keepAside(entry: NameEntry, nowMs: number): void {
    let aside = this.#aside.get(entry.origin);
    if (aside === undefined) {
      aside = { entries: new Map(), sinceMs: nowMs };
      this.#aside.set(entry.origin, aside);
    }
    const key = `${entry.hostname}\0${entry.containerId}\0${entry.type}\0${entry.data}`;
    const before = aside.entries.get(key);
    if (before !== undefined && before.version > entry.version) return;
    aside.entries.set(key, entry);
    if (before === undefined) this.#asideCount++;
    this.#counters['names-kept-aside']++;
    while (this.#asideCount > MAX_ASIDE_ENTRIES) {
      const [oldest] = this.#aside.keys();
      this.#dropAside(oldest as PeerName);
    }
  }

  #dropAside(origin: PeerName): void {
    const count = this.#aside.get(origin)?.entries.size ?? 0;
    this.#asideCount -= count;
    this.#counters['names-aside-dropped'] += count;
    this.#aside.delete(origin);
  }

  #checkAside(nowMs: number): void {
    const news: NameEntry[] = [];
    for (const [origin, aside] of this.#aside) {
      if (this.#modules.isKnownPeer(origin)) {
        this.#aside.delete(origin);
        this.#asideCount -= aside.entries.size;
        news.push(...this.#merge([...aside.entries.values()], this.#nowS()));
      } else if (nowMs - aside.sinceMs > ASIDE_LIFETIME_MS) {
        this.#dropAside(origin);
      }
    }
    if (news.length > 0) this.onNews(news);
  }

  #checkLeaving(nowMs: number): void {
    for (const [origin, atMs] of this.#leaving) {
      const isBack = this.#modules.isKnownPeer(origin);
      if (!isBack && nowMs < atMs) continue;
      this.#leaving.delete(origin);
      if (!isBack) this.table.dropPeer(origin);
    }
  }
}
