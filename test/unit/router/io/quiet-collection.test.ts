/** When the main thread's heap is collected: grown, at rest, and not too large. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { getHeapStatistics } from 'node:v8';
import { makeCollector, QuietCollection } from '../../../../router/io/quiet-collection.js';

const MEBIBYTE = 1024 * 1024;

/** A heap of so many MiB in a loop that is busy so much; a collection leaves 20 MiB. */
function rig() {
  const state = { mebibytes: 20, utilization: 0, collections: 0, growth: false };
  const collection = new QuietCollection({
    utilization: () => state.utilization,
    heapBytes: () => state.mebibytes * MEBIBYTE,
    allowGrowth: (allowed) => {
      state.growth = allowed;
    },
    collect: () => {
      state.collections++;
      state.mebibytes = 20;
    },
  });
  return { state, check: () => collection.check() };
}

test('a heap that rests is collected once, and again only when it has grown', () => {
  const { state, check } = rig();
  for (let i = 0; i < 5; i++) check();
  assert.equal(state.collections, 1);
  state.mebibytes = 22;
  check();
  assert.equal(state.collections, 1);
  state.mebibytes = 24;
  check();
  check();
  assert.equal(state.collections, 2);
});

test('a busy thread is left alone, and collected when it comes to rest', () => {
  const { state, check } = rig();
  state.utilization = 0.5;
  state.mebibytes = 40;
  check();
  assert.equal(state.collections, 0);
  state.utilization = 0.01;
  check();
  assert.equal(state.collections, 1);
});

test('a large heap is left to V8, with a young generation that may grow', () => {
  const { state, check } = rig();
  state.mebibytes = 65;
  check();
  assert.equal(state.collections, 0);
  assert.ok(state.growth);
  state.mebibytes = 30;
  check();
  assert.ok(!state.growth);
});

test('the collector of this version of Node finds all garbage', () => {
  const collect = makeCollector();
  collect();
  const empty = getHeapStatistics();
  let kept = Array.from({ length: 400_000 }, (_, index) => ({ index }));
  const full = getHeapStatistics();
  assert.equal(kept.length, 400_000);
  assert.ok(full.used_heap_size > empty.used_heap_size + 8 * MEBIBYTE);
  kept = [];
  collect();
  assert.equal(kept.length, 0);
  assert.ok(getHeapStatistics().used_heap_size < empty.used_heap_size + 2 * MEBIBYTE);
});
