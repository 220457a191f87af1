/** Who is served: strangers, floods beside others, errors, and the memory of sources. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Sources } from '../../../dns/sources.js';
import { Upstreams } from '../../../dns/upstreams.js';
import { SeededRandom } from '../../sim/seeded-random.js';

test('a flood gives way to others, and is served when it is alone', () => {
  const sources = new Sources(() => true);
  let served = 0;
  for (let i = 0; i < 10_000; i++) if (sources.admit('a', 1000) === 'serve') served++;
  assert.equal(served, 10_000, 'alone it may have all');
  served = 0;
  for (let i = 0; i < 10_000; i++) {
    if (i % 100 === 0) assert.equal(sources.admit('b', 2000), 'serve');
    if (sources.admit('a', 2000) === 'serve') served++;
  }
  assert.ok(served < 2_500, `${served}`);
  assert.equal(sources.admit('a', 3000), 'serve', 'the next moment is a new one');
});

test('strangers are none after the networks have changed', () => {
  let isServed = false;
  const sources = new Sources(() => isServed);
  assert.equal(sources.admit('a', 0), 'stranger');
  isServed = true;
  assert.equal(sources.admit('a', 0), 'stranger');
  sources.forget();
  assert.equal(sources.admit('a', 0), 'serve');
});

test('errors: twenty at once, then ten a second', () => {
  const sources = new Sources(() => true);
  const told = (nowMs: number): number =>
    Array.from({ length: 100 }, () => sources.mayTellError('a', nowMs)).filter(Boolean).length;
  assert.deepEqual([told(1000), told(1000), told(2000)], [20, 0, 10]);
});

test('more sources than can be remembered start anew', () => {
  let asked = 0;
  const sources = new Sources(() => {
    asked++;
    return true;
  });
  for (let i = 0; i < 10_000; i++) sources.admit(`10.0.${i >> 8}.${i & 255}`, 0);
  assert.equal(asked, 10_000);
});

test('resolvers that failed come last for a while, loops never again', () => {
  const loops: string[] = [];
  const upstreams = new Upstreams({
    random: new SeededRandom(1),
    onLoop: (address) => loops.push(address),
  });
  const probes = upstreams.set(['a', 'b', 'c', 'a']);
  assert.deepEqual(
    probes.map(({ address }) => address),
    ['a', 'b', 'c'],
  );
  upstreams.noteFailure('a', 1000);
  assert.deepEqual(upstreams.order(1000), ['b', 'c', 'a']);
  assert.deepEqual(upstreams.order(40_000), ['a', 'b', 'c']);
  upstreams.noteFailure('a', 50_000);
  upstreams.noteAnswer('a');
  assert.deepEqual(upstreams.order(50_000), ['a', 'b', 'c']);
  assert.equal(upstreams.noteQuery('www.example.'), false);
  assert.equal(upstreams.noteQuery('0011223344556677.weave-loop-probe.invalid.'), false);
  for (const _again of [1, 2]) assert.equal(upstreams.noteQuery(probes[1]?.name ?? ''), true);
  assert.deepEqual([loops, upstreams.addresses], [['b'], ['a', 'c']]);
  // What is known of a server stays when the file is written again.
  assert.deepEqual(
    upstreams.set(['b', 'd']).map(({ address }) => address),
    ['d'],
  );
  assert.deepEqual(upstreams.addresses, ['d']);
});
