/** Replay protection against the original's decisions and against a plain model. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ReplayWindow } from '../../../fastdp/replay-window.js';
import { sleeveVectors } from './bytes.js';

function offer(window: ReplayWindow, sequence: bigint): boolean {
  return window.accept(Number(sequence >> 32n), Number(sequence & 0xffff_ffffn));
}

test('the original decides the same', () => {
  for (const { name, packets } of sleeveVectors.replay_window.runs) {
    const window = new ReplayWindow();
    for (const { sequence, accepted } of packets) {
      assert.equal(offer(window, BigInt(sequence)), accepted, `${name}: ${sequence}`);
    }
  }
});

test('any order of numbers is judged as the rule says', () => {
  const steps = fc.array(
    fc.oneof(
      fc.bigInt({ min: -3n, max: 3n }),
      fc.bigInt({ min: -(1n << 21n), max: 1n << 21n }),
      fc.bigInt({ min: 0n, max: 1n << 40n }),
    ),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(steps, (moves) => {
      const window = new ReplayWindow();
      let current = 0n;
      let used = new Set<bigint>();
      let previous: Set<bigint> | null = null;
      let sequence = 0n;
      for (const move of moves) {
        sequence += move;
        if (sequence < 0n) sequence = 0n;
        const ahead = (sequence >> 20n) - current;
        let set: Set<bigint> | null = used;
        if (ahead < -1n) set = null;
        else if (ahead === -1n) set = previous;
        else if (ahead > 0n) {
          previous = ahead === 1n ? used : new Set();
          used = new Set();
          current = sequence >> 20n;
          set = used;
        }
        const expected: boolean = set !== null && !set.has(sequence);
        set?.add(sequence);
        assert.equal(offer(window, sequence), expected);
      }
    }),
  );
});

test('numbers up to 2^63 work', () => {
  const window = new ReplayWindow();
  const last = (1n << 63n) - 1n;
  assert.ok(offer(window, last));
  assert.ok(!offer(window, last));
  assert.ok(offer(window, last - (1n << 20n)));
  assert.ok(!offer(window, last - (1n << 21n)));
});
