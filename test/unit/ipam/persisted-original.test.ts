/** Values of the original's database, as recorded; and what is no such value. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DecodeError } from '../../../core/errors.js';
import { formatCidr } from '../../../core/ip.js';
import { formatPeerName, type PeerName } from '../../../core/peer-name.js';
import {
  decodeHolders,
  decodePeerName,
  decodeStoredRing,
  decodeTargets,
  toSnapshot,
} from '../../../ipam/persisted-original.js';
import { loadVectors } from '../../support/vectors.js';
import { type RingText, ringFrom } from './ring-vectors.js';

interface PersistedCase {
  readonly name: string;
  readonly kind: string;
  readonly hex: string;
  readonly decoded: unknown;
}

const all = loadVectors<{ cases: PersistedCase[] }>('ipam-gob.json').cases;
const cases = all.filter(({ kind }) => kind.startsWith('persisted:'));

const READERS: Readonly<Record<string, (bytes: Uint8Array, decoded: unknown) => void>> = {
  'persisted:peername': (bytes, decoded) =>
    assert.deepEqual({ peer: formatPeerName(decodePeerName(bytes)) }, decoded),
  'persisted:ring': (bytes, decoded) =>
    assert.deepEqual(decodeStoredRing(bytes), ringFrom(decoded as RingText)),
  'persisted:ownedAddresses': (bytes, decoded) => {
    const holders = decodeHolders(bytes).map(({ ident, isContainer, cidrs }) => [
      ident,
      { cidrs: cidrs.map(formatCidr), is_container: isContainer },
    ]);
    assert.deepEqual(Object.fromEntries(holders), decoded);
  },
  'persisted:directPeers': (bytes, decoded) =>
    assert.deepEqual({ peers: decodeTargets(bytes) }, decoded),
};

test('every stored value of the original is read', () => {
  assert.equal(cases.length, 7);
  for (const { kind, hex, decoded } of cases) {
    const read = READERS[kind];
    assert.ok(read, kind);
    read(Buffer.from(hex, 'hex'), decoded);
  }
});

test('cut anywhere, each is an error and no part of a value', () => {
  for (const { kind, hex, name } of cases) {
    const bytes = Buffer.from(hex, 'hex');
    for (let length = 0; length < bytes.length; length++) {
      const cut = bytes.subarray(0, length);
      assert.throws(() => READERS[kind]?.(cut, null), DecodeError, `${name} at ${length}`);
    }
  }
});

test('before the first division there is nothing to take over', () => {
  const empty = cases.find(({ name }) => name === 'ring before initialisation');
  const ring = decodeStoredRing(Buffer.from(empty?.hex ?? '', 'hex'));
  assert.equal(toSnapshot(12 as PeerName, ring, [], 7n), null);
});
