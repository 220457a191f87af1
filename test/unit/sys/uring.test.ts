/** io_uring on /dev/null, pipes and a TAP device. Skipped, with a reason, where forbidden. */
import assert from 'node:assert/strict';
import { closeSync, openSync, readSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { check, declare, Errno } from '../../../sys/libc.js';
import { Memory } from '../../../sys/memory.js';
import { withNetns } from '../../../sys/netns.js';
import { Tap } from '../../../sys/tap.js';
import { openUring, type Uring } from '../../../sys/uring.js';
import { requireNetns, requireTun } from '../../support/requirements.js';
import { addNetns } from './netns-lab.js';

const pipe = declare<(fds: number) => number>('int pipe(uintptr_t)');

function ringFor(t: TestContext, entries: number): Uring | null {
  const ring = openUring(entries);
  if (typeof ring === 'string') {
    t.skip(ring);
    return null;
  }
  t.after(() => ring.close());
  return ring;
}

/** [read end, write end] */
function openPipe(t: TestContext): [number, number] {
  const memory = new Memory(8);
  check(pipe(memory.address), 'pipe');
  const ends: [number, number] = [memory.getInt(0), memory.getInt(4)];
  t.after(() => {
    for (const fd of ends) closeSync(fd);
  });
  return ends;
}

function results(ring: Uring): [number, number][] {
  const seen: [number, number][] = [];
  ring.reap((tag, result) => seen.push([tag, result]));
  return seen;
}

test('results carry the tag and the bytes of their request, many times round the rings', (t) => {
  const ring = ringFor(t, 8);
  if (ring === null) return;
  const fd = openSync('/dev/null', 'w');
  t.after(() => closeSync(fd));
  const memory = new Memory(4096);
  assert.equal(ring.entries, 8);
  for (let round = 0; round < 200; round++) {
    const count = (round % 8) + 1;
    for (let i = 0; i < count; i++) {
      ring.prepareWrite(fd, memory.address, round + i, 0xffff_fff0 + i);
    }
    assert.equal(ring.full, count === 8);
    assert.equal(ring.submit(), count);
    const expected = Array.from({ length: count }, (_, i) => [0xffff_fff0 + i, round + i]);
    assert.deepEqual(results(ring), expected);
    assert.equal(ring.inFlight, 0);
  }
});

test('writes reach a pipe in the order of their preparation, whatever their sizes', (t) => {
  const ring = ringFor(t, 16);
  if (ring === null) return;
  const [input, output] = openPipe(t);
  const source = new Memory(4096);
  const iovecs = new Memory(32 * 16);
  for (let i = 0; i < source.bytes.length; i++) source.bytes[i] = (i * 7) & 0xff;
  const piece = fc.record({
    at: fc.nat(2000),
    bytes: fc.integer({ min: 1, max: 200 }),
    isGathered: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(piece, { minLength: 1, maxLength: 16 }), (pieces) => {
      const expected: number[] = [];
      for (const [i, { at, bytes, isGathered }] of pieces.entries()) {
        if (isGathered) {
          const half = bytes >> 1;
          iovecs.setWord(i * 32, source.address + at);
          iovecs.setWord(i * 32 + 8, half);
          iovecs.setWord(i * 32 + 16, source.address + at + half);
          iovecs.setWord(i * 32 + 24, bytes - half);
          ring.prepareWritev(output, iovecs.address + i * 32, 2, i);
        } else {
          ring.prepareWrite(output, source.address + at, bytes, i);
        }
        expected.push(...source.bytes.subarray(at, at + bytes));
      }
      assert.equal(ring.submit(), pieces.length);
      assert.deepEqual(
        results(ring),
        pieces.map(({ bytes }, i) => [i, bytes]),
      );
      const got = Buffer.alloc(expected.length + 1);
      assert.equal(readSync(input, got), expected.length);
      assert.deepEqual([...got.subarray(0, expected.length)], expected);
    }),
    { numRuns: 100 },
  );
});

test('a read that must wait is not complete at once; waiting for it ends in time', (t) => {
  const ring = ringFor(t, 4);
  if (ring === null) return;
  const [input, output] = openPipe(t);
  const memory = new Memory(64);
  ring.prepareRead(input, memory.address, 32, 5);
  assert.equal(ring.submit(), 1);
  assert.deepEqual(results(ring), []);
  assert.equal(ring.inFlight, 1);
  assert.equal(ring.wait(1), -Errno.ETIME);
  memory.setText(32, 'late');
  ring.prepareWrite(output, memory.address + 32, 4, 6);
  assert.equal(ring.submit(), 1);
  const seen = results(ring);
  for (let i = 0; i < 10 && ring.inFlight > 0; i++) {
    assert.equal(ring.wait(1000), 0);
    seen.push(...results(ring));
  }
  assert.deepEqual(seen.sort(), [
    [5, 4],
    [6, 4],
  ]);
  assert.equal(memory.getText(0, 32), 'late');
});

test('each failure is told with its own request; the others are not disturbed', (t) => {
  const ring = ringFor(t, 8);
  if (ring === null) return;
  const fd = openSync('/dev/null', 'w');
  t.after(() => closeSync(fd));
  const memory = new Memory(16);
  ring.prepareWrite(fd, memory.address, 10, 1);
  ring.prepareWrite(-1, memory.address, 10, 2);
  ring.prepareWrite(fd, memory.address, 12, 3);
  let started = ring.submit();
  while (ring.queued > 0) started += ring.submit();
  assert.equal(started, 3);
  assert.deepEqual(
    results(ring).sort((a, b) => a[0] - b[0]),
    [
      [1, 10],
      [2, -9],
      [3, 12],
    ],
  );
});

test('what was prepared can be taken back; more than fits is refused', (t) => {
  const ring = ringFor(t, 4);
  if (ring === null) return;
  const fd = openSync('/dev/null', 'w');
  t.after(() => closeSync(fd));
  const memory = new Memory(16);
  for (let i = 0; i < 4; i++) ring.prepareWrite(fd, memory.address, 1, i);
  assert.throws(() => ring.prepareWrite(fd, memory.address, 1, 4), { code: 'uring-full' });
  ring.discard();
  assert.equal(ring.submit(), 0);
  ring.prepareWrite(fd, memory.address, 7, 9);
  assert.equal(ring.submit(), 1);
  assert.deepEqual(results(ring), [[9, 7]]);
});

test('frames reach a TAP device, which is down first and deleted last', (t) => {
  if (!requireTun(t) || !requireNetns(t)) return;
  const ring = ringFor(t, 4);
  if (ring === null) return;
  const host = addNetns(t, 'host');
  const tap = withNetns(host.path, () => Tap.open({ name: 'wtap' }));
  t.after(() => tap.close());
  const memory = new Memory(60);
  const write = (): number => {
    ring.prepareWrite(tap.fd, memory.address, 60, 0);
    assert.equal(ring.submit(), 1);
    return results(ring)[0]?.[1] as number;
  };
  assert.equal(write(), -Errno.EIO);
  host.ip('link', 'set', 'wtap', 'up');
  assert.equal(write(), 60);
  host.ip('link', 'del', 'wtap');
  assert.equal(write(), -Errno.EBADFD);
});

test('a closed ring refuses quietly, and closing twice is harmless', (t) => {
  const ring = openUring(4);
  if (typeof ring === 'string') {
    t.skip(ring);
    return;
  }
  ring.close();
  ring.close();
  assert.equal(ring.submit(), -Errno.EBADFD);
  assert.deepEqual(results(ring), []);
  assert.throws(() => ring.prepareRead(0, 0, 0, 0), { code: 'uring-full' });
});

test('a number of entries that the kernel refuses is told as a reason', () => {
  assert.match(String(openUring(0)), /EINVAL|io_uring|forbidden/);
});
