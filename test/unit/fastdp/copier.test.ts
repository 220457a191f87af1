/** Copying within one memory and between several. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Copier } from '../../../fastdp/copier.js';

test('bytes arrive wherever the arrays lie, and nothing else changes', () => {
  const memory = new ArrayBuffer(4096);
  const inside = [new Uint8Array(memory, 100, 1000), new Uint8Array(memory, 1500, 1000)] as const;
  const outside = [new Uint8Array(1000), new Uint8Array(2000).subarray(7, 1007)] as const;
  const places = [...inside, ...outside];
  const copier = new Copier(inside[0]);
  const copy = fc.record({
    from: fc.nat(3),
    distance: fc.integer({ min: 1, max: 3 }),
    fromOffset: fc.nat(500),
    toOffset: fc.nat(500),
    count: fc.oneof(fc.nat(70), fc.nat(500)),
    seed: fc.nat(255),
  });
  fc.assert(
    fc.property(copy, ({ from, distance, fromOffset, toOffset, count, seed }) => {
      const source = places[from] as Uint8Array;
      const target = places[(from + distance) % 4] as Uint8Array;
      for (let i = 0; i < source.length; i++) source[i] = seed + i * 7;
      target.fill(0xee);
      const expected = target.slice();
      expected.set(source.subarray(fromOffset, fromOffset + count), toOffset);
      copier.copy(source, fromOffset, target, toOffset, count);
      assert.deepEqual(target, expected);
    }),
    { numRuns: 500 },
  );
});
