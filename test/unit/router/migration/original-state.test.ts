/** Databases recorded from the original are read whole; damaged ones give an error, never more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { DecodeError } from '../../../../core/errors.js';
import { formatCidr, formatIpv4, type Ipv4 } from '../../../../core/ip.js';
import { formatPeerName } from '../../../../core/peer-name.js';
import { readBoltBucket } from '../../../../router/migration/bolt.js';
import {
  type OriginalState,
  readOriginalState,
} from '../../../../router/migration/original-state.js';
import { originalDatabase } from '../../../support/original-database.js';

/** Where the two meta records stand in the recorded files. */
const META_AT = [16, 4096 + 16] as const;

function read(file: Uint8Array): OriginalState {
  const state = readOriginalState(file);
  assert.ok(state);
  return state;
}

const holdersOf = ({ owned }: OriginalState): Record<string, string[]> =>
  Object.fromEntries(owned.map(({ ident, cidrs }) => [ident, cidrs.map(formatCidr)]));

test('the state of an original router is read whole', () => {
  const state = read(originalDatabase('small'));
  assert.equal(formatPeerName(state.peer), '02:00:00:00:00:0a');
  assert.deepEqual(holdersOf(state), {
    c1: ['10.36.0.1/16'],
    c3: ['10.36.0.3/16'],
    c4: ['10.36.0.4/16'],
    '10.36.1.1': ['10.36.1.1/24'],
    'weave:expose': ['10.36.0.5/16'],
  });
  const { ring } = state;
  assert.ok(ring);
  assert.deepEqual(
    ring.entries.map(({ token, peer }) => [formatIpv4(token), formatPeerName(peer)]),
    [
      ['10.36.0.0', '02:00:00:00:00:0a'],
      ['10.36.128.0', '02:00:00:00:00:0b'],
    ],
  );
  assert.equal(formatIpv4(ring.start), '10.36.0.0');
  assert.equal(formatIpv4(ring.end as Ipv4), '10.37.0.0');
  assert.deepEqual([...state.targets].sort(), ['10.9.9.9:6784', '192.168.77.10', '192.168.77.9']);
});

test('a file that has grown and been rewritten often gives its newest state', () => {
  const holders = holdersOf(read(originalDatabase('grown')));
  assert.equal(Object.keys(holders).length, 65);
  assert.ok(holders['many60']);
});

test('keys in a tree of pages, a long value over several; buckets inside are left out', () => {
  const values = readBoltBucket(originalDatabase('wide'), 'top');
  assert.equal(values.size, 401);
  for (let n = 0; n < 400; n++) {
    const text = `value ${n} ${String(n).padStart(40, '0')}`;
    const value = values.get(`key-${String(n).padStart(3, '0')}`);
    assert.equal(Buffer.from(value ?? []).toString(), text);
  }
  assert.deepEqual(Buffer.from(values.get('long') ?? []), Buffer.alloc(9000));
  assert.equal(readBoltBucket(originalDatabase('wide'), 'other').size, 0);
});

test('one damaged head is no harm, two are an error', () => {
  for (const at of META_AT) {
    const file = originalDatabase('small');
    file.fill(0xff, at, at + 64);
    // The other one may be a transaction older: a router was there by then all the same.
    assert.equal(formatPeerName(read(file).peer), '02:00:00:00:00:0a');
    for (const both of META_AT) file.fill(0xff, both, both + 64);
    assert.throws(() => readOriginalState(file), { code: 'bolt-damaged' });
  }
});

test('cut or changed anywhere: a value or an error, in a bounded time', () => {
  for (const which of ['small', 'wide'] as const) {
    const whole = originalDatabase(which);
    const changes = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 8 });
    fc.assert(
      fc.property(fc.nat(whole.length), changes, (length, changed) => {
        const file = Buffer.from(whole);
        for (const [at, value] of changed) file[at] = value;
        for (const input of [file, file.subarray(0, length)]) {
          try {
            readOriginalState(input);
          } catch (error) {
            assert.ok(error instanceof DecodeError, String(error));
          }
        }
      }),
      { numRuns: 200 },
    );
  }
});
