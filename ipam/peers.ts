/**
 * What is known of the other peers: nicknames, who of them resolves conflicts by itself (they are
 * of our kind), since when owners of ranges are gone, and after what time the mesh takes over.
 */
import { MAX_PEERS } from '../core/limits.js';
import { formatPeerName, type PeerName } from '../core/peer-name.js';
import type { IpamMeshView } from './interfaces.js';

/** Losing a connection is noticed after a minute or two; taking over must be well behind that. */
export const MIN_RECLAIM_MS = 5 * 60_000;

/** Several rounds of periodic gossip: what is older is known to all that are in touch. */
const COMMON_KNOWLEDGE_MS = 2 * 60_000;

export interface PeersOptions {
  readonly localPeer: PeerName;
  readonly nickname: string;
  readonly reclaimAfterMs: number | null;
}

export class Peers {
  readonly #options: PeersOptions;
  readonly #mesh: IpamMeshView;
  /** BOUNDED by MAX_PEERS: those of the topology and of the ring. */
  readonly #nicknames = new Map<PeerName, string>();
  /** BOUNDED by MAX_PEERS. */
  readonly #healers = new Set<PeerName>();
  /** Owners of ranges that are not in the topology. BOUNDED by the owners in the ring. */
  readonly #goneSinceMs = new Map<PeerName, number>();
  /** Since when peers own ranges, as far as we know. BOUNDED by the owners in the ring. */
  readonly #ownerSinceMs = new Map<PeerName, number>();
  /**
   * Those whose ranges passed to others while some owner was missing: they keep their vote about
   * it, or a split could take over one after the other with ever fewer. BOUNDED by MAX_PEERS.
   */
  readonly #formerOwners = new Map<PeerName, { sinceMs: number; untilMs: number }>();
  /** As of the last refresh. */
  #known: ReadonlySet<PeerName>;
  #reclaimAfterMs: number | null;
  /** When we first knew of a ring. */
  #firstRingMs: number | null = null;

  constructor(options: PeersOptions, mesh: IpamMeshView) {
    this.#options = options;
    this.#mesh = mesh;
    this.#known = new Set([options.localPeer]);
    this.#reclaimAfterMs = options.reclaimAfterMs;
    this.#nicknames.set(options.localPeer, options.nickname);
    this.#healers.add(options.localPeer);
  }

  get nicknames(): ReadonlyMap<PeerName, string> {
    return this.#nicknames;
  }

  get healers(): ReadonlySet<PeerName> {
    return this.#healers;
  }

  /** In the topology, ourselves included. */
  get known(): ReadonlySet<PeerName> {
    return this.#known;
  }

  /** The shortest that any peer has announced; null: nobody takes over by itself. */
  get reclaimAfterMs(): number | null {
    return this.#reclaimAfterMs;
  }

  isReachable(peer: PeerName): boolean {
    return peer === this.#options.localPeer || this.#mesh.isReachable(peer);
  }

  targetCount(): number {
    return this.#mesh.targetCount();
  }

  isCloned(): boolean {
    return this.#mesh.isCloned();
  }

  /** How long an owner has been out of the topology; 0: it is in it. */
  goneMs(peer: PeerName, nowMs: number): number {
    const since = this.#goneSinceMs.get(peer);
    return since === undefined ? 0 : nowMs - since;
  }

  /** When an owner left the topology; null: it is in it. */
  goneSinceMs(peer: PeerName): number | null {
    return this.#goneSinceMs.get(peer) ?? null;
  }

