/** Whom a search for space asks, and when it asks again. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { PeerName } from '../../../core/peer-name.js';
import type { AddressRange } from '../../../ipam/range.js';
import { Searches } from '../../../ipam/searches.js';

const RANGE: AddressRange = { start: 0x0a200000, end: 0x0a300000 };
const [ONE, TWO] = [1, 2] as unknown as [PeerName, PeerName];

function peersOf(...names: PeerName[]) {
  return { isReachable: (peer: PeerName) => names.includes(peer), rank: () => names };
}

describe('searches for space', () => {
  it('ask the same peer again after growing pauses, then choose anew', () => {
    const searches = new Searches();
    const asked: [number, PeerName][] = [];
    let peers = peersOf(ONE, TWO);
    for (let nowMs = 0; nowMs <= 14_000; nowMs += 100) {
      if (nowMs === 7_000) peers = peersOf(TWO, ONE);
      const peer = searches.choose(RANGE, peers, nowMs);
      if (peer !== null) asked.push([nowMs, peer]);
    }
    assert.deepEqual(asked, [
      [0, ONE],
      [500, ONE],
      [1_500, ONE],
      [3_500, ONE],
      [7_500, ONE],
      [12_500, TWO],
      [13_000, TWO],
      [14_000, TWO],
    ]);
  });

  it('go on with the next when one denies or is gone', () => {
    const searches = new Searches();
    assert.equal(searches.choose(RANGE, peersOf(ONE, TWO), 0), ONE);
    searches.handleDenied(RANGE, ONE);
    assert.equal(searches.choose(RANGE, peersOf(ONE, TWO), 1), TWO);
    assert.equal(searches.choose(RANGE, peersOf(ONE), 2), null, 'denied before');
    searches.forgetDenials();
    assert.equal(searches.choose(RANGE, peersOf(ONE), 3), ONE);
  });

  it('try again soon while those with space can not be reached', () => {
    const searches = new Searches();
    let isReachable = false;
    const peers = { isReachable: () => isReachable, rank: () => [ONE] };
    const tries: number[] = [];
    for (let nowMs = 0; nowMs <= 4_000; nowMs = searches.nextRepeatMs()) {
      assert.equal(searches.choose(RANGE, peers, nowMs), null);
      assert.equal(searches.choose(RANGE, peers, nowMs + 1), null, 'nothing new at once');
      tries.push(nowMs);
    }
    assert.deepEqual(tries, [0, 500, 1_500, 3_500]);
    isReachable = true;
    assert.equal(searches.choose(RANGE, peers, 3_600), ONE, 'somebody can be reached');
    assert.equal(searches.nextRepeatMs(), 4_100);
  });

  it('tell when somebody is asked again, and nothing that is past', () => {
    const searches = new Searches();
    assert.equal(searches.nextRepeatMs(), Number.POSITIVE_INFINITY);
    searches.choose(RANGE, peersOf(ONE), 1_000);
    assert.equal(searches.nextRepeatMs(), 1_500);
    searches.endOverdue(1_499);
    assert.equal(searches.nextRepeatMs(), 1_500);
    searches.endOverdue(1_500);
    assert.equal(searches.nextRepeatMs(), Number.POSITIVE_INFINITY);
    searches.keep(() => false);
    assert.equal(searches.choose(RANGE, peersOf(ONE), 1_500), ONE);
  });
});
