/** Numbers of NaCl datagrams that several threads share. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LinkBoard } from '../../../fastdp/link-board.js';
import { ReplayWindow } from '../../../fastdp/replay-window.js';
import { BLOCK_NUMBERS, OwnSequences, SharedSequences } from '../../../fastdp/sequences.js';

const TWO_32 = 2 ** 32;

test('one thread counts each class from 0', () => {
  const own = new OwnSequences();
  assert.deepEqual(
    [true, true, false, true].map((df) => own.next(df)),
    [0, 1, 0, 2],
  );
});

test('threads never use a number twice, and a receiver takes all of them', () => {
  const step = fc.record({
    thread: fc.nat(3),
    df: fc.boolean(),
    count: fc.nat(700),
    ms: fc.nat(60),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const buffer = LinkBoard.createBuffer();
      const threads = Array.from({ length: 4 }, () => new SharedSequences(new LinkBoard(buffer)));
      const windows = [new ReplayWindow(), new ReplayWindow()];
      let nowMs = 0;
      for (const { thread, df, count, ms } of steps) {
        nowMs += ms;
        const sequences = threads[thread] as SharedSequences;
        sequences.refresh(nowMs);
        for (let i = 0; i < count; i++) {
          const number = sequences.next(df);
          // The window refuses a number that it has seen.
          const window = windows[df ? 1 : 0] as ReplayWindow;
          assert.ok(window.accept(Math.floor(number / TWO_32), number >>> 0), String(number));
        }
      }
    }),
    { numRuns: 50 },
  );
});

test('a thread that was silent does not use what others have long passed', () => {
  const buffer = LinkBoard.createBuffer();
  const [idle, busy] = [
    new SharedSequences(new LinkBoard(buffer)),
    new SharedSequences(new LinkBoard(buffer)),
  ];
  assert.equal(idle.next(true), 0);
  for (let i = 0; i < 3 * 2 ** 20; i++) busy.next(true);
  idle.refresh(200);
  assert.ok(idle.next(true) >= 3 * 2 ** 20);
  assert.equal(idle.next(false), 0);
});

test('numbers beyond 2^32 are exact', () => {
  const buffer = LinkBoard.createBuffer();
  new BigInt64Array(buffer)[5] = 2n ** 40n;
  const sequences = new SharedSequences(new LinkBoard(buffer));
  assert.equal(sequences.next(true), 2 ** 40 * BLOCK_NUMBERS);
  assert.equal(sequences.next(true), 2 ** 40 * BLOCK_NUMBERS + 1);
});
