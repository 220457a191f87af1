/** Open checksums: found, completed, and never seen where there is none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OpenChecksum } from '../../../fastdp/open-checksum.js';
import { ethernet, ipv4Packet, ipv6Packet } from './frames.js';
import { openChecksum, tcpFrame } from './io/offload/frames.js';

const shape = fc.record({
  ipv6: fc.boolean(),
  tags: fc.nat(2),
  optionBytes: fc.constantFrom(0, 12, 40),
  sequence: fc.nat(0xffff_ffff),
  payload: fc.uint8Array({ maxLength: 1500 }),
});

test('an open checksum is found and completed at any offset', () => {
  fc.assert(
    fc.property(shape, fc.nat(9), (spec, lead) => {
      const { bytes, ipAt, tcpAt } = tcpFrame(spec);
      const buffer = new Uint8Array(lead + bytes.length + 3).fill(0xee);
      buffer.set(bytes, lead);
      new DataView(buffer.buffer).setUint16(lead + tcpAt + 16, openChecksum(bytes, ipAt, tcpAt));
      const open = new OpenChecksum();
      assert.ok(open.find(buffer, lead, bytes.length));
      assert.deepEqual([open.transport, open.field], [tcpAt, 16]);
      open.complete(buffer, lead, bytes.length);
      assert.deepEqual(buffer.subarray(lead, lead + bytes.length), bytes);
      assert.ok(buffer.subarray(0, lead).every((byte) => byte === 0xee));
      assert.ok(buffer.subarray(lead + bytes.length).every((byte) => byte === 0xee));
    }),
  );
});

test('that of UDP is completed, too, and zero becomes its equal', () => {
  for (const packet of [ipv4Packet({ payloadBytes: 8, df: true }), ipv6Packet(8)]) {
    const frame = ethernet(packet.length === 28 ? 0x0800 : 0x86dd, packet);
    const at = frame.length - 8;
    const view = new DataView(frame.buffer);
    const ipAt = 14;
    const isIpv6 = packet.length !== 28;
    let pseudo = 17 + 8;
    for (let i = ipAt + (isIpv6 ? 8 : 12); i < ipAt + (isIpv6 ? 40 : 20); i += 2) {
      pseudo += view.getUint16(i);
    }
    pseudo = (pseudo & 0xffff) + (pseudo >>> 16);
    // Ports and length chosen so that the whole sums up to ffff.
    view.setUint16(at, 0xffff - pseudo - 8);
    view.setUint16(at + 2, 0);
    view.setUint16(at + 4, 8);
    view.setUint16(at + 6, pseudo);
    new OpenChecksum().complete(frame, 0, frame.length);
    assert.equal(view.getUint16(at + 6), 0xffff);
  }
});

test('complete ones, fragments, padded and cut frames are left alone', () => {
  const open = new OpenChecksum();
  const built = tcpFrame({ payload: Uint8Array.of(1, 2, 3, 4) });
  assert.equal(open.find(built.bytes, 0, built.bytes.length), false);
  const frame = built.bytes.slice();
  const view = new DataView(frame.buffer);
  view.setUint16(built.tcpAt + 16, openChecksum(frame, built.ipAt, built.tcpAt));
  assert.ok(open.find(frame, 0, frame.length));
  assert.equal(open.find(frame, 0, frame.length - 1), false);
  const padded = new Uint8Array([...frame, 0]);
  assert.equal(open.find(padded, 0, padded.length), false);
  for (const fragment of [0x2000, 0x0001]) {
    view.setUint16(built.ipAt + 6, fragment);
    assert.equal(open.find(frame, 0, frame.length), false);
  }
});

test('any bytes never throw, and nothing but the field changes', () => {
  const open = new OpenChecksum();
  const any = fc.oneof(
    fc.uint8Array({ maxLength: 100 }),
    fc.tuple(shape, fc.nat(120), fc.nat(255)).map(([spec, at, value]) => {
      const { bytes } = tcpFrame(spec);
      if (at < bytes.length) bytes[at] = value;
      return bytes;
    }),
  );
  fc.assert(
    fc.property(any, (bytes) => {
      const frame = bytes.slice();
      const found = open.find(frame, 0, frame.length);
      open.complete(frame, 0, frame.length);
      const changed = frame.filter((byte, i) => byte !== bytes[i]).length;
      assert.ok(changed <= (found ? 2 : 0));
    }),
    { numRuns: 500 },
  );
});