  /**
   * Who decides about peers that lost sight of each other at that time: those that had owned
   * ranges for a while by then, so that both sides know the same ones, whoever came to own some
   * since. A majority of them on one side means that there is none on the other. The first ring
   * that we knew counts as old: what decides about us was in it.
   */
  electorate(lostAtMs: number): PeerName[] {
    return this.#votersAt(lostAtMs, (sinceMs) =>
      sinceMs === this.#firstRingMs ? Number.NEGATIVE_INFINITY : sinceMs,
    );
  }

  /**
   * The same, as far as we were there to see it ourselves: what the store has of owners may be
   * older than what the others know, so nobody is removed on its strength.
   */
  witnesses(lostAtMs: number): PeerName[] {
    return this.#votersAt(lostAtMs, (sinceMs) => sinceMs);
  }

  nicknameOf(peer: PeerName): string {
    return this.#nicknames.get(peer) ?? '';
  }

  /** `82:00:00:00:00:01(host1)`, or the name alone. */
  describe(peer: PeerName): string {
    const nickname = this.#nicknames.get(peer);
    return formatPeerName(peer) + (nickname === undefined ? '' : `(${nickname})`);
  }

  /** All with this nickname. */
  byNickname(nickname: string): PeerName[] {
    return [...this.#nicknames].filter(([, name]) => name === nickname).map(([peer]) => peer);
  }

  learnNicknames(nicknames: ReadonlyMap<PeerName, string>): void {
    for (const [peer, nickname] of nicknames) {
      if (peer === this.#options.localPeer) continue;
      if (this.#nicknames.size >= MAX_PEERS && !this.#nicknames.has(peer)) continue;
      this.#nicknames.set(peer, nickname);
    }
  }

  learnHealers(healers: ReadonlySet<PeerName>): void {
    for (const peer of healers) if (this.#healers.size < MAX_PEERS) this.#healers.add(peer);
  }

  /** @returns whether it is shorter than what we knew */
  learnReclaim(afterMs: number | null): boolean {
    if (afterMs === null) return false;
    const credible = Math.max(afterMs, MIN_RECLAIM_MS);
    if (credible >= (this.#reclaimAfterMs ?? Number.POSITIVE_INFINITY)) return false;
    this.#reclaimAfterMs = credible;
    return true;
  }

  /**
   * Looks at the topology again.
   * @returns peers that are in it now and were not before
   */
  refresh(owners: ReadonlySet<PeerName>, nowMs: number): PeerName[] {
    const known = new Set<PeerName>([this.#options.localPeer]);
    for (const { name, nickname } of this.#mesh.peers()) {
      known.add(name);
      // Placeholders of the topology have no nickname; gossip may have brought one.
      if (nickname !== '' && this.#nicknames.size < MAX_PEERS) this.#nicknames.set(name, nickname);
    }
    const fresh = [...known].filter((peer) => !this.#known.has(peer));
    this.#known = known;
    if (owners.size > 0) this.#firstRingMs ??= nowMs;
    for (const owner of owners) {
      if (!this.#ownerSinceMs.has(owner)) this.#ownerSinceMs.set(owner, nowMs);
      if (known.has(owner)) this.#goneSinceMs.delete(owner);
      else if (!this.#goneSinceMs.has(owner)) this.#goneSinceMs.set(owner, nowMs);
    }
    for (const peer of this.#goneSinceMs.keys()) {
      if (!owners.has(peer)) this.#goneSinceMs.delete(peer);
    }
    for (const [peer, sinceMs] of this.#ownerSinceMs) {
      if (owners.has(peer)) continue;
      this.#ownerSinceMs.delete(peer);
      const isRoom = this.#formerOwners.size < MAX_PEERS;
      if (isRoom) this.#formerOwners.set(peer, { sinceMs, untilMs: nowMs });
    }
    if (this.#goneSinceMs.size === 0) this.#formerOwners.clear();
    return fresh;
  }

  /** Forgets those that are neither in the ring nor in the topology. */
  prune(owners: ReadonlySet<PeerName>): void {
    const isStranger = (peer: PeerName): boolean => !owners.has(peer) && !this.#known.has(peer);
    for (const peer of this.#nicknames.keys()) if (isStranger(peer)) this.#nicknames.delete(peer);
    for (const peer of this.#healers) if (isStranger(peer)) this.#healers.delete(peer);
  }

  #votersAt(lostAtMs: number, age: (sinceMs: number) => number): PeerName[] {
    const atMs = lostAtMs - COMMON_KNOWLEDGE_MS;
    const voters = new Set<PeerName>();
    for (const [peer, sinceMs] of this.#ownerSinceMs) if (age(sinceMs) <= atMs) voters.add(peer);
    for (const [peer, { sinceMs, untilMs }] of this.#formerOwners) {
      if (age(sinceMs) <= atMs && untilMs > atMs) voters.add(peer);
    }
    return [...voters];
  }
}
