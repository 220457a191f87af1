/** The fuzz runner's inputs: repeatable from their number, bounded, and close to the seeds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_INPUT_BYTES, Mutator } from '../../fuzz/mutator.js';

const seeds = [Buffer.from('a first seed of some length'), Buffer.from('and another')];

test('a seed number gives the same input whatever ran before it', () => {
  const one = new Mutator(seeds);
  const other = new Mutator(seeds);
  for (let seed = 0; seed < 500; seed += 1) one.make(seed);
  for (const seed of [7, 123, 499]) assert.deepEqual(one.make(seed), other.make(seed));
});

test('inputs differ and stay within the limit, also from seeds at the limit', () => {
  const mutator = new Mutator([new Uint8Array(MAX_INPUT_BYTES), ...seeds]);
  const distinct = new Set<string>();
  for (let seed = 0; seed < 2000; seed += 1) {
    const input = mutator.make(seed);
    assert.ok(input.length <= MAX_INPUT_BYTES);
    if (input.length < 100) distinct.add(Buffer.from(input).toString('hex'));
  }
  assert.ok(distinct.size > 500, `${distinct.size} short inputs differ`);
});

test('without seeds inputs are random bytes', () => {
  const mutator = new Mutator([]);
  const inputs = Array.from({ length: 50 }, (_, seed) => mutator.make(seed).length);
  assert.ok(inputs.some((bytes) => bytes > 0));
});

test('most inputs share a part with a seed', () => {
  const mutator = new Mutator([Buffer.from('0123456789abcdef')]);
  let close = 0;
  for (let seed = 0; seed < 1000; seed += 1) {
    const text = Buffer.from(mutator.make(seed)).toString('latin1');
    if (/0123|4567|89ab|cdef/.test(text)) close += 1;
  }
  assert.ok(close > 600, `${close} of 1000`);
});
