/** Joining segments: what comes out, cut again, is what went in, in the same order. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FrameJoiner, type JoinedFrame } from '../../../../../fastdp/io/offload/join.js';
import { FrameSplitter } from '../../../../../fastdp/io/offload/split.js';
import { OpenChecksum } from '../../../../../fastdp/open-checksum.js';
import { hexList, type TcpFrame, tcpFrame } from './frames.js';

interface Result {
  /** Frames as a receiver that cuts joined ones sees them. */
  readonly frames: Uint8Array[];
  /** Segments per write. */
  readonly writes: number[];
}

/** Runs frames through a joiner; they lie in its stable buffer unless told otherwise. */
function join(inputs: readonly Uint8Array[], stable = true, mayBeOpen = false): Result {
  const buffer = new Uint8Array(inputs.reduce((sum, frame) => sum + frame.length + 7, 0));
  const frames: Uint8Array[] = [];
  const writes: number[] = [];
  const joiner = new FrameJoiner({
    writeSingle(from, offset, bytes) {
      frames.push(from.slice(offset, offset + bytes));
      writes.push(1);
      return true;
    },
    writeJoined(from, joined) {
      writes.push(cut(from, joined, frames));
      return true;
    },
  });
  if (stable) joiner.setStableBuffer(buffer);
  let at = 0;
  for (const frame of inputs) {
    buffer.set(frame, at);
    assert.ok(joiner.write(buffer, at, frame.length, mayBeOpen));
    at += frame.length + 7;
  }
  joiner.flush();
  joiner.flush();
  return { frames, writes };
}

function cut(from: Uint8Array, joined: JoinedFrame, frames: Uint8Array[]): number {
  const parts: Uint8Array[] = [joined.header.slice(0, joined.headerBytes)];
  for (let i = 0; i < joined.pieceCount; i++) {
    const offset = joined.pieceOffsets[i] as number;
    parts.push(from.slice(offset, offset + (joined.pieceBytes[i] as number)));
  }
  const whole = new Uint8Array(Buffer.concat(parts));
  const view = new DataView(whole.buffer);
  const count = new FrameSplitter().split(whole, view, whole.length, (buffer, offset, bytes) => {
    const frame = buffer.slice(offset, offset + bytes);
    new OpenChecksum().complete(frame, 0, bytes);
    frames.push(frame);
    return true;
  });
  assert.equal(count, joined.pieceCount);
  return count;
}

/** Consecutive segments of one flow. */
function flow(sizes: readonly number[], spec: Partial<TcpFrame> = {}): Uint8Array[] {
  let sequence = spec.sequence ?? 0xffff_f000;
  return sizes.map((size, index) => {
    const payload = Uint8Array.from({ length: size }, (_, i) => i * 7 + index);
    const frame = tcpFrame({ ...spec, payload, sequence, id: (spec.id ?? 65530) + index });
    sequence = (sequence + size) >>> 0;
    return frame.bytes;
  });
}

test('segments of one flow become one frame, the last may be short', () => {
  for (const spec of [{}, { ipv6: true }, { optionBytes: 0 }]) {
    const inputs = flow([1000, 1000, 1000, 400], spec);
    const { frames, writes } = join(inputs);
    assert.deepEqual(writes, [4]);
    assert.deepEqual(hexList(frames), hexList(inputs));
  }
});

test('PSH, a short segment, the segment limit and the size limit end a frame', () => {
  const pushed = flow([800, 800, 800, 800]);
  const again = tcpFrame({
    payload: pushed[1]?.slice(-800) as Uint8Array,
    sequence: (0xffff_f000 + 800) >>> 0,
    id: 65531,
    flags: 0x18,
  });
  pushed[1] = again.bytes;
  assert.deepEqual(join(pushed).writes, [2, 2]);
  assert.deepEqual(join(flow([800, 300, 800])).writes, [2, 1]);
  assert.deepEqual(join(flow(new Array<number>(70).fill(100))).writes, [64, 6]);
  assert.deepEqual(join(flow(new Array<number>(50).fill(1400))).writes, [46, 4]);
});

test('a wrong checksum passes alone and untouched, and so does what surrounds it', () => {
  for (const wrong of [0, 1, 2]) {
    const inputs = flow([500, 500, 500]);
    const frame = inputs[wrong] as Uint8Array;
    frame[frame.length - 1] = (frame.at(-1) as number) ^ 1;
    const { frames } = join(inputs);
    assert.deepEqual(hexList(frames), hexList(inputs));
  }
  const badIp = flow([500, 500]);
  (badIp[1] as Uint8Array)[24] ^= 0x55;
  assert.deepEqual(join(badIp).writes, [1, 1]);
});

test('frames that may not be joined are written one by one', () => {
  const [a, b] = flow([300, 300]) as [Uint8Array, Uint8Array];
  const change = (at: number, value: number): Uint8Array => {
    const out = b.slice();
    out[at] = value;
    return out;
  };
  const others = {
    'another destination MAC': change(5, 9),
    'another TOS': change(15, 8),
    'fragments allowed': change(20, 0),
    'another TTL': change(22, 3),
    'another source': change(29, 3),
    'another port': change(35, 3),
    'another acknowledgement': change(45, 3),
    'flag FIN': change(47, 0x11),
    'flag URG': change(47, 0x30),
    'another window': change(49, 3),
    'other options': change(54, 3),
    padding: new Uint8Array([...b, 0]),
    truncated: b.slice(0, -1),
    'a gap in sequence': flow([300], { sequence: 5 })[0] as Uint8Array,
    'a VLAN tag': flow([300], { tags: 1 })[0] as Uint8Array,
  };
  for (const [what, frame] of Object.entries(others)) {
    const { frames, writes } = join([a, frame]);
    assert.deepEqual(writes, [1, 1], what);
    assert.deepEqual(hexList(frames), hexList([a, frame]), what);
  }
  assert.deepEqual(join([a, b], false).writes, [1, 1], 'a buffer that is not stable');
});

test('any mix of flows and other bytes comes out as it went in', () => {
  const chunk = fc.oneof(
    fc.uint8Array({ maxLength: 100 }).map((bytes) => [bytes]),
    fc
      .record({
        sizes: fc.array(fc.integer({ min: 0, max: 600 }), { minLength: 1, maxLength: 12 }),
        port: fc.nat(2),
        ipv6: fc.boolean(),
        flags: fc.constantFrom(0x10, 0x10, 0x18, 0x11),
      })
      .map(({ sizes, ...spec }) => flow(sizes, spec)),
    fc
      .record({ size: fc.integer({ min: 1, max: 600 }), count: fc.nat(20), id: fc.nat(65000) })
      .map(({ size, count, id }) => flow(new Array<number>(count).fill(size), { id })),
  );
  fc.assert(
    fc.property(fc.array(chunk, { maxLength: 8 }), (chunks) => {
      const inputs = chunks.flat();
      const { frames, writes } = join(inputs);
      assert.equal(
        writes.reduce((sum, count) => sum + count, 0),
        inputs.length,
      );
      assert.deepEqual(hexList(frames), hexList(inputs));
    }),
    { numRuns: 300 },
  );
});
