/** "Too big" answers: byte for byte for IPv4, by the RFCs' rules for the rest. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '../../../core/bytes.js';
import { checksumAdd, checksumFinish } from '../../../fastdp/checksum.js';
import { FrameInfo, FrameKind, parseFrame } from '../../../fastdp/frame.js';
import { buildTooBig, MAX_TOO_BIG_FRAME_BYTES } from '../../../fastdp/icmp.js';
import { readU16, readU32 } from '../../../fastdp/wire.js';
import { fromBase64, sleeveVectors } from './bytes.js';
import { ethernet, ipv4Packet, ipv6Packet, MAC_A, MAC_B, tagged } from './frames.js';

function answer(frame: Uint8Array, mtu: number): Uint8Array {
  const out = new Uint8Array(MAX_TOO_BIG_FRAME_BYTES).fill(0xee);
  const info = parseFrame(new FrameInfo(), frame, 0, frame.length);
  return out.slice(0, buildTooBig(out, info, frame, 0, frame.length, mtu));
}

test('fragmentation needed is what the original sends', () => {
  for (const {
    name,
    mtu,
    offending_frame_base64,
    icmp_frame_hex,
  } of sleeveVectors.icmp_frag_needed) {
    assert.equal(toHex(answer(fromBase64(offending_frame_base64), mtu)), icmp_frame_hex, name);
  }
});

test('packet too big quotes up to 1280 bytes and sums up', () => {
  const offending = ethernet(0x86dd, ipv6Packet(1500));
  const reply = answer(offending, 1414);
  assert.equal(reply.length, 14 + 1280);
  const info = parseFrame(new FrameInfo(), reply, 0, reply.length);
  assert.equal(info.kind, FrameKind.ipv6);
  assert.equal(info.sourceMac, MAC_B);
  assert.equal(info.destinationMac, MAC_A);
  assert.equal(reply[14 + 23], 2);
  assert.equal(reply[54], 2);
  assert.equal(readU32(reply, 58), 1414);
  assert.deepEqual(reply.subarray(62), offending.subarray(14, 14 + 1232));
  const pseudo = checksumAdd(0, reply, 22, 32) + readU16(reply, 18) + 58;
  assert.equal(checksumFinish(checksumAdd(pseudo, reply, 54, reply.length - 54)), 0);
});

test('IPv6 senders are never asked for less than 1280', () => {
  assert.equal(readU32(answer(ethernet(0x86dd, ipv6Packet(1500)), 900), 58), 1280);
});

test('VLAN tags come back and take their room from the packet', () => {
  const v4 = answer(tagged(1, 0x0800, ipv4Packet({ payloadBytes: 1500, df: true })), 1414);
  assert.equal(toHex(v4.subarray(12, 18)), '810000640800');
  assert.equal(readU16(v4, 18 + 26), 1410);
  assert.equal(checksumFinish(checksumAdd(0, v4, 18, 20)), 0);
  assert.equal(checksumFinish(checksumAdd(0, v4, 38, v4.length - 38)), 0);
  const v6 = answer(tagged(2, 0x86dd, ipv6Packet(1500)), 1414);
  assert.equal(readU32(v6, 22 + 44), 1406);
});

test('errors, later fragments and group addresses are not answered', () => {
  const v4 = (change: (packet: Uint8Array) => void, shape = {}) => {
    const packet = ipv4Packet({ payloadBytes: 1500, df: true, ...shape });
    change(packet);
    return answer(ethernet(0x0800, packet), 1414).length;
  };
  const none = () => {};
  assert.ok(v4(none) > 0);
  assert.equal(v4(none, { fragmentOffset: 5 }), 0);
  assert.equal(
    v4((packet) => packet.fill(0, 12, 16)),
    0,
  );
  assert.equal(
    v4((packet) => packet.fill(224, 16, 17)),
    0,
  );
  assert.equal(
    v4((packet) => packet.fill(3, 20, 21), { protocol: 1 }),
    0,
  );
  assert.ok(v4((packet) => packet.fill(8, 20, 21), { protocol: 1 }) > 0);
  const v6 = (change: (packet: Uint8Array) => void, nextHeader = 17) => {
    const packet = ipv6Packet(1500, nextHeader);
    change(packet);
    return answer(ethernet(0x86dd, packet), 1414).length;
  };
  assert.ok(v6(none) > 0);
  assert.equal(
    v6((packet) => packet.fill(0xff, 24, 25)),
    0,
  );
  assert.equal(
    v6((packet) => packet.fill(0, 8, 24)),
    0,
  );
  assert.equal(
    v6((packet) => packet.fill(1, 40, 41), 58),
    0,
  );
  assert.ok(v6((packet) => packet.fill(128, 40, 41), 58) > 0);
});

test('any frame gives an answer within bounds or none', () => {
  const header = fc.constantFrom(
    ethernet(0x0800, ipv4Packet({ payloadBytes: 30, df: true })),
    ethernet(0x86dd, ipv6Packet(30)),
    tagged(1, 0x0800, ipv4Packet({ payloadBytes: 3, df: true, options: [1, 1, 1, 1] })),
  );
  const edits = fc.array(fc.tuple(fc.nat({ max: 80 }), fc.nat({ max: 255 })), { maxLength: 4 });
  fc.assert(
    fc.property(header, edits, fc.nat({ max: 80 }), (base, changes, cut) => {
      const frame = base.slice(0, Math.max(0, base.length - cut));
      for (const [at, value] of changes) if (at < frame.length) frame[at] = value;
      assert.ok(answer(frame, 600).length <= MAX_TOO_BIG_FRAME_BYTES);
    }),
  );
});
