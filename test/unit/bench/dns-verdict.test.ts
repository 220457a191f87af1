/** The verdict on a name server under bad packets: a run that is well, and ill in one way each. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DnsPackets } from '../../../bench/soak/dns-packets.js';
import { type DnsSample, type DnsSoakResult, judgeDns } from '../../../bench/soak/dns-verdict.js';

const sample = (index: number): DnsSample => ({
  seconds: index,
  residentMb: 120 + (index % 3),
  descriptors: 45,
  counted: index * 1000,
});

const WELL: DnsSoakResult = {
  samples: Array.from({ length: 20 }, (_, index) => sample(index)),
  descriptorsAfter: 49,
  datagrams: 20_000,
  messages: 500,
  questions: 400,
  repeated: 1,
  slowestMs: 30,
  counted: 20_500,
  forwarded: 3000,
  failure: null,
  isRunning: true,
  faults: [],
};

const failed = (change: Partial<DnsSoakResult>): string[] =>
  judgeDns({ ...WELL, ...change })
    .filter(({ ok }) => !ok)
    .map(({ what }) => what);

test('a run without faults is healthy, each fault alone makes it ill', () => {
  const answered = ['every question between is answered'];
  const counted = ['every datagram is counted'];
  assert.deepEqual(failed({}), []);
  assert.deepEqual(failed({ failure: 'silence' }), answered);
  assert.deepEqual(failed({ repeated: 2, counted: 20_450 }), answered);
  assert.deepEqual(failed({ slowestMs: 11_000 }), ['nothing takes for ever']);
  assert.deepEqual(failed({ isRunning: false }), ['the router lives, and its thread']);
  assert.deepEqual(failed({ faults: ['ERRO: x'] }), ['the router lives, and its thread']);
  assert.deepEqual(failed({ counted: 20_398 }), counted);
  assert.deepEqual(failed({ counted: 20_901 }), counted);
  assert.deepEqual(failed({ forwarded: 0 }), ['counters move']);
  assert.deepEqual(failed({ descriptorsAfter: 51 }), ['no descriptor leaks']);
  assert.deepEqual(failed({ samples: WELL.samples.slice(0, 3) }), ['samples']);
  const stuck = WELL.samples.map((each, i) => (i === 9 ? { ...each, counted: 8000 } : each));
  assert.deepEqual(failed({ samples: stuck }), ['counters move']);
  // Looks that come faster than counts are told may see the same ones.
  const quick = stuck.map((each) => ({ ...each, seconds: each.seconds / 5 }));
  assert.deepEqual(failed({ samples: quick }), []);
  const growing = WELL.samples.map((each, i) => ({ ...each, residentMb: 100 + 5 * i }));
  assert.deepEqual(failed({ samples: growing }), ['memory is flat']);
});

test('the same seed and number give the same packet, another seed another one', () => {
  const [one, again, other] = [new DnsPackets(1), new DnsPackets(1), new DnsPackets(2)];
  let equal = 0;
  for (let index = 0; index < 1000; index += 1) {
    const bytes = Buffer.from(one.make(index));
    assert.deepEqual(bytes, Buffer.from(again.make(index)));
    if (bytes.equals(Buffer.from(other.make(index)))) equal += 1;
    assert.ok(bytes.length <= 9000);
  }
  assert.ok(equal < 100, `${equal} equal ones`);
});
