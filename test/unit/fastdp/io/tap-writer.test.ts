/** The writer over a pipe in packet mode, which like a TAP device keeps frames apart. */
import assert from 'node:assert/strict';
import { closeSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import fc from 'fast-check';
import { RING_ENTRIES, TapWriter, type WriteRing } from '../../../../fastdp/io/tap-writer.js';
import { check, declare, Errno, libc } from '../../../../sys/libc.js';
import { Memory } from '../../../../sys/memory.js';
import { openUring, type Uring } from '../../../../sys/uring.js';

const pipe2 = declare<(fds: number, flags: number) => number>('int pipe2(uintptr_t, int)');
/** O_DIRECT | O_NONBLOCK; O_DIRECT has another value on some architectures, not on x86-64. */
const PACKETS_NONBLOCK = (process.arch === 'x64' ? 0x4000 : 0x10000) | 0x800;

interface Rig {
  readonly writer: TapWriter;
  readonly source: Memory;
  readonly failures: number[];
  readonly fd: number;
  /** All frames that arrived since the last call. */
  read(): string[];
}

function rig(t: TestContext, ring: WriteRing | null, lost: string[] = []): Rig {
  const ends = new Memory(8);
  check(pipe2(ends.address, PACKETS_NONBLOCK), 'pipe2');
  const [input, fd] = [ends.getInt(0), ends.getInt(4)];
  const failures: number[] = [];
  const writer = new TapWriter({
    ring,
    onResult: (result) => {
      if (result < 0) failures.push(result);
    },
    onRingLost: (reason) => lost.push(reason),
  });
  writer.setDevice(fd);
  t.after(() => {
    writer.close();
    closeSync(input);
    closeSync(fd);
  });
  const memory = new Memory(4096);
  const read = (): string[] => {
    const frames: string[] = [];
    let bytes = libc.read(input, memory.address, 4096);
    while (bytes > 0) {
      frames.push(Buffer.from(memory.bytes.subarray(0, bytes)).toString('latin1'));
      bytes = libc.read(input, memory.address, 4096);
    }
    return frames;
  };
  return { writer, source: new Memory(65536), failures, fd, read };
}

/** Both engines, the second only where the kernel allows it. */
function eachEngine(name: string, body: (t: TestContext, ring: Uring | null) => void): void {
  test(`${name}: syscalls`, (t) => body(t, null));
  test(`${name}: io_uring`, (t) => {
    const ring = openUring(RING_ENTRIES);
    if (typeof ring === 'string') t.skip(ring);
    else body(t, ring);
  });
}

eachEngine('frames arrive whole and in order, waiting ones and others', (t, ring) => {
  const { writer, source, failures, read } = rig(t, ring);
  const frame = fc.record({
    header: fc.nat(20),
    pieces: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 5 }),
    mayWait: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 12 }), (frames) => {
      const expected: string[] = [];
      let at = 0;
      for (const [i, { header, pieces, mayWait }] of frames.entries()) {
        const scratch = new Uint8Array(header).fill(65 + i);
        writer.begin(scratch, header);
        scratch.fill(0);
        let text = String.fromCharCode(65 + i).repeat(header);
        for (const bytes of pieces) {
          source.bytes.fill(97 + (at % 26), at, at + bytes);
          writer.add(source.address + at, bytes);
          text += String.fromCharCode(97 + (at % 26)).repeat(bytes);
          at += bytes;
        }
        assert.equal(writer.end(mayWait), true);
        expected.push(text);
      }
      writer.flush();
      assert.deepEqual(read(), expected);
    }),
    { numRuns: 200 },
  );
  assert.deepEqual(failures, []);
});

eachEngine('more frames than the ring holds go out in between', (t, ring) => {
  const { writer, source, read } = rig(t, ring);
  source.bytes.fill(120);
  let sizes: number[] = [];
  for (let i = 0; i < RING_ENTRIES * 3; i++) {
    // A pipe holds 16 frames at least; what it holds is taken out before it is full.
    if (i % RING_ENTRIES === 8) {
      writer.flush();
      sizes = sizes.concat(read().map((text) => text.length));
    }
    if (i % 8 === 0) writer.flush();
    if (i % 8 === 0) sizes = sizes.concat(read().map((text) => text.length));
    writer.begin(new Uint8Array(0), 0);
    writer.add(source.address, i + 1);
    writer.end(true);
  }
  writer.flush();
  sizes = sizes.concat(read().map((text) => text.length));
  assert.deepEqual(
    sizes,
    Array.from({ length: RING_ENTRIES * 3 }, (_, i) => i + 1),
  );
});

