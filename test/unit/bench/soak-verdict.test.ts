/** The verdict of a soak over samples that are well, and ill in one way each. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fitLine, judge, type SoakSample } from '../../../bench/soak/verdict.js';
import { SeededNumbers } from '../../support/garbage.js';

/** Forty samples over an hour; `change` makes them ill. */
function samples(change: (at: number) => Partial<SoakSample> = () => ({})): SoakSample[] {
  const noise = new SeededNumbers(4);
  return Array.from({ length: 40 }, (_, at) => ({
    seconds: at * 90,
    residentMb: 90 + noise.below(40) / 10,
    descriptors: 30 + noise.below(4),
    rounds: at * 1000,
    tapReads: at * 1000,
    tapWrites: at * 1000,
    tapWriteBatches: at * 100,
    datagramsReceived: at * 1000,
    faults: { loopErrors: 0, forged: 0 },
    established: 1,
    ...change(at),
  }));
}

const failed = (list: readonly SoakSample[], usesRing = true): string[] =>
  judge(list, usesRing)
    .filter(({ ok }) => !ok)
    .map(({ what }) => what);

test('a healthy hour passes, noise, warm-up and passing descriptors included', () => {
  assert.deepEqual(failed(samples()), []);
  assert.deepEqual(failed(samples((at) => (at < 10 ? { residentMb: 60 + at * 3 } : {}))), []);
  assert.deepEqual(failed(samples((at) => (at % 5 === 0 ? { descriptors: 39 } : {}))), []);
});

test('each illness is found', () => {
  assert.deepEqual(failed(samples((at) => ({ residentMb: 90 + at * 0.5 }))), ['memory is flat']);
  assert.deepEqual(failed(samples((at) => ({ descriptors: 30 + (at >> 3) }))), [
    'no descriptor leaks',
  ]);
  const stuckRing = samples((at) => ({ tapWriteBatches: Math.min(at, 30) }));
  assert.deepEqual(failed(stuckRing), ['nothing is stuck']);
  assert.deepEqual(failed(stuckRing, false), [], 'there is no ring');
  assert.deepEqual(failed(samples((at) => ({ tapWrites: Math.min(at, 38) }))), [
    'nothing is stuck',
  ]);
  assert.deepEqual(failed(samples(() => ({ faults: { forged: 1 } }))), ['no faults']);
  assert.deepEqual(failed(samples((at) => (at === 7 ? { established: 0 } : {}))), [
    'the connection lasts',
  ]);
  assert.deepEqual(failed(samples().slice(0, 5)), ['samples']);
});

test('a line is found in noise, with the error of its slope', () => {
  const exact = fitLine([0, 1, 2, 5].map((x) => [x, 3 * x + 7] as const));
  assert.ok(Math.abs(exact.slope - 3) < 1e-12 && exact.slopeError < 1e-6);
  // By hand: residuals −0.1, 0.2, −0.1 around slope 1.
  const rough = fitLine([
    [0, 0],
    [1, 1.3],
    [2, 2],
  ]);
  assert.ok(Math.abs(rough.slope - 1) < 1e-12);
  assert.ok(Math.abs(rough.slopeError - Math.sqrt(0.06 / 2)) < 1e-12);
});
