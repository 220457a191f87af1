/** Cutting large TCP frames and completing checksums. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sumWords } from '../../../../../fastdp/checksum.js';
import { FrameSplitter } from '../../../../../fastdp/io/offload/split.js';
import { OpenChecksum } from '../../../../../fastdp/open-checksum.js';
import { openChecksum, plainSum, tcpChecksum, tcpFrame } from './frames.js';

interface Vnet {
  readonly flags: number;
  readonly gsoType: number;
  readonly gsoSize: number;
  readonly start: number;
  readonly offset: number;
}

function withHeader(vnet: Vnet, frame: Uint8Array): Uint8Array {
  const out = new Uint8Array(10 + frame.length);
  const view = new DataView(out.buffer);
  view.setUint8(0, vnet.flags);
  view.setUint8(1, vnet.gsoType);
  view.setUint16(4, vnet.gsoSize, true);
  view.setUint16(6, vnet.start, true);
  view.setUint16(8, vnet.offset, true);
  out.set(frame, 10);
  return out;
}

function split(input: Uint8Array, wanted = Number.POSITIVE_INFINITY) {
  const frames: Uint8Array[] = [];
  const view = new DataView(input.buffer, input.byteOffset, input.byteLength);
  const count = new FrameSplitter().split(input, view, input.length, (buffer, offset, bytes) => {
    const frame = buffer.slice(offset, offset + bytes);
    // As whoever hands the frame to a router or device that cannot.
    new OpenChecksum().complete(frame, 0, bytes);
    frames.push(frame);
    return frames.length < wanted;
  });
  return { count, frames };
}

const plain: Vnet = { flags: 0, gsoType: 0, gsoSize: 0, start: 0, offset: 0 };

test('the sum of words does not depend on alignment, length or step', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(9), (bytes, lead) => {
      const buffer = new Uint8Array(lead + bytes.length + 3).fill(0xee);
      buffer.set(bytes, lead);
      const sum = sumWords(new DataView(buffer.buffer), lead, bytes.length);
      assert.equal(sum, plainSum(bytes));
    }),
  );
  const full = new Uint8Array(65536).fill(0xff);
  assert.equal(sumWords(new DataView(full.buffer), 0, 65536), 0xffff);
});

test('a large TCP frame becomes segments that are right in every field', () => {
  const spec = fc.record({
    ipv6: fc.boolean(),
    tags: fc.nat(2),
    optionBytes: fc.constantFrom(0, 12, 40),
    payloadBytes: fc.integer({ min: 1, max: 20000 }),
    segmentBytes: fc.integer({ min: 24, max: 3000 }),
    sequence: fc.nat(0xffff_ffff),
    flags: fc.constantFrom(0x10, 0x18, 0x19, 0x90, 0xd9),
    ecn: fc.boolean(),
  });
  fc.assert(
    fc.property(spec, (s) => {
      const payload = Uint8Array.from({ length: s.payloadBytes }, (_, i) => (i * 31) >>> 3);
      const built = tcpFrame({ ...s, payload, id: 0xfffe });
      const { ipAt, tcpAt, headerBytes } = built;
      const view = new DataView(built.bytes.buffer);
      view.setUint16(tcpAt + 16, openChecksum(built.bytes, ipAt, tcpAt));
      const gsoType = (s.ipv6 ? 4 : 1) | (s.ecn ? 0x80 : 0);
      const vnet = { flags: 1, gsoType, gsoSize: s.segmentBytes, start: tcpAt, offset: 16 };
      const { count, frames } = split(withHeader(vnet, built.bytes));
      assert.equal(count, Math.ceil(s.payloadBytes / s.segmentBytes));
      assert.equal(frames.length, count);
      let done = 0;
      for (const [index, frame] of frames.entries()) {
        const isLast = index === count - 1;
        const part = payload.subarray(done, done + s.segmentBytes);
        const flags = s.flags & (index === 0 ? 0xff : ~0x80) & (isLast ? 0xff : ~(0x01 | 0x08));
        const sequence = (s.sequence + done) >>> 0;
        const id = (0xfffe + index) & 0xffff;
        // The same frame made from scratch, checksums included.
        const expected = tcpFrame({ ...s, payload: part, sequence, flags, id });
        assert.deepEqual(frame, expected.bytes);
        assert.equal(tcpChecksum(frame, ipAt, tcpAt), 0);
        assert.equal(frame.length - headerBytes, part.length);
        done += part.length;
      }
    }),
    {
      numRuns: 100,
      // One whose checksum comes out as zero.
      examples: [
        [
          {
            ipv6: false,
            tags: 0,
            optionBytes: 0,
            payloadBytes: 2808,
            segmentBytes: 26,
            sequence: 403539807,
            flags: 16,
            ecn: false,
          },
        ],
      ],
    },
  );
});

test('an open checksum is completed, also that of UDP that comes out as zero', () => {
  const built = tcpFrame({ payload: Uint8Array.of(1, 2, 3) });
  const right = built.bytes.slice();
  const view = new DataView(built.bytes.buffer);
  view.setUint16(built.tcpAt + 16, openChecksum(built.bytes, built.ipAt, built.tcpAt));
  const vnet = { ...plain, flags: 1, start: built.tcpAt, offset: 16 };
  assert.deepEqual(split(withHeader(vnet, built.bytes)).frames, [right]);

  // Eight bytes that sum up to ffff without the checksum field at +6.
  const udp = new Uint8Array(14 + 8);
  udp.set([0xff, 0xff], 14);
  const { frames } = split(withHeader({ ...plain, flags: 1, start: 14, offset: 6 }, udp));
  assert.deepEqual([...(frames[0] as Uint8Array).subarray(20, 22)], [0xff, 0xff]);
});

test('a plain frame passes as it is', () => {
  const frame = Uint8Array.from({ length: 60 }, (_, i) => i);
  assert.deepEqual(split(withHeader(plain, frame)), { count: 1, frames: [frame] });
});

test('the rest of a large frame is left when it is not wanted', () => {
  const built = tcpFrame({ payload: new Uint8Array(5000) });
  const vnet = { flags: 1, gsoType: 1, gsoSize: 1000, start: built.tcpAt, offset: 16 };
  assert.deepEqual(split(withHeader(vnet, built.bytes), 2).frames.length, 2);
});

test('descriptions that do not fit their frame give nothing and never throw', () => {
  const built = tcpFrame({ payload: new Uint8Array(500) });
  const good = { flags: 1, gsoType: 1, gsoSize: 100, start: built.tcpAt, offset: 16 };
  const bad: Vnet[] = [
    { ...good, gsoType: 3 },
    { ...good, gsoSize: 0 },
    { ...good, start: 10 },
    { ...good, start: 60000 },
    { ...plain, flags: 1, start: built.bytes.length - 4, offset: 16 },
  ];
  for (const vnet of bad) {
    assert.deepEqual(split(withHeader(vnet, built.bytes)), { count: -1, frames: [] });
  }
  assert.equal(split(new Uint8Array(23)).count, -1);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(0, 1, 4), (bytes, gsoType) => {
      if (bytes.length > 1) bytes[1] = gsoType;
      split(bytes);
    }),
    { numRuns: 500 },
  );
});
