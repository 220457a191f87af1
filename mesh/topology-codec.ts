/**
 * Topology payloads: one gob stream with two values per peer, a summary and the list of its
 * connections. An update about no peers is zero bytes. Source: reference/wire-protocol.md 2.3, 6.1.
 */
import { DecodeError } from '../core/errors.js';
import { GobDecoder, GobEncoder, gob } from '../core/gob/index.js';
import { MAX_PEERS } from '../core/limits.js';
import { type PeerName, peerNameFromBytes, peerNameToBytes } from '../core/peer-name.js';
import { clip } from '../core/text.js';
import type { PeerEntry, PeerLink } from './topology-entry.js';

/** A peer as an update describes it; a placeholder has nothing but a name. */
export type DecodedPeer = PeerEntry;

/**
 * In UTF-16 units; what is longer is cut, not refused, since the routers between us and its author
 * pass it on in good faith. Nicknames are host names (64 at most on Linux) unless users set them.
 */
export const MAX_NICKNAME_LENGTH = 1_024;
/** Cut likewise. The longest real one is an IPv6 address with zone and port: under 80. */
export const MAX_REMOTE_ADDRESS_LENGTH = 256;
/** One connection per pair of peers, so no peer has more connections than there are peers. */
export const MAX_CONNECTIONS_PER_PEER = MAX_PEERS;

const peerSummary = gob.struct('peerSummary', {
  NameByte: gob.bytes,
  NickName: gob.string,
  UID: gob.uint64,
  Version: gob.uint64,
  ShortID: gob.uint16,
  HasShortID: gob.bool,
});

const connectionSummary = gob.struct('connectionSummary', {
  NameByte: gob.bytes,
  RemoteTCPAddr: gob.string,
  Outbound: gob.bool,
  Established: gob.bool,
});

const connectionSummaries = gob.slice(connectionSummary);

type Summary = gob.ValueOf<typeof peerSummary>;
type ConnectionSummary = gob.ValueOf<typeof connectionSummary>;

/**
 * Peers in the order of the bytes; a name may repeat. A connection listed twice counts once, as
 * last described. Stricter than the original where that ends silently: a summary without its list
 * (C4) and names of another length than six bytes (C6) are errors.
 * @throws {DecodeError} codes of gob, `peer-name-invalid`, `too-many-peers`, `too-many-connections`
 */
export function decodeTopology(payload: Uint8Array): DecodedPeer[] {
  const decoder = new GobDecoder(payload);
  const peers: DecodedPeer[] = [];
  while (!decoder.atEnd) {
    if (peers.length >= MAX_PEERS) {
      throw new DecodeError('too-many-peers', `topology update of more than ${MAX_PEERS} peers`);
    }
    const summary = decoder.next(peerSummary);
    peers.push(toPeer(summary, decoder.next(connectionSummaries)));
  }
  return peers;
}

export function encodeTopology(peers: Iterable<PeerEntry>): Uint8Array {
  const encoder = new GobEncoder();
  for (const peer of peers) {
    encoder.encode(peerSummary, {
      NameByte: peerNameToBytes(peer.name),
      NickName: peer.nickname,
      UID: peer.uid,
      Version: peer.version,
      ShortID: peer.shortId ?? 0,
      HasShortID: peer.shortId !== null,
    });
    encoder.encode(connectionSummaries, [...peer.connections.values()].map(toSummary));
  }
  return encoder.finish();
}

/** An upper bound of what the entry takes in a payload, type definitions aside. */
export function maxEncodedBytes(peer: PeerEntry): number {
  let bytes = 64 + 3 * peer.nickname.length;
  for (const { remoteTcpAddr } of peer.connections.values()) bytes += 24 + 3 * remoteTcpAddr.length;
  return bytes;
}

function toPeer(summary: Summary, list: readonly ConnectionSummary[]): DecodedPeer {
  if (list.length > MAX_CONNECTIONS_PER_PEER) {
    throw new DecodeError('too-many-connections', `${list.length} connections of one peer`);
  }
  const connections = new Map<PeerName, PeerLink>();
  for (const item of list) {
    const { Outbound: outbound, Established: established } = item;
    const remotePeer = peerNameFromBytes(item.NameByte);
    const remoteTcpAddr = clip(item.RemoteTCPAddr, MAX_REMOTE_ADDRESS_LENGTH);
    connections.set(remotePeer, { remotePeer, remoteTcpAddr, outbound, established });
  }
  return {
    name: peerNameFromBytes(summary.NameByte),
    nickname: clip(summary.NickName, MAX_NICKNAME_LENGTH),
    uid: summary.UID,
    version: summary.Version,
    shortId: summary.HasShortID ? summary.ShortID : null,
    connections,
  };
}

function toSummary(link: PeerLink): ConnectionSummary {
  return {
    NameByte: peerNameToBytes(link.remotePeer),
    RemoteTCPAddr: link.remoteTcpAddr,
    Outbound: link.outbound,
    Established: link.established,
  };
}
