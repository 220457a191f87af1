/** Datagrams of reference/vectors/sleeve.json taken apart and put together at an offset. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex, toHex } from '../../../core/bytes.js';
import type { PeerName } from '../../../core/peer-name.js';
import { DROP_REASON_NAMES, DropReason, sendFailureReason } from '../../../fastdp/drop-reason.js';
import {
  copyBytes,
  readU48,
  recordDestination,
  recordSource,
  splitRecords,
  writeRecordHeader,
  writeU48,
} from '../../../fastdp/wire.js';
import { frameOf, nameFromHex, sleeveVectors } from './bytes.js';

interface SeenRecord {
  source: PeerName;
  destination: PeerName;
  frame: Uint8Array;
}

function collect(bytes: Uint8Array, offset: number): { reason: DropReason; seen: SeenRecord[] } {
  const seen: SeenRecord[] = [];
  const reason = splitRecords(bytes, offset, bytes.length - offset, {
    handleRecord: (buffer, at, count) => {
      const source = recordSource(buffer, at);
      const destination = recordDestination(buffer, at);
      seen.push({ source, destination, frame: buffer.slice(at, at + count) });
    },
  });
  return { reason, seen };
}

test('plain packets of the original split into their records and are rebuilt', () => {
  for (const packet of sleeveVectors.packets.filter((candidate) => !candidate.encrypted)) {
    const built = new Uint8Array(packet.packet_length + 3);
    writeU48(built, 3, nameFromHex(packet.sender_name));
    let at = 9;
    for (const frame of packet.frames) {
      const source = nameFromHex(frame.src_name);
      const destination = nameFromHex(frame.dst_name);
      at = writeRecordHeader(built, at, source, destination, frame.length);
      copyBytes(frameOf(frame), 0, built, at, frame.length);
      at += frame.length;
    }
    assert.equal(at, built.length, packet.name);
    // The big ones hold zeros, apart from a heartbeat's identity that only short ones have.
    if (packet.packet_hex !== undefined && packet.name !== 'plain_heartbeat') {
      assert.equal(toHex(built.subarray(3)), packet.packet_hex, packet.name);
    }
    const { reason, seen } = collect(built, 9);
    assert.equal(reason, DropReason.none);
    assert.deepEqual(
      seen.map((record) => record.frame.length),
      packet.frames.map((frame) => frame.length),
    );
  }
});

test('malformed bodies deliver what precedes the error', () => {
  for (const { name, body_hex, frames_delivered, error } of sleeveVectors.malformed) {
    const { reason, seen } = collect(fromHex(body_hex), 0);
    assert.equal(seen.length, frames_delivered, name);
    assert.equal(reason !== DropReason.none, error !== '', name);
  }
});

test('names keep all 48 bits', () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 48 - 1 }), fc.nat({ max: 9 }), (value, offset) => {
      const buffer = new Uint8Array(16);
      writeU48(buffer, offset, value);
      assert.equal(readU48(buffer, offset), value);
    }),
  );
});

test('random bytes never throw, and every record lies inside', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      const { seen } = collect(bytes, 0);
      const total = seen.reduce((sum, record) => sum + 14 + record.frame.length, 0);
      assert.ok(total <= bytes.length);
    }),
  );
});

test('every drop reason has a name of its own in its place', () => {
  const numbers = Object.values(DropReason);
  assert.deepEqual(
    numbers,
    numbers.map((_, index) => index),
  );
  assert.equal(new Set(DROP_REASON_NAMES).size, numbers.length);
  assert.equal(DROP_REASON_NAMES[DropReason.macReflected], 'mac-reflected');
  assert.equal(sendFailureReason(90), DropReason.sendTooBig);
  assert.equal(sendFailureReason(9999), DropReason.sendFailed);
});
