/** Topology entries for tests: from golden data, from short notations, and back. */
import { type PeerName, parsePeerName } from '../../core/peer-name.js';
import type { Random } from '../../core/random.js';
import type { PeerEntry, PeerLink } from '../../mesh/topology-entry.js';

/** A peer as the golden files describe it. */
export interface VectorPeer {
  readonly name: string;
  readonly nickname: string;
  readonly uid: string;
  readonly version: string;
  readonly short_id: number;
  readonly has_short_id: boolean;
  readonly connections: readonly {
    readonly name: string;
    readonly remote_tcp_addr: string;
    readonly outbound: boolean;
    readonly established: boolean;
  }[];
}

export function fromVector(peer: VectorPeer): PeerEntry {
  const links = peer.connections.map((connection): PeerLink => {
    const { remote_tcp_addr: remoteTcpAddr, outbound, established } = connection;
    return { remotePeer: parsePeerName(connection.name), remoteTcpAddr, outbound, established };
  });
  return entry(parsePeerName(peer.name), {
    nickname: peer.nickname,
    uid: BigInt(peer.uid),
    version: BigInt(peer.version),
    shortId: peer.has_short_id ? peer.short_id : null,
    connections: linkMap(links),
  });
}

export function entry(name: number, fields: Partial<PeerEntry> = {}): PeerEntry {
  return {
    name: name as PeerName,
    nickname: `host${name}`,
    uid: 1n,
    version: 1n,
    shortId: null,
    connections: new Map(),
    ...fields,
  };
}

export function link(remotePeer: number, fields: Partial<PeerLink> = {}): PeerLink {
  return {
    remotePeer: remotePeer as PeerName,
    remoteTcpAddr: `10.0.0.${remotePeer % 256}:6783`,
    outbound: true,
    established: true,
    ...fields,
  };
}

export function linkMap(links: readonly PeerLink[]): ReadonlyMap<PeerName, PeerLink> {
  return new Map(links.map((item) => [item.remotePeer, item]));
}

/** Plain data, independent of the order of peers and connections. */
export function comparable(peers: Iterable<PeerEntry>): unknown[] {
  return [...peers]
    .map(({ name, nickname, uid, version, shortId, connections }) => {
      const links = [...connections.values()].sort((a, b) => a.remotePeer - b.remotePeer);
      return { name, nickname, uid, version, shortId, links };
    })
    .sort((a, b) => a.name - b.name);
}

/** A small generator that repeats from its seed (mulberry32). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return {
    bytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(next() * 256)),
    uint64: () =>
      (BigInt(Math.floor(next() * 2 ** 32)) << 32n) | BigInt(Math.floor(next() * 2 ** 32)),
    float: next,
  };
}
