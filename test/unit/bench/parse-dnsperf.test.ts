/** dnsperf's output as its version 2.10 prints it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDnsperf } from '../../../bench/parse-dnsperf.js';

const TOTALS = `
  Queries sent:         200
  Queries completed:    198 (99.00%)
  Queries lost:         2 (1.00%)
  Queries per second:   19961.829229
`;

test('totals and latencies', () => {
  const lines = Array.from({ length: 100 }, (_, i) => `> NOERROR n${i}.x A ${(i + 1) / 1e5}\n`);
  const { perSecond, lostShare, p50Ms, p99Ms } = parseDnsperf(`${lines.join('')}${TOTALS}`);
  assert.deepEqual([perSecond, lostShare], [19961.829229, 0.01]);
  assert.deepEqual([p50Ms.toFixed(3), p99Ms.toFixed(3)], ['0.500', '0.990']);
  assert.ok(Number.isNaN(parseDnsperf(TOTALS).p50Ms));
  assert.throws(() => parseDnsperf('dnsperf: unable to open'), /no totals/);
});
