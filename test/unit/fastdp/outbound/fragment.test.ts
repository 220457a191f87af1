/** Fitting frames to a path: the table of decisions, and fragments byte for byte. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FrameInfo, parseFrame } from '../../../../fastdp/frame.js';
import { Fit, fitFrame, fragmentFrame } from '../../../../fastdp/outbound/fragment.js';
import { readU16 } from '../../../../fastdp/wire.js';
import { fromBase64, sleeveVectors } from '../bytes.js';
import { ethernet, ipv4Packet, ipv6Packet, tagged } from '../frames.js';

function parse(frame: Uint8Array): FrameInfo {
  return parseFrame(new FrameInfo(), frame, 0, frame.length);
}

function cut(frame: Uint8Array, mtu: number): Uint8Array[] | null {
  const out: Uint8Array[] = [];
  const scratch = new Uint8Array(70_000).fill(0xee);
  const sink = {
    handleFragment: (buffer: Uint8Array, bytes: number) => {
      out.push(buffer.slice(0, bytes));
      return true;
    },
  };
  return fragmentFrame(parse(frame), frame, 0, frame.length, mtu, scratch, sink) ? out : null;
}

test('fragments are those of the original', () => {
  for (const { name, mtu, frame_base64, fragments_base64 } of sleeveVectors.fragmentation) {
    const fragments = cut(fromBase64(frame_base64), mtu);
    assert.deepEqual(fragments, fragments_base64.map(fromBase64), name);
  }
});

test('fragments of any packet put together give its payload', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9000 }),
      fc.integer({ min: 68, max: 1500 }),
      fc.constantFrom([], [1, 1, 1, 1]),
      (payloadBytes, mtu, options) => {
        const packet = ipv4Packet({ payloadBytes, df: false, options });
        const headerBytes = 20 + options.length;
        const fragments = cut(ethernet(0x0800, packet), mtu);
        assert.ok(fragments !== null);
        const payload = new Uint8Array(payloadBytes);
        for (const fragment of fragments) {
          const bytes = readU16(fragment, 16) - headerBytes;
          assert.ok(bytes + headerBytes <= mtu);
          const at = (readU16(fragment, 20) & 0x1fff) * 8;
          assert.equal((readU16(fragment, 20) & 0x2000) === 0, at + bytes === payloadBytes);
          payload.set(fragment.subarray(14 + headerBytes, 14 + headerBytes + bytes), at);
        }
        assert.deepEqual(payload, packet.slice(headerBytes));
      },
    ),
  );
});

test('a frame shorter than its header says, or too far out, is refused', () => {
  const short = ethernet(0x0800, ipv4Packet({ payloadBytes: 3000, df: false })).slice(0, 2000);
  assert.equal(cut(short, 1414), null);
  const far = ipv4Packet({ payloadBytes: 3000, df: false, fragmentOffset: 0x1fff });
  assert.equal(cut(ethernet(0x0800, far), 1414), null);
  assert.equal(cut(ethernet(0x0800, ipv4Packet({ payloadBytes: 50, df: false })), 27), null);
});

test('each kind of frame gets its decision', () => {
  const mtu = 1414;
  const decide = (frame: Uint8Array, trusted: boolean, broadcast = false): Fit =>
    fitFrame(parse(frame), frame.length, mtu, trusted, broadcast);
  const v4 = (bytes: number, df: boolean) =>
    ethernet(0x0800, ipv4Packet({ payloadBytes: bytes - 20, df }));
  assert.equal(decide(v4(1414, true), false), Fit.df);
  assert.equal(decide(v4(1415, true), false), Fit.answer);
  assert.equal(decide(v4(1415, true), true, true), Fit.drop);
  assert.equal(decide(v4(1414, false), false), Fit.df);
  assert.equal(decide(v4(1415, false), false), Fit.fragment);
  assert.equal(decide(v4(100, false), true), Fit.nonDf);
  assert.equal(decide(v4(1415, false), true), Fit.nonDf);
  assert.equal(decide(ethernet(0x0806, new Uint8Array(28)), false), Fit.nonDf);
  const v6 = (bytes: number) => ethernet(0x86dd, ipv6Packet(bytes - 40));
  assert.equal(decide(v6(1414), false), Fit.nonDf);
  assert.equal(decide(v6(1415), false), Fit.answer);
  assert.equal(decide(v6(1415), false, true), Fit.nonDf);
  assert.equal(fitFrame(parse(v6(1280)), 1294, 900, false, false), Fit.nonDf);
  const vlan = (df: boolean) => tagged(1, 0x0800, ipv4Packet({ payloadBytes: 1391, df }));
  assert.equal(decide(vlan(true), false), Fit.answer);
  assert.equal(decide(vlan(false), false), Fit.nonDf);
});