eachEngine(
  'a device that takes nothing is told for each frame, and none stays in flight',
  (t, ring) => {
    const { writer, source, failures, fd, read } = rig(t, ring);
    source.bytes.fill(120);
    for (let i = 0; i < 200; i++) {
      writer.begin(new Uint8Array(0), 0);
      writer.add(source.address, 4096);
      writer.end(true);
    }
    writer.flush();
    const arrived = read().length;
    assert.ok(arrived > 0 && failures.length === 200 - arrived);
    assert.ok(failures.every((result) => result === -Errno.EAGAIN));
    writer.setDevice(-1);
    writer.begin(new Uint8Array(0), 0);
    writer.add(source.address, 10);
    assert.equal(writer.end(false), false);
    assert.equal(failures.at(-1), -Errno.EBADFD);
    writer.setDevice(fd);
    assert.equal(ring?.inFlight ?? 0, 0);
  },
);

/** A ring that starts `starts` requests at most, and whose results are what `result` says. */
class OddRing implements WriteRing {
  readonly #starts: number;
  readonly #result: number | null;
  #prepared: number[] = [];
  #started: number[] = [];
  inFlight = 0;
  closed = false;

  constructor(starts: number, result: number | null) {
    this.#starts = starts;
    this.#result = result;
  }

  prepareWritev(_fd: number, _iovecs: number, _count: number, tag: number): void {
    this.#prepared.push(tag);
  }

  submit(): number {
    this.#started.push(...this.#prepared.splice(0, this.#starts - this.#started.length));
    const started = this.#started.length - this.inFlight;
    this.inFlight += started;
    return started > 0 ? started : -Errno.EAGAIN;
  }

  discard(): void {
    this.#prepared = [];
  }

  reap(onCompletion: (tag: number, result: number) => void): number {
    if (this.#result === null) return 0;
    const tags = this.#started.splice(0);
    this.inFlight = 0;
    for (const tag of tags) onCompletion(tag, this.#result);
    return tags.length;
  }

  wait(): number {
    return -Errno.ETIME;
  }

  close(): void {
    this.closed = true;
  }
}

function writeSix({ writer, source }: Rig): void {
  for (let i = 0; i < 6; i++) {
    source.bytes[i] = 97 + i;
    writer.begin(new Uint8Array(0), 0);
    writer.add(source.address + i, 1);
    writer.end(true);
  }
  writer.flush();
}

test('what a ring does not start is written by calls', (t) => {
  const lost: string[] = [];
  // The first two are the odd ring's affair: it only says that it wrote them.
  const made = rig(t, new OddRing(2, 1), lost);
  writeSix(made);
  assert.deepEqual(made.read(), ['c', 'd', 'e', 'f']);
  assert.deepEqual(lost, []);
});

test('a ring that cannot promise not to wait is given up, and nothing is lost', (t) => {
  const lost: string[] = [];
  const ring = new OddRing(64, -Errno.EOPNOTSUPP);
  const made = rig(t, ring, lost);
  writeSix(made);
  assert.deepEqual(made.read(), ['a', 'b', 'c', 'd', 'e', 'f']);
  assert.deepEqual(lost, ['a TAP device of this kernel may wait']);
  assert.equal(ring.closed, true);
  assert.equal(made.writer.collects, false);
  writeSix(made);
  assert.deepEqual(made.read(), ['a', 'b', 'c', 'd', 'e', 'f']);
});

test('a ring that never answers is given up without being closed', (t) => {
  const lost: string[] = [];
  const ring = new OddRing(64, null);
  const made = rig(t, ring, lost);
  writeSix(made);
  assert.deepEqual(lost, ['6 writes did not complete']);
  assert.equal(ring.closed, false);
  writeSix(made);
  assert.deepEqual(made.read(), ['a', 'b', 'c', 'd', 'e', 'f']);
});
