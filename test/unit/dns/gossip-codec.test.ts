/** Payloads of names: byte for byte the original's, and what is tolerated in those of others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../../../core/bytes.js';
import { DecodeError } from '../../../core/errors.js';
import { GobEncoder, gob } from '../../../core/gob/index.js';
import { addressCodec, recordCodec } from '../../../dns/gossip-codec.js';
import { orderInLists, orderOnWire } from '../../../dns/name-entry.js';
import { loadVectors } from '../../support/vectors.js';
import { entry, fromVector, type VectorEntry } from './entries.js';

interface Message {
  readonly timestamp: number;
  readonly entries: readonly VectorEntry[];
}

interface GossipVectors {
  readonly cases: readonly {
    readonly name: string;
    readonly hex: string;
    readonly wire: Message;
    readonly after_decode_sorted: readonly VectorEntry[];
  }[];
  readonly other_encoders: readonly {
    readonly name: string;
    readonly hex: string;
    readonly wire: Message;
  }[];
}

const { cases, other_encoders: others } = loadVectors<GossipVectors>('dns-gossip.json');

for (const { name, hex, wire, after_decode_sorted: inLists } of cases) {
  test(`payload of the original: ${name}`, () => {
    const entries = wire.entries.map(fromVector);
    const decoded = addressCodec.decode(fromHex(hex));
    assert.deepEqual(decoded, { timestamp: wire.timestamp, entries, unusable: 0 });
    const shuffled = [...entries].reverse();
    const encoded = addressCodec.encode({ timestamp: wire.timestamp, entries: shuffled });
    assert.equal(toHex(encoded), hex);
    assert.deepEqual([...shuffled].sort(orderOnWire), entries);
    assert.deepEqual([...shuffled].sort(orderInLists), inLists.map(fromVector));
  });
}

for (const { name, hex, wire } of others) {
  test(`payload of another encoder: ${name}`, () => {
    const { timestamp, entries } = addressCodec.decode(fromHex(hex));
    assert.deepEqual({ timestamp, entries }, { ...wire, entries: wire.entries.map(fromVector) });
  });
}

test('records other than IPv4 addresses go on a channel of their own, and come back', () => {
  const entries = [
    entry({ type: 'AAAA', data: 'fd00::1' }),
    entry({ type: 'CNAME', data: 'db.weave.local.', tombstone: 1_700_000_000, version: 3 }),
    entry({ type: 'SRV', data: '10 60 8080 db.weave.local.' }),
  ];
  for (const one of entries) {
    assert.equal(addressCodec.carries(one), false);
    assert.equal(recordCodec.carries(one), true);
  }
  const payload = recordCodec.encode({ timestamp: 5, entries });
  assert.deepEqual(recordCodec.decode(payload), { timestamp: 5, entries, unusable: 0 });
});

test('what no table could hold is left out and counted, the rest is taken', () => {
  const good = entry();
  const long = entry({ hostname: `${'a'.repeat(255)}.` });
  const payload = addressCodec.encode({ timestamp: 5, entries: [long, good] });
  assert.deepEqual(addressCodec.decode(payload), { timestamp: 5, entries: [good], unusable: 1 });
  const wire = gob.struct('RecordData', {
    Timestamp: gob.int53,
    Entries: gob.slice(
      gob.struct('E', { Type: gob.string, Data: gob.string, Hostname: gob.string }),
    ),
  });
  const Entries = [
    { Type: 'LOC', Data: '51 N', Hostname: 'x.' },
    { Type: 'AAAA', Data: 'fd00::zz', Hostname: 'x.' },
    { Type: 'A', Data: '10.0.0.1', Hostname: 'x.' },
    { Type: 'AAAA', Data: 'FD00:0::1', Hostname: 'x.' },
  ];
  const foreign = new GobEncoder().encode(wire, { Timestamp: 1, Entries }).finish();
  const { entries, unusable } = recordCodec.decode(foreign);
  assert.equal(unusable, 3);
  assert.deepEqual(
    entries.map(({ data }) => data),
    ['fd00::1'],
  );
});

test('bytes that are no message are an error', () => {
  for (const bytes of [[], [1], [0xff, 0xff], [3, 4, 0, 1]]) {
    assert.throws(() => addressCodec.decode(Uint8Array.from(bytes)), DecodeError);
  }
});
