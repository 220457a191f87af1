/** Reassembly: the same bytes however the stream is cut. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { InputBuffer } from '../../../../mesh/peer/input-buffer.js';

test('bytes come out in order, for any pattern of appending and taking', () => {
  const steps = fc.array(fc.tuple(fc.nat({ max: 9000 }), fc.nat({ max: 9000 })), { maxLength: 60 });
  fc.assert(
    fc.property(steps, (pattern) => {
      const buffer = new InputBuffer();
      let written = 0;
      let read = 0;
      for (const [appended, wanted] of pattern) {
        buffer.append(Uint8Array.from({ length: appended }, (_, i) => (written + i) & 0xff));
        written += appended;
        const count = Math.min(wanted, buffer.length);
        assert.equal(buffer.length, written - read);
        for (const byte of buffer.take(count)) assert.equal(byte, read++ & 0xff);
      }
    }),
    { numRuns: 50 },
  );
});

test('taking more than there is is a bug of the caller', () => {
  assert.throws(() => new InputBuffer().take(1), RangeError);
});

test('peek gives what is there', () => {
  const buffer = new InputBuffer();
  buffer.append(Uint8Array.of(1, 2, 3));
  assert.deepEqual(buffer.peek(2), Uint8Array.of(1, 2));
  assert.deepEqual(buffer.peek(9), Uint8Array.of(1, 2, 3));
  buffer.clear();
  assert.equal(buffer.peek(1).length, 0);
  buffer.append(Uint8Array.of(4));
  assert.deepEqual(buffer.take(1), Uint8Array.of(4));
});

test('ten megabytes in small pieces cost linear time', () => {
  const buffer = new InputBuffer();
  const piece = new Uint8Array(1000);
  for (let i = 0; i < 10_000; i++) buffer.append(piece);
  assert.equal(buffer.take(10_000_000).length, 10_000_000);
  assert.equal(buffer.length, 0);
});

test('memory of a large frame is given back, and never exceeds the largest by much', () => {
  const buffer = new InputBuffer();
  const piece = new Uint8Array(64 * 1024);
  let largest = 0;
  for (let i = 0; i < 160; i++) {
    buffer.append(piece);
    largest = Math.max(largest, buffer.peek(1).buffer.byteLength);
  }
  assert.ok(largest <= 11 * 1024 * 1024, `${largest}`);
  buffer.take(160 * piece.length);
  buffer.append(Uint8Array.of(1));
  assert.ok(buffer.peek(1).buffer.byteLength <= 4096);
});
