/** The verdict of policy churn over a run that is well, and ill in one way each. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChurnResult } from '../../../bench/npc/churn.js';
import { judgeChurn } from '../../../bench/soak/npc-verdict.js';

const WELL: ChurnResult = {
  changes: 1000,
  tries: 1000,
  succeeded: 400,
  late: [],
  allowed: 300,
  refused: 3,
  comparisons: 5,
  differences: [],
  holdsOpened: 60,
  holdsOpen: 60,
  residentMb: 90,
  failures: 0,
};

const failed = (change: Partial<ChurnResult>): string[] =>
  judgeChurn({ ...WELL, ...change })
    .filter(({ ok }) => !ok)
    .map(({ what }) => what);

test('a run without faults is healthy, each fault alone makes it ill', () => {
  assert.deepEqual(failed({}), []);
  assert.deepEqual(failed({ late: ['a > b'] }), ['nothing forbidden succeeds late']);
  assert.deepEqual(failed({ refused: 4 }), ['what is allowed succeeds']);
  assert.deepEqual(failed({ differences: ['x'] }), ['the kernel has what a fresh compile says']);
  assert.deepEqual(failed({ holdsOpen: 59 }), ['established connections last']);
  assert.deepEqual(failed({ failures: 1 }), ['every transaction was accepted']);
  assert.deepEqual(failed({ comparisons: 0 }), ['enough was tried']);
  assert.deepEqual(failed({ succeeded: 990 }), ['enough was tried']);
});

test('a run without any connection held does not pass as one', () => {
  assert.deepEqual(failed({ holdsOpened: 0, holdsOpen: 0 }), ['established connections last']);
});
