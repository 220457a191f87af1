/**
 * The state of an original router, out of its database file. Source: reference/ipam.md 11.
 *
 *   bucket `top`:  version | peername | ring | ownedAddresses | directPeers | flag:…
 */
import { DecodeError } from '../../core/errors.js';
import { formatPeerName, type PeerName } from '../../core/peer-name.js';
import type { RingState } from '../../ipam/interfaces.js';
import {
  decodeHolders,
  decodePeerName,
  decodeStoredRing,
  decodeTargets,
  type OriginalHolder,
} from '../../ipam/persisted-original.js';
import { readBoltBucket } from './bolt.js';

const BUCKET = 'top';
/** The major number; the minor one says what was added. */
const VERSION = 1;

export interface OriginalState {
  readonly peer: PeerName;
  /** null: its allocator was off. */
  readonly ring: RingState | null;
  readonly owned: readonly OriginalHolder[];
  /** Peers it was told to call. */
  readonly targets: readonly string[];
}

/**
 * @param file the whole database
 * @returns null if no router has stored anything in it yet.
 * @throws {DecodeError} `bolt-damaged`, `migration-version`, `migration-mixed`, codes of gob
 */
export function readOriginalState(file: Uint8Array): OriginalState | null {
  const values = readBoltBucket(file, BUCKET);
  const major = values.get('version')?.[0];
  if (major === undefined) return null;
  if (major !== VERSION) {
    throw new DecodeError('migration-version', `version ${major} of the database is not known`);
  }
  const decode = <T>(key: string, read: (bytes: Uint8Array) => T): T | null => {
    const bytes = values.get(key);
    return bytes === undefined ? null : read(bytes);
  };
  const peer = decode('peername', decodePeerName);
  if (peer === null) return null;
  const ring = decode('ring', decodeStoredRing);
  if (ring !== null && ring.peer !== peer) {
    const names = `${formatPeerName(ring.peer)} and ${formatPeerName(peer)}`;
    throw new DecodeError('migration-mixed', `the database is of two peers, ${names}`);
  }
  return {
    peer,
    ring,
    owned: decode('ownedAddresses', decodeHolders) ?? [],
    targets: decode('directPeers', decodeTargets) ?? [],
  };
}
