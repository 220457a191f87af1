/** How many threads of ours a peer keeps apart, as it says so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MAX_LANES } from '../../../../core/limits.js';
import { announceLanes, parseLanes } from '../../../../mesh/peer/lanes.js';

test('what we announce is what we take, silence and nonsense are one lane', () => {
  assert.equal(parseLanes(announceLanes()), MAX_LANES);
  const said = ['2', '007', '15', '16', '17', '999999', '0', '', '-3', '1e3', ' 4', '1000000000'];
  const taken = [2, 7, 15, 16, MAX_LANES, MAX_LANES, 1, 1, 1, 1, 1, 1];
  assert.deepEqual(said.map(parseLanes), taken);
  assert.equal(parseLanes(undefined), 1);
});

test('any text gives a number that can be used', () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const lanes = parseLanes(text);
      assert.ok(Number.isInteger(lanes) && lanes >= 1 && lanes <= MAX_LANES);
    }),
  );
});
