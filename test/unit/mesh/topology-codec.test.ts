/** Topology payloads against those of the original, and what the codec refuses. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, toHex } from '../../../core/bytes.js';
import { DecodeError } from '../../../core/errors.js';
import { GobEncoder, gob } from '../../../core/gob/index.js';
import {
  decodeTopology,
  encodeTopology,
  MAX_NICKNAME_LENGTH,
} from '../../../mesh/topology-codec.js';
import {
  comparable,
  entry,
  fromVector,
  link,
  linkMap,
  type VectorPeer,
} from '../../support/topology.js';
import { loadVectors } from '../../support/vectors.js';

interface GossipVectors {
  readonly cases: readonly {
    readonly name: string;
    readonly hex: string;
    readonly peers: readonly VectorPeer[];
  }[];
}

for (const { name, hex, peers } of loadVectors<GossipVectors>('topology-gossip.json').cases) {
  test(`decodes and re-encodes ${name}`, () => {
    const expected = peers.map(fromVector);
    const decoded = decodeTopology(fromHex(hex));
    assert.deepEqual(
      decoded.map((peer) => peer.name),
      expected.map((peer) => peer.name),
    );
    assert.deepEqual(comparable(decoded), comparable(expected));
    assert.deepEqual(comparable(decodeTopology(encodeTopology(expected))), comparable(expected));
    if (expected.length === 0) assert.equal(encodeTopology(expected).length, 0);
  });
}

test('one peer with one connection has the bytes of the worked example', () => {
  // reference/wire-protocol.md 2.3
  const expected =
    '62ff81030101' +
    '0b7065657253756d6d617279' +
    '01ff820001060108' +
    '4e616d6542797465' +
    '010a000108' +
    '4e69636b4e616d65' +
    '010c000103' +
    '554944' +
    '010600' +
    '0107' +
    '56657273696f6e' +
    '0106000107' +
    '53686f72744944' +
    '010600010a' +
    '48617353686f72744944' +
    '0102000000' +
    '17ff82' +
    '0106820000000001' +
    '01026861' +
    '010101010101010100' +
    '0dff850201' +
    '02ff860001ff840000' +
    '5bff8303010111' +
    '636f6e6e656374696f6e53756d6d617279' +
    '01ff8400010401084e616d6542797465010a00010d' +
    '52656d6f746554435041646472' +
    '010c000108' +
    '4f7574626f756e64' +
    '010200010b' +
    '45737461626c6973686564' +
    '01020000001fff860001' +
    '0106820000000002' +
    '010e3139322e302e322e323a36373833' +
    '010100';
  const links = [
    link(0x82_00_00_00_00_02, { remoteTcpAddr: '192.0.2.2:6783', established: false }),
  ];
  const peer = entry(0x82_00_00_00_00_01, {
    nickname: 'ha',
    shortId: 1,
    connections: linkMap(links),
  });
  assert.equal(toHex(encodeTopology([peer])), expected);
});

const peerArbitrary = fc.record({
  name: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
  nickname: fc.string({ unit: 'grapheme', maxLength: 20 }),
  uid: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  version: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  shortId: fc.option(fc.integer({ min: 0, max: 65535 })),
  links: fc.array(
    fc.record({
      remotePeer: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
      remoteTcpAddr: fc.string({ maxLength: 30 }),
      outbound: fc.boolean(),
      established: fc.boolean(),
    }),
    { maxLength: 5 },
  ),
});

test('every table survives the round trip', () => {
  fc.assert(
    fc.property(fc.array(peerArbitrary, { maxLength: 6 }), (records) => {
      const peers = records.map(({ name, links, ...rest }) =>
        entry(name, {
          ...rest,
          connections: linkMap(
            links.map(({ remotePeer, ...seen }) => link(remotePeer, { ...seen })),
          ),
        }),
      );
      assert.deepEqual(comparable(decodeTopology(encodeTopology(peers))), comparable(peers));
    }),
    { numRuns: 200 },
  );
});

test('arbitrary and damaged bytes give a value or a DecodeError', () => {
  const sample = encodeTopology([
    entry(1, { connections: linkMap([link(2), link(3)]), shortId: 70 }),
    entry(2),
  ]);
  const check = (bytes: Uint8Array): void => {
    try {
      decodeTopology(bytes);
    } catch (error) {
      assert.ok(error instanceof DecodeError, String(error));
    }
  };
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), check), { numRuns: 500 });
  const damage = fc.tuple(fc.nat(sample.length - 1), fc.integer({ min: 0, max: 255 }));
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 4 }), (changes) => {
      const bytes = sample.slice();
      for (const [at, value] of changes) bytes[at] = value;
      check(bytes);
    }),
    { numRuns: 1000 },
  );
  for (let length = 0; length < sample.length; length++) check(sample.subarray(0, length));
});

const code = (wanted: string) => (error: unknown) =>
  error instanceof DecodeError && error.code === wanted;

test('a summary without its list is an error, unlike in the original (C4)', () => {
  const summary = gob.struct('peerSummary', { NameByte: gob.bytes });
  const payload = new GobEncoder().encode(summary, { NameByte: new Uint8Array(6) }).finish();
  assert.throws(() => decodeTopology(payload), code('gob-end'));
});

test('names of another length than six bytes are refused (C6)', () => {
  const summary = gob.struct('peerSummary', { NameByte: gob.bytes });
  const list = gob.slice(gob.struct('connectionSummary', { NameByte: gob.bytes }));
  for (const bytes of [0, 5, 7]) {
    const name = new Uint8Array(bytes);
    const asPeer = new GobEncoder().encode(summary, { NameByte: name }).encode(list, []);
    assert.throws(() => decodeTopology(asPeer.finish()), code('peer-name-invalid'));
    const asTarget = new GobEncoder()
      .encode(summary, { NameByte: new Uint8Array(6) })
      .encode(list, [{ NameByte: name }]);
    assert.throws(() => decodeTopology(asTarget.finish()), code('peer-name-invalid'));
  }
});

test('overlong nicknames and addresses are cut: those who relay them are not to blame', () => {
  const connections = linkMap([link(2, { remoteTcpAddr: '1'.repeat(1_000_000) })]);
  const nickname = 'n'.repeat(1_000_000);
  const [peer] = decodeTopology(encodeTopology([entry(1, { nickname, connections })]));
  assert.equal(peer?.nickname, 'n'.repeat(MAX_NICKNAME_LENGTH));
  assert.equal([...(peer?.connections.values() ?? [])][0]?.remoteTcpAddr.length, 256);
});
