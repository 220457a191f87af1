/**
 * What the original's allocator and router store, as values of its database; see
 * router/migration/ for the file around them. Source: reference/ipam.md 11, appendix A, B.
 */
import { DecodeError } from '../core/errors.js';
import { GobDecoder, gob } from '../core/gob/index.js';
import type { Cidr, Ipv4 } from '../core/ip.js';
import { type PeerName, peerNameFromNumber } from '../core/peer-name.js';
import { decodeRing } from './codec.js';
import type { IpamSnapshot, RingState } from './interfaces.js';

/** Far above the addresses of a /8 in use on one host that ever was. */
const MAX_HOLDERS = 262_144;
const MAX_TARGETS = 4096;

const cidr = gob.struct('CIDR', { Addr: gob.uint32, PrefixLen: gob.int32 });
const holder = gob.struct('', { IsContainer: gob.bool, Cidrs: gob.slice(cidr) });
const holders = gob.map(gob.string, holder);
const targets = gob.slice(gob.string);

/** The original's addresses of one identifier. */
export interface OriginalHolder {
  readonly ident: string;
  /** A container of Docker's, whose end releases the addresses. */
  readonly isContainer: boolean;
  readonly cidrs: readonly Cidr[];
}

/** Key `peername`. @throws {DecodeError} */
export function decodePeerName(bytes: Uint8Array): PeerName {
  return peerNameFromNumber(new GobDecoder(bytes).next(gob.uint48));
}

/** Key `ring`; without entries before the first division. @throws {DecodeError} */
export function decodeStoredRing(bytes: Uint8Array): RingState & { readonly peer: PeerName } {
  return decodeRing(bytes);
}

/** Key `ownedAddresses`. @throws {DecodeError} also `ipam-prefix` */
export function decodeHolders(bytes: Uint8Array): readonly OriginalHolder[] {
  const value = new GobDecoder(bytes).next(holders);
  checkCount(value.size, MAX_HOLDERS, 'holders of addresses');
  return [...value].map(([ident, { IsContainer, Cidrs }]) => ({
    ident,
    isContainer: IsContainer,
    cidrs: Cidrs.map(({ Addr, PrefixLen }) => {
      if (PrefixLen < 0 || PrefixLen > 32) {
        throw new DecodeError('ipam-prefix', `prefix length ${PrefixLen}`);
      }
      return { address: Addr as Ipv4, prefixLength: PrefixLen };
    }),
  }));
}

/** Key `directPeers`: whom the router calls, as the user wrote them. @throws {DecodeError} */
export function decodeTargets(bytes: Uint8Array): readonly string[] {
  const value = new GobDecoder(bytes).next(targets);
  checkCount(value.length, MAX_TARGETS, 'targets');
  return value;
}

/**
 * The same state in our own form. A vote that was under way is not in it: the original keeps none.
 * @param uid a new one, not 0
 * @returns null before the first division, when there is nothing to take over.
 */
export function toSnapshot(
  localPeer: PeerName,
  ring: RingState,
  owned: readonly OriginalHolder[],
  uid: bigint,
): IpamSnapshot | null {
  if (ring.entries.length === 0) return null;
  return {
    localPeer,
    universe: { start: ring.start, end: ring.end },
    ring: {
      seeds: ring.seeds,
      entries: ring.entries.map(({ token, peer, version, free }) => [token, peer, version, free]),
    },
    owned: owned.map(({ ident, isContainer, cidrs }) => ({
      ident,
      watched: isContainer,
      cidrs: cidrs.map(({ address, prefixLength }) => [address, prefixLength]),
      stranded: [],
    })),
    vote: null,
    uid: uid.toString(),
    reclaimAfterMs: null,
  };
}

function checkCount(count: number, most: number, what: string): void {
  if (count > most) {
    throw new DecodeError('ipam-state-too-large', `${count} ${what}, at most ${most} are read`);
  }
}
