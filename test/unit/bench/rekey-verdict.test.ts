/** When a benchmark of key changes says that throughput dipped or datagrams were lost. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findChanges, judgeRekey, type WayCounts } from '../../../bench/rekey/verdict.js';

const WAY: WayCounts = {
  way: 'h1 → h2',
  sealed: 1000,
  opened: 990,
  kernelDrops: 10,
  refused: { forged: 0 },
};

/** A second each; both ends change keys during second 20. */
function samples(count = 40) {
  return Array.from({ length: count }, (_, i) => ({
    seconds: i + 0.2,
    keyChanges: i <= 20 ? 0 : i === 21 ? 1 : 2,
  }));
}

/** 100 Mbit/s but for what is given by second. */
function rates(other: Readonly<Record<number, number>> = {}, count = 40): number[] {
  return Array.from({ length: count }, (_, i) => other[i] ?? 100);
}

const failed = (rate: readonly number[], ways: readonly WayCounts[] = [WAY]): string[] =>
  judgeRekey(findChanges(samples(), rate), ways)
    .filter(({ ok }) => !ok)
    .map(({ what }) => what);

test('changes of both ends close to each other are one, with the seconds around it', () => {
  assert.deepEqual(findChanges(samples(), rates({ 19: 95, 24: 97, 26: 1 })), [
    { second: 20, changes: 2, slowest: 95, usual: 100, elsewhere: 2 / 28 },
  ]);
  assert.deepEqual(findChanges(samples(20), rates()), []);
});

test('a dip over a tenth counts unless the machine often does that anyway', () => {
  assert.deepEqual(failed(rates()), []);
  assert.deepEqual(failed(rates({ 21: 91 })), []);
  const dip = ['throughput at the change in second 20'];
  assert.deepEqual(failed(rates({ 21: 85 })), dip);
  assert.deepEqual(failed(rates({ 21: 85, 0: 50 })), dip, 'once, at the start');
  assert.deepEqual(failed(rates({ 21: 85, 10: 84 })), []);
});

test('every datagram is accounted for, and none may be refused', () => {
  const ways = [
    { ...WAY, opened: 989 },
    { ...WAY, refused: { forged: 0, replayed: 3 } },
  ];
  assert.deepEqual(failed(rates(), ways), ['h1 → h2: no datagram lost', 'h1 → h2: none refused']);
});

test('a run without changes shows nothing', () => {
  const findings = judgeRekey([], [WAY]);
  assert.deepEqual(findings[0]?.ok, false);
});
