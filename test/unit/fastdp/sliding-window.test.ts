/** The sliding replay window against a plain model. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SlidingWindow, WINDOW_SPAN } from '../../../fastdp/sliding-window.js';

function offer(window: SlidingWindow, number: number): boolean {
  if (!window.isFresh(number)) return false;
  window.note(number);
  return true;
}

test('it remembers at least 65 536 datagrams', () => {
  assert.ok(WINDOW_SPAN >= 65_536);
  const window = new SlidingWindow();
  assert.ok(offer(window, WINDOW_SPAN));
  assert.ok(!offer(window, 0), 'one too old');
  assert.ok(offer(window, 1), 'just inside');
  assert.ok(!offer(window, 1));
});

test('looking does not note', () => {
  const window = new SlidingWindow();
  assert.ok(window.isFresh(5));
  assert.ok(offer(window, 5));
  assert.ok(window.isFresh(6) && window.isFresh(4) && !window.isFresh(5));
});

test('numbers up to 2^32 - 1 work', () => {
  const window = new SlidingWindow();
  for (const number of [2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32 - 2]) {
    assert.ok(offer(window, number), `${number}`);
    assert.ok(!offer(window, number), `${number} again`);
  }
  assert.ok(!offer(window, 2 ** 31));
});

test('any order of numbers is judged as the rule says', () => {
  const moves = fc.array(
    fc.oneof(
      fc.integer({ min: -40, max: 40 }),
      fc.integer({ min: -WINDOW_SPAN - 40, max: WINDOW_SPAN + 40 }),
      fc.constantFrom(-WINDOW_SPAN, 1 - WINDOW_SPAN, WINDOW_SPAN, 31, 32, 33),
      fc.integer({ min: 0, max: 1 << 26 }),
    ),
    { maxLength: 100 },
  );
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 }), moves, (start, steps) => {
      const window = new SlidingWindow();
      const seen = new Set<number>();
      let highest = -1;
      let number = start;
      for (const step of steps) {
        number = Math.max(0, Math.min(2 ** 32 - 1, number + step));
        const expected = highest - number < WINDOW_SPAN && !seen.has(number);
        assert.equal(offer(window, number), expected, `${number} after ${highest}`);
        if (!expected) continue;
        seen.add(number);
        highest = Math.max(highest, number);
      }
    }),
    { numRuns: 300 },
  );
});
