/**
 * Notices that two running hosts use one peer name. A restarted router meets gossip about its
 * former life for a moment and outruns it; two living ones outrun each other for ever. So what
 * counts is how long entries under our name with a foreign UID keep overtaking our version.
 */
import { formatPeerName, type PeerName } from '../core/peer-name.js';
import type { DecodedPeer } from './topology-codec.js';
import type { PeerEntry } from './topology-entry.js';

const MIN_SIGHTINGS = 4;
/** Longer than the complete states of all neighbours take to arrive after a restart. */
const MIN_SPAN_MS = 10_000;
/** Rivals hear of each other at least with the periodic gossip, every 30 s. */
const QUIET_MS = 120_000;
/** Addresses named in a warning. */
const MAX_ADDRESSES = 3;

export class NameConflictDetector {
  #sightings = 0;
  #firstMs = 0;
  #lastMs = Number.NEGATIVE_INFINITY;
  #rivalNickname = '';

  /** An entry with our name, another UID and a version not below ours arrived. */
  note(rival: DecodedPeer, nowMs: number): void {
    if (nowMs - this.#lastMs > QUIET_MS) {
      this.#sightings = 0;
      this.#firstMs = nowMs;
    }
    this.#sightings += 1;
    this.#lastMs = nowMs;
    this.#rivalNickname = rival.nickname;
  }

  /** Another living host has our name, or had it `QUIET_MS` ago. */
  isLasting(nowMs: number): boolean {
    const lasting = this.#lastMs - this.#firstMs >= MIN_SPAN_MS;
    const recent = nowMs - this.#lastMs <= QUIET_MS;
    return this.#sightings >= MIN_SIGHTINGS && lasting && recent;
  }

  /** One sentence while the conflict lasts; it goes away when the other host has gone quiet. */
  warnings(
    nowMs: number,
    self: PeerEntry,
    peers: ReadonlyMap<PeerName, PeerEntry>,
  ): readonly string[] {
    if (!this.isLasting(nowMs)) return [];
    const ours: string[] = [];
    const theirs: string[] = [];
    // A peer has at most one connection per name: if it is not with us, it is with the rival.
    for (const peer of peers.values()) {
      const link = peer.connections.get(self.name);
      if (link === undefined || peer.name === self.name) continue;
      const list = self.connections.has(peer.name) ? ours : theirs;
      if (list.length < MAX_ADDRESSES) list.push(link.remoteTcpAddr);
    }
    return [
      `name conflict: two hosts use the peer name ${formatPeerName(self.name)}: ` +
        `this one, ${describe(self.nickname, ours)}, and ` +
        `${describe(this.#rivalNickname, theirs)}; give one of them another name and restart it`,
    ];
  }
}

function describe(nickname: string, addresses: readonly string[]): string {
  const seen = addresses.length === 0 ? 'address unknown' : `seen at ${addresses.join(', ')}`;
  return `"${nickname}" (${seen})`;
}
