/** Large TCP frames and open checksums through whole data planes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LargeFrame } from '../../../fastdp/large-frame.js';
import { OpenChecksum } from '../../../fastdp/open-checksum.js';
import { MAC_B } from './frames.js';
import { hexList, openChecksum, tcpFrame } from './io/offload/frames.js';
import { Network, setRoutes } from './network.js';
import { ALL_CIPHERS, arp, greet, KEY, NAME_A, NAME_B, NAME_C, pair } from './pair.js';

interface Shape {
  readonly ipv6: boolean;
  readonly payload: Uint8Array;
  readonly segmentBytes: number;
}

function largeFrame({ ipv6, payload, segmentBytes }: Shape): LargeFrame {
  const { bytes, ipAt, tcpAt } = tcpFrame({ ipv6, payload, id: 0xfff0 });
  const lead = 10;
  const buffer = new Uint8Array(lead + bytes.length);
  buffer.set(bytes, lead);
  const view = new DataView(buffer.buffer);
  const large = new LargeFrame();
  const isGood = large.describe(
    ...([buffer, view, lead, bytes.length, ipAt, tcpAt, segmentBytes, ipv6] as const),
  );
  assert.ok(isGood);
  return large;
}

/** The segments made from scratch, with complete checksums. */
function segmentsOf({ ipv6, payload, segmentBytes }: Shape): Uint8Array[] {
  const out: Uint8Array[] = [];
  for (let at = 0; at < payload.length; at += segmentBytes) {
    const part = payload.subarray(at, at + segmentBytes);
    const id = (0xfff0 + out.length) & 0xffff;
    out.push(tcpFrame({ ipv6, payload: part, sequence: 1 + at, id }).bytes);
  }
  return out;
}

const payloadOf = (bytes: number): Uint8Array =>
  Uint8Array.from({ length: bytes }, (_, i) => (i * 31) >>> 3);

function completed(frame: Uint8Array): Uint8Array {
  const copy = frame.slice();
  new OpenChecksum().complete(copy, 0, copy.length);
  return copy;
}

test('a large frame arrives as the segments of its sender, with every cipher', () => {
  for (const cipher of ALL_CIPHERS) {
    const here = pair(cipher);
    greet(here);
    const { network, a, b } = here;
    const spec = fc.record({
      ipv6: fc.boolean(),
      payload: fc.integer({ min: 1, max: 30_000 }).map(payloadOf),
      segmentBytes: fc.integer({ min: 800, max: 1280 }),
    });
    fc.assert(
      fc.property(spec, (shape) => {
        b.tap.frames.length = 0;
        // A frame that waits for company keeps its place before the large one.
        const first = tcpFrame({ ipv6: shape.ipv6, payload: payloadOf(100) }).bytes;
        network.capture(a);
        a.plane.handleFrame(first, 0, first.length, network.nowMs);
        assert.ok(a.plane.handleLargeFrame(largeFrame(shape), network.nowMs));
        network.capture(a);
        network.run(5);
        const expected = [first, ...segmentsOf(shape)];
        const isOpen = cipher === 'aes-256-gcm';
        const frames = isOpen ? b.tap.frames.map(completed) : b.tap.frames;
        assert.deepEqual(hexList(frames), hexList(expected));
      }),
      { numRuns: 30 },
    );
    const { framesSent, bytesSent } = a.plane.status(network.nowMs).traffic[0] ?? {};
    const received = b.plane.status(network.nowMs).traffic[0];
    assert.deepEqual([framesSent, bytesSent], [received?.framesReceived, received?.bytesReceived]);
  }
});

test('what is unusual about a large frame is left to the way of single frames', () => {
  const here = pair('aes-256-gcm');
  const { network, a, b } = here;
  const shape = { ipv6: false, payload: payloadOf(5000), segmentBytes: 1200 };
  const take = (change: Partial<Shape> = {}): boolean =>
    a.plane.handleLargeFrame(largeFrame({ ...shape, ...change }), network.nowMs);
  assert.equal(take(), false, 'an unknown destination');
  greet(here);
  assert.equal(take({ segmentBytes: 1450 }), false, 'segments above the path MTU');
  assert.equal(take({ segmentBytes: 400 }), false, 'several fit one datagram');
  assert.ok(take());
  network.capture(a, arp(MAC_B));
  network.run(3000);
  assert.equal(b.tap.frames.length, 5);
});

test('a neighbour that knows nothing of open checksums gets complete ones', () => {
  const network = new Network();
  const [a, b, c] = [NAME_A, NAME_B, NAME_C].map((name) => network.addNode(name));
  assert.ok(a !== undefined && b !== undefined && c !== undefined);
  setRoutes(network, [
    [a, b],
    [b, c],
  ]);
  network.connect(a, b, KEY, 'aes-256-gcm');
  network.connect(b, c, KEY, 'nacl');
  network.run(400);
  const [whole] = segmentsOf({ ipv6: false, payload: payloadOf(900), segmentBytes: 1200 });
  assert.ok(whole !== undefined);
  const open = whole.slice();
  new DataView(open.buffer).setUint16(34 + 16, openChecksum(open, 14, 34));
  // To an unknown address: both others get it, completed before it is shared.
  network.capture(a, open.slice());
  network.run(5);
  assert.deepEqual(hexList(b.tap.frames), hexList([whole]));
  assert.deepEqual(hexList(c.tap.frames), hexList([whole]));
  network.capture(c, arp(MAC_B));
  network.run(5);
  network.capture(a, open.slice());
  network.run(5);
  assert.deepEqual(hexList(c.tap.frames.slice(1)), hexList([whole]));
});
