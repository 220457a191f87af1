/** What is stored, and taking it up again after a restart. Source: reference/ipam.md 11. */
import { DecodeError, ProtocolError } from '../core/errors.js';
import type { Ipv4 } from '../core/ip.js';
import { type PeerName, peerNameFromNumber } from '../core/peer-name.js';
import type { Holdings } from './holdings.js';
import type { IpamSnapshot, RestoreOutcome } from './interfaces.js';
import type { AddressRange } from './range.js';

export interface SnapshotParts {
  readonly localPeer: PeerName;
  readonly uid: bigint;
  readonly holdings: Holdings;
  readonly vote: string | null;
  readonly reclaimAfterMs: number | null;
}

export function takeSnapshot(parts: SnapshotParts): IpamSnapshot {
  const { ring, owned } = parts.holdings;
  return {
    localPeer: parts.localPeer,
    universe: { start: ring.range.start, end: ring.range.end },
    ring: {
      seeds: ring.seeds,
      entries: ring.entries.map(({ token, peer, version, free }) => [token, peer, version, free]),
    },
    owned: owned.snapshot(),
    vote: parts.vote,
    uid: parts.uid.toString(),
    reclaimAfterMs: parts.reclaimAfterMs,
  };
}

/** Nothing is taken up unless the outcome is `restored`. */
export function restoreSnapshot(
  snapshot: IpamSnapshot | null,
  localPeer: PeerName,
  universe: AddressRange,
  holdings: Holdings,
): RestoreOutcome {
  if (snapshot === null) return 'empty';
  if (snapshot.localPeer !== localPeer) return 'other-peer';
  const { start, end } = snapshot.universe;
  if (start !== universe.start || end !== universe.end) return 'other-range';
  try {
    holdings.ring.install(
      snapshot.ring.entries.map(([token, peer, version, free]) => ({
        token: token as Ipv4,
        peer: peerNameFromNumber(peer),
        version,
        free,
      })),
      snapshot.ring.seeds.map(peerNameFromNumber),
    );
  } catch (error) {
    if (error instanceof ProtocolError || error instanceof DecodeError) return 'damaged';
    throw error;
  }
  holdings.owned.restore(snapshot.owned);
  holdings.settle();
  return 'restored';
}
