/** Messages between threads: in order, whole, bounded. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import fc from 'fast-check';
import { FrameRing } from '../../../fastdp/frame-ring.js';

const CAPACITY = 4096;

function write(ring: FrameRing, message: Uint8Array): boolean {
  const at = ring.reserve(message.length);
  if (at < 0) return false;
  ring.bytes.set(message, at);
  ring.commit();
  return true;
}

function read(ring: FrameRing): Uint8Array | null {
  const at = ring.peek();
  if (at < 0) return null;
  const message = ring.bytes.slice(at, at + ring.lengthAt(at));
  ring.release();
  return message;
}

test('messages come out as they went in, whatever their sizes', () => {
  const message = fc.uint8Array({ maxLength: CAPACITY / 2 - 8 });
  const step = fc.oneof(message, fc.constant(null));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const writer = FrameRing.create(CAPACITY);
      const reader = new FrameRing(writer.buffer);
      const waiting: Uint8Array[] = [];
      for (const step of steps) {
        if (step === null) {
          assert.deepEqual(read(reader), waiting.shift() ?? null);
        } else if (write(writer, step)) {
          waiting.push(step);
        } else {
          assert.notEqual(waiting.length, 0, 'an empty ring takes any message');
        }
      }
      for (const message of waiting) assert.deepEqual(read(reader), message);
      assert.equal(read(reader), null);
    }),
  );
});

test('a full ring refuses and loses nothing that it took', () => {
  const ring = FrameRing.create(CAPACITY);
  let taken = 0;
  while (write(ring, new Uint8Array(100).fill(taken))) taken += 1;
  assert.equal(taken, Math.floor(CAPACITY / 104));
  for (let i = 0; i < taken; i++) assert.deepEqual(read(ring), new Uint8Array(100).fill(i));
  assert.ok(write(ring, new Uint8Array(100)));
});

test('a message that was reserved but not committed is not there', () => {
  const ring = FrameRing.create(CAPACITY);
  ring.reserve(10);
  assert.equal(ring.peek(), -1);
  assert.ok(write(ring, Uint8Array.of(7)));
  assert.deepEqual(read(ring), Uint8Array.of(7));
});

test('two threads: every message arrives once and in order', { timeout: 60_000 }, async (t) => {
  const ring = FrameRing.create(CAPACITY);
  const count = 100_000;
  const worker = new Worker(new URL('./ring-writer.js', import.meta.url), {
    workerData: { buffer: ring.buffer, count },
  });
  t.after(() => worker.terminate());
  for (let expected = 0; expected < count; ) {
    const at = ring.peek();
    if (at < 0) {
      await nextTurn();
      continue;
    }
    const bytes = ring.lengthAt(at);
    assert.equal(ring.view.getUint32(at, true), expected);
    assert.equal(bytes, 4 + (expected % 300));
    if (bytes > 4) assert.equal(ring.bytes[at + bytes - 1], expected & 0xff);
    ring.release();
    expected += 1;
  }
  assert.equal(ring.peek(), -1);
});
