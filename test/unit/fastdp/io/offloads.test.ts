/** What each switch takes away, and which reason is told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  OFFLOAD_NAMES,
  type OffloadName,
  type OffloadSwitches,
  Offloads,
} from '../../../../fastdp/io/offloads.js';

const enabled = (offloads: Offloads): OffloadName[] =>
  OFFLOAD_NAMES.filter((name) => offloads.enabled(name));

test('each switch takes away what it is documented to', () => {
  const cases: [OffloadSwitches, OffloadName[]][] = [
    [{}, [...OFFLOAD_NAMES]],
    [{ noGso: true }, ['udp-gro', 'tap-checksum', 'tap-join', 'io-uring']],
    [{ noGro: true }, ['udp-segment', 'tap-checksum', 'tap-segmentation', 'io-uring']],
    [{ noVnetHdr: true }, ['udp-segment', 'udp-gro', 'io-uring']],
    [{ noUring: true }, OFFLOAD_NAMES.filter((name) => name !== 'io-uring')],
    [{ noGso: false, noUring: false }, [...OFFLOAD_NAMES]],
    [{ noGso: true, noGro: true, noVnetHdr: true, noUring: true }, []],
  ];
  for (const [switches, expected] of cases) {
    const offloads = new Offloads(switches);
    assert.deepEqual(enabled(offloads), expected);
    assert.ok(offloads.status().every((state) => !state.failed));
  }
});

test('the first reason stays, and what depends on a failed offload fails with it', () => {
  const offloads = new Offloads({ noGro: true });
  offloads.fail('udp-gro', 'never seen');
  offloads.confirm('udp-gro', 'never seen');
  offloads.confirm('udp-segment', 'tested');
  offloads.withdraw('io-uring', 'forbidden');
  offloads.fail('tap-checksum', 'wrong sum');
  const off = { enabled: false, failed: false };
  assert.deepEqual(offloads.status(), [
    { name: 'udp-segment', enabled: true, reason: 'tested', failed: false },
    { name: 'udp-gro', reason: '--no-gro', ...off },
    { name: 'tap-checksum', reason: 'wrong sum', ...off, failed: true },
    {
      name: 'tap-segmentation',
      reason: 'needs tap-checksum: wrong sum',
      ...off,
      failed: true,
    },
    { name: 'tap-join', reason: '--no-gro', ...off },
    { name: 'io-uring', reason: 'forbidden', ...off },
  ]);
});
