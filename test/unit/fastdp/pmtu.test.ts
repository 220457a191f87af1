/** The path MTU search: step by step as the original's, and what ours adds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PathMtu } from '../../../fastdp/pmtu.js';
import { sleeveVectors } from './bytes.js';

/** A path that answers tests 1 ms later; `passes` is the largest overlay MTU. */
class Path {
  readonly pmtu: PathMtu;
  nowMs = 0;
  passes: number;
  systemMtu: number;
  sentTests: number[] = [];
  readonly #overhead: number;

  constructor(overhead: number, systemMtu: number, passes: number) {
    this.#overhead = overhead;
    this.systemMtu = systemMtu;
    this.passes = passes;
    this.pmtu = new PathMtu({ overheadBytes: overhead });
  }

  run(forMs: number, answers = true): void {
    const endMs = this.nowMs + forMs;
    for (;;) {
      const tests: number[] = [];
      for (let bytes = this.pmtu.pollTest(); bytes !== 0; bytes = this.pmtu.pollTest()) {
        tests.push(bytes - 14);
      }
      for (const mtu of tests) {
        this.sentTests.push(mtu);
        if (mtu + this.#overhead > this.systemMtu) {
          this.pmtu.handleTooBig(this.systemMtu, this.nowMs);
        } else if (mtu <= this.passes && answers) this.pmtu.handleVerified(mtu, this.nowMs);
      }
      if (tests.length > 0) continue;
      const next = this.pmtu.nextTimeout();
      if (next === null || next.atMs > endMs) break;
      this.nowMs = Math.max(this.nowMs, next.atMs);
      this.pmtu.handleTimeout(this.nowMs);
    }
    this.nowMs = endMs;
  }
}

test('the search goes through the steps of the original', () => {
  for (const vector of sleeveVectors.pmtu_search) {
    const pmtu = new PathMtu({ overheadBytes: vector.overhead_df });
    const label = `${vector.underlay_pmtu_reported}/${vector.largest_overlay_mtu_that_passes}`;
    let nowMs = 0;
    pmtu.start(nowMs);
    assert.equal(pmtu.pollTest(), 60_000);
    pmtu.handleTooBig(vector.underlay_pmtu_reported, nowMs);
    for (const { candidate, special_frame_length, outcome } of vector.steps) {
      assert.equal(pmtu.candidate, candidate, label);
      for (let sent = 0; sent < 8; sent++) {
        assert.equal(pmtu.pollTest(), special_frame_length, label);
        while (pmtu.pollTest() !== 0) {
          // The additional sizes go unanswered here.
        }
        if (outcome === 'ack') {
          pmtu.handleVerified(candidate, nowMs);
          break;
        }
        assert.equal(pmtu.nextTimeout()?.atMs, nowMs + 10 * 2 ** sent, label);
        nowMs += 10 * 2 ** sent;
        pmtu.handleTimeout(nowMs);
      }
    }
    if (vector.final_mtu === 552) {
      // Unlike the original, ours tests this size before it relies on it.
      assert.equal(pmtu.candidate, 552, label);
      if (vector.largest_overlay_mtu_that_passes < 552) continue;
      pmtu.handleVerified(552, nowMs);
    }
    assert.equal(pmtu.state, 'verified', label);
    assert.equal(pmtu.mtu, vector.final_mtu, label);
    assert.equal(pmtu.maxPayloadBytes, vector.final_max_payload, label);
    assert.equal(pmtu.pollChange(), vector.final_mtu);
    assert.equal(pmtu.pollChange(), 0);
  }
});

test('any path is found exactly, and a size that passes is in use soon', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(62, 86),
      fc.integer({ min: 300, max: 9000 }),
      fc.integer({ min: 68, max: 9000 }),
      (overhead, systemMtu, passes) => {
        const path = new Path(overhead, systemMtu, passes);
        path.pmtu.start(0);
        path.run(4_000);
        const real = Math.min(passes, systemMtu - overhead);
        if (passes >= 576 - overhead) assert.ok(path.pmtu.mtu <= passes);
        path.run(60_000);
        assert.equal(path.pmtu.mtu, Math.max(68, real));
        assert.ok(path.pmtu.known);
      },
    ),
    { numRuns: 60 },
  );
});

