/** Whom a peer that leaves for good gives its ranges to, and whom a text means. */
import { DecodeError } from '../core/errors.js';
import { formatPeerName, type PeerName, parsePeerName } from '../core/peer-name.js';
import type { Peers } from './peers.js';
import type { Ring } from './ring.js';

/**
 * First found: an owner that is there, in the order of the ring; another peer that is there; any
 * other owner; anybody. Source: reference/ipam.md 12.2.
 */
export function chooseHeir(localPeer: PeerName, peers: Peers, ring: Ring): PeerName | null {
  const others = (list: Iterable<PeerName>): PeerName[] =>
    [...list].filter((peer) => peer !== localPeer && peer !== 0);
  const owners = others(ring.owners());
  const named = others(peers.nicknames.keys());
  const isHere = (peer: PeerName): boolean => peers.known.has(peer);
  return owners.find(isHere) ?? named.find(isHere) ?? owners[0] ?? named[0] ?? null;
}

export type FoundPeer =
  | { readonly kind: 'found'; readonly peer: PeerName }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'ambiguous'; readonly text: string };

/** A nickname, or a name in text form; peers that own nothing are unknown. */
export function resolvePeer(text: string, peers: Peers, ring: Ring): FoundPeer {
  const named = peers.byNickname(text);
  const owning = named.filter((peer) => ring.hasOwner(peer));
  if (owning.length > 1) {
    const list = owning.map(formatPeerName).join(', ');
    return {
      kind: 'ambiguous',
      text: `several peers have the nickname ${text}: ${list}; give the name of the one you mean`,
    };
  }
  if (owning[0] !== undefined) return { kind: 'found', peer: owning[0] };
  try {
    const peer = parsePeerName(text);
    return ring.hasOwner(peer) ? { kind: 'found', peer } : { kind: 'unknown' };
  } catch (error) {
    if (error instanceof DecodeError) return { kind: 'unknown' };
    throw error;
  }
}
