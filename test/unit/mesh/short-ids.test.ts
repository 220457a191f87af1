/** Ownership of short ids, step by step. The golden run is in topology.test.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PeerName } from '../../../core/peer-name.js';
import { SHORT_ID_COUNT, ShortIds } from '../../../mesh/short-ids.js';
import { seededRandom } from '../../support/topology.js';

const [A, B, C] = [1, 2, 3] as [PeerName, PeerName, PeerName];

test('the lower name owns a contested id, and the lowest secondary inherits it', () => {
  const ids = new ShortIds();
  assert.equal(ids.add(B, 5), false, 'a fresh id changes no mapping');
  assert.equal(ids.add(C, 5), false, 'a higher name waits');
  assert.equal(ids.ownerOf(5), B);
  assert.equal(ids.add(A, 5), true, 'a lower name takes over');
  assert.equal(ids.ownerOf(5), A);
  assert.equal(ids.remove(A, 5), true);
  assert.equal(ids.ownerOf(5), B);
  assert.equal(ids.remove(C, 5), false, 'a secondary leaves unnoticed');
  assert.equal(ids.remove(B, 5), false, 'nobody inherits');
  assert.equal(ids.ownerOf(5), null);
  assert.equal(ids.add(C, 5), true, 'an id that was used before counts as changed');
});

test('ids over 12 bits and absent ones have no owner (C5)', () => {
  const ids = new ShortIds();
  for (const id of [SHORT_ID_COUNT, 65535, null]) {
    assert.equal(ids.add(A, id), false);
    assert.equal(ids.owns(A, id), false);
    assert.equal(ids.remove(A, id), false);
  }
});

test('chooses the one free id of 4096, and none when all are taken', () => {
  const ids = new ShortIds();
  for (let id = 0; id < SHORT_ID_COUNT; id++) if (id !== 1234) ids.add((100 + id) as PeerName, id);
  assert.equal(ids.choose(seededRandom(1)), 1234);
  ids.add(A, 1234);
  assert.equal(ids.choose(seededRandom(1)), null);
});

test('after any history the owner is the lowest name that announces the id', () => {
  const step = fc.record({
    name: fc.integer({ min: 1, max: 6 }),
    id: fc.option(fc.integer({ min: 0, max: 2 })),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const ids = new ShortIds();
      const announced = new Map<number, number | null>();
      for (const { name, id } of steps) {
        if (announced.get(name) === id) continue;
        const before = [0, 1, 2].map((n) => ids.ownerOf(n));
        const old = ids.remove(name as PeerName, announced.get(name) ?? null);
        const changed = ids.add(name as PeerName, id) || old;
        announced.set(name, id);
        for (const n of [0, 1, 2]) {
          const names = [...announced].filter(([, held]) => held === n).map(([peer]) => peer);
          const owner = ids.ownerOf(n);
          assert.equal(owner, names.length === 0 ? null : Math.min(...names));
          const moved = before[n] !== null && owner !== null && before[n] !== owner;
          if (moved) assert.ok(changed, 'an owner replaced by another goes with a notice');
        }
      }
    }),
    { numRuns: 300 },
  );
});
