/** Classification of frames: the original's decisions, and what VLAN tags and IPv6 add. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fromHex } from '../../../core/bytes.js';
import { formatMac, type Mac } from '../../../core/mac.js';
import { FrameInfo, FrameKind, parseFrame } from '../../../fastdp/frame.js';
import { sleeveVectors } from './bytes.js';
import { ethernet, ipv4Packet, ipv6Packet, tagged } from './frames.js';

test('frames are seen as the original sees them', () => {
  for (const { name, frame_hex, result } of sleeveVectors.classification) {
    const frame = fromHex(`ffff${frame_hex}`);
    const info = parseFrame(new FrameInfo(), frame, 2, frame.length - 2);
    const isPlainIpv4 = info.kind === FrameKind.ipv4 && info.tagBytes === 0;
    const layers = info.kind === FrameKind.tooShort ? 0 : isPlainIpv4 ? 2 : 1;
    assert.equal(layers, result.layers_decoded, name);
    assert.equal(info.special, result.special, name);
    assert.equal(isPlainIpv4 && info.df, result.df, name);
    if (layers === 0) continue;
    assert.equal(formatMac(info.sourceMac as Mac), result.src_mac, name);
    assert.equal(formatMac(info.destinationMac as Mac), result.dst_mac, name);
  }
});

function parse(frame: Uint8Array): FrameInfo {
  return parseFrame(new FrameInfo(), frame, 0, frame.length);
}

test('IP behind one or two VLAN tags is found, behind three it is payload', () => {
  const packet = ipv4Packet({ payloadBytes: 10, df: true });
  assert.equal(parse(tagged(1, 0x0800, packet)).kind, FrameKind.ipv4);
  const twice = parse(tagged(2, 0x0800, packet));
  assert.equal(twice.kind, FrameKind.ipv4);
  assert.equal(twice.tagBytes, 8);
  assert.equal(twice.ipOffset, 22);
  assert.ok(twice.df);
  assert.equal(parse(tagged(3, 0x0800, packet)).kind, FrameKind.other);
  assert.equal(parse(tagged(1, 0x86dd, ipv6Packet(20))).kind, FrameKind.ipv6);
});

test('options must add up, and a zero length means all that is there', () => {
  const withOptions = (options: number[]) =>
    parse(ethernet(0x0800, ipv4Packet({ payloadBytes: 8, df: true, options }))).kind;
  assert.equal(withOptions([1, 1, 1, 0]), FrameKind.ipv4);
  assert.equal(withOptions([0x94, 4, 0, 0]), FrameKind.ipv4);
  assert.equal(withOptions([0x94, 5, 0, 0]), FrameKind.other);
  assert.equal(withOptions([0x94, 1, 0, 0]), FrameKind.other);
  assert.equal(withOptions([1, 1, 1, 7]), FrameKind.other);
  const packet = ipv4Packet({ payloadBytes: 8, df: false });
  packet.fill(0, 2, 4);
  assert.equal(parse(ethernet(0x0800, packet)).ipTotalBytes, 28);
});

test('short or foreign versions are not IPv6', () => {
  assert.equal(parse(ethernet(0x86dd, ipv6Packet(0).subarray(0, 39))).kind, FrameKind.other);
  const wrong = ipv6Packet(8);
  wrong[0] = 0x45;
  assert.equal(parse(ethernet(0x86dd, wrong)).kind, FrameKind.other);
});

test('any bytes are classified within their bounds', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      const info = parse(bytes);
      if (info.kind < FrameKind.ipv4) return;
      assert.ok(info.ipOffset + info.ipHeaderBytes <= bytes.length);
    }),
  );
});
