/** Feature maps that the original accepted and refused. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProtocolError } from '../../../../core/errors.js';
import { formatPeerName, parsePeerName } from '../../../../core/peer-name.js';
import {
  buildFeatures,
  decodeFeatures,
  encodeFeatures,
  parseFeatures,
  reduceToProtocol1,
} from '../../../../mesh/peer/features.js';
import { loadVectors } from '../../../support/vectors.js';

interface Case {
  name: string;
  features: Record<string, string>;
  local_conn_id: string;
  result: {
    ok: boolean;
    name?: string;
    nickname?: string;
    uid?: string;
    short_id: number;
    has_short_id: boolean;
    remote_trusts_us: boolean;
    connection_uid?: string;
  };
}

const { cases } = loadVectors<{ cases: Case[] }>('features.json');

for (const item of cases) {
  test(`features: ${item.name}`, () => {
    const received = decodeFeatures(encodeFeatures(new Map(Object.entries(item.features))));
    const { result } = item;
    if (!result.ok) {
      assert.throws(() => parseFeatures(received), ProtocolError);
      return;
    }
    const parsed = parseFeatures(received);
    assert.equal(formatPeerName(parsed.name), result.name);
    assert.equal(parsed.nickname, result.nickname ?? '');
    assert.equal(String(parsed.uid), result.uid);
    assert.equal(parsed.shortId, result.has_short_id ? result.short_id : null);
    assert.equal(parsed.trustsUs, result.remote_trusts_us);
    assert.equal(String(parsed.connectionId ^ BigInt(item.local_conn_id)), result.connection_uid);
    assert.deepEqual(parsed.overlays, item.features['Overlays']?.split(' ') ?? null);
  });
}

const identity = {
  name: parsePeerName('82:00:00:00:00:01'),
  nickname: 'alpha',
  uid: 11111111111111111111n,
  shortId: 291,
};

test('our features are those of the original and our own, in sorted order', () => {
  const features = buildFeatures({
    identity,
    connectionId: 81985529216486895n,
    trustsRemote: false,
    overlays: ['fastdp', 'sleeve'],
    ciphers: ['aes-256-gcm', 'nacl'],
    extraFeatures: { Zebra: '1' },
  });
  assert.deepEqual(
    [...features],
    Object.entries({
      ...cases[0]!.features,
      Ciphers: 'aes-256-gcm nacl',
      Lanes: '16',
      Zebra: '1',
    }).sort(),
  );
  assert.deepEqual([...reduceToProtocol1(features).keys()].sort(), [
    'ConnID',
    'Name',
    'NickName',
    'PeerNameFlavour',
    'UID',
  ]);
});

test('no short id, no key; nothing about ciphers if NaCl is all', () => {
  const features = buildFeatures({
    identity: { ...identity, shortId: null },
    connectionId: 1n,
    trustsRemote: true,
    overlays: ['sleeve'],
    ciphers: ['nacl'],
    extraFeatures: {},
  });
  assert.ok(!features.has('ShortID'));
  assert.ok(!features.has('Ciphers'));
  assert.ok(!features.has('Lanes'));
  assert.equal(parseFeatures(features).trustsUs, true);
});
