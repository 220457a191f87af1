/** Engine and offloads as the report and the warnings show them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Offloads } from '../../../fastdp/io/offloads.js';
import { offloadWarnings, reportOffloads } from '../../../router/report-offloads.js';

test('the report names the engine with its reason, and what failed is a warning', () => {
  const offloads = new Offloads({ noGso: true });
  offloads.withdraw('io-uring', 'forbidden by kernel.io_uring_disabled=2');
  offloads.confirm('udp-gro', 'tested');
  offloads.fail('tap-join', 'a joined frame arrived changed');
  const report = reportOffloads(offloads.status());
  assert.equal(report.Engine, 'syscalls');
  assert.equal(report.EngineReason, 'forbidden by kernel.io_uring_disabled=2');
  assert.deepEqual(report.Offloads[0], {
    Name: 'udp-segment',
    Enabled: false,
    Reason: '--no-gso',
  });
  assert.deepEqual(report.Offloads[1], { Name: 'udp-gro', Enabled: true, Reason: 'tested' });
  assert.deepEqual(offloadWarnings(offloads.status()), [
    'the data plane works without tap-join: a joined frame arrived changed',
  ]);
});

test('a data plane that uses io_uring says so; one that said nothing is not guessed about', () => {
  assert.equal(reportOffloads(new Offloads().status()).Engine, 'io_uring');
  assert.deepEqual(reportOffloads([]), { Engine: 'syscalls', EngineReason: '', Offloads: [] });
});