test('a path without any limit keeps 65535', () => {
  const path = new Path(86, 70_000, 65_535);
  path.pmtu.start(0);
  path.run(10);
  assert.equal(path.pmtu.pollChange(), 65_535);
  assert.equal(path.pmtu.maxPayloadBytes, 65_507);
});

test('a probe that is swallowed ends in a sweep', () => {
  const path = new Path(86, 70_000, 1_414);
  path.pmtu.start(0);
  path.run(4_000);
  assert.equal(path.pmtu.mtu, 1_414);
});

test('a dead path keeps its MTU', () => {
  const path = new Path(86, 1500, 1414);
  path.pmtu.start(0);
  path.run(100);
  path.pmtu.noteLargeTraffic();
  path.run(20_000, false);
  assert.equal(path.pmtu.mtu, 1414);
  path.run(20_000);
  assert.equal(path.pmtu.state, 'verified');
  assert.equal(path.pmtu.mtu, 1414);
});

test('nothing is tested without large traffic, apart from the search upwards', () => {
  const path = new Path(86, 1500, 1414);
  path.pmtu.start(0);
  path.run(100);
  path.sentTests = [];
  path.run(4 * 60_000);
  assert.deepEqual(path.sentTests, []);
  path.run(2 * 60_000);
  assert.deepEqual(path.sentTests, [59_986]);
});

test('a wider path is used again, a lie of the system is not believed twice', () => {
  const path = new Path(86, 1500, 1300);
  path.pmtu.start(0);
  path.run(20_000);
  assert.equal(path.pmtu.mtu, 1300);
  path.run(6 * 60_000);
  assert.equal(path.pmtu.mtu, 1300);
  path.pmtu.handleTooBig(1500, path.nowMs);
  assert.equal(path.pmtu.mtu, 1300, 'late refusals of bigger datagrams change nothing');
  path.passes = 1414;
  path.run(6 * 60_000);
  assert.equal(path.pmtu.mtu, 1414);
});

test('answers nobody asked for and refusals without a size do no harm', () => {
  const path = new Path(62, 1500, 1438);
  path.pmtu.handleVerified(1438, 0);
  path.pmtu.handleVerified(0, 0);
  assert.equal(path.pmtu.mtu, 65_535);
  path.pmtu.handleTooBig(0, 0);
  path.run(100);
  assert.equal(path.pmtu.mtu, 1438);
  path.pmtu.handleVerified(9000, path.nowMs);
  path.pmtu.handleVerified(0, path.nowMs);
  assert.equal(path.pmtu.mtu, 1438);
  path.pmtu.handleTooBig(20, path.nowMs);
  assert.ok(path.pmtu.mtu >= 68);
});

test('any input in any order leaves a usable machine', () => {
  const input = fc.record({
    kind: fc.constantFrom('big', 'verified', 'time', 'traffic', 'start', 'path'),
    value: fc.oneof(fc.nat({ max: 70_000 }), fc.constantFrom(1414, 1438, 552, 59_986, 0)),
  });
  fc.assert(
    fc.property(fc.array(input, { maxLength: 120 }), (inputs) => {
      const pmtu = new PathMtu({ overheadBytes: 86 });
      let nowMs = 0;
      for (const { kind, value } of inputs) {
        if (kind === 'big') pmtu.handleTooBig(value, nowMs);
        else if (kind === 'verified') pmtu.handleVerified(value, nowMs);
        else if (kind === 'traffic') pmtu.noteLargeTraffic();
        else if (kind === 'start') pmtu.start(nowMs);
        else if (kind === 'path') pmtu.handlePathChange(nowMs);
        else {
          nowMs = Math.max(nowMs, pmtu.nextTimeout()?.atMs ?? nowMs);
          pmtu.handleTimeout(nowMs);
        }
        for (let tests = 0; pmtu.pollTest() !== 0; tests++) assert.ok(tests < 40);
        assert.ok(pmtu.mtu >= 68 && pmtu.mtu <= 65_535);
        assert.ok(pmtu.maxPayloadBytes <= 65_507);
      }
      let steps = 0;
      while (pmtu.state !== 'verified' && pmtu.state !== 'idle' && steps++ < 500) {
        nowMs = pmtu.nextTimeout()?.atMs as number;
        pmtu.handleTimeout(nowMs);
      }
      assert.ok(steps < 500, 'it comes to an end without answers');
    }),
  );
});
