/** Laws of the ring and of sets of ranges, over random histories. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Ipv4 } from '../../../core/ip.js';
import type { PeerName } from '../../../core/peer-name.js';
import type { RingState } from '../../../ipam/interfaces.js';
import type { AddressRange } from '../../../ipam/range.js';
import { RangeSet } from '../../../ipam/range-set.js';
import { Ring, TAKE_OVER_INCREMENT } from '../../../ipam/ring.js';
import { checkMergeable, mergeRings, resolveAmongHealers } from '../../../ipam/ring-merge.js';
import { Space } from '../../../ipam/space.js';
import { showEntries } from './ring-vectors.js';

const RANGE: AddressRange = { start: 64, end: 128 };
const PEERS = [1, 2, 3] as PeerName[];
/** Looks on and owns nothing. */
const OBSERVER = 9 as PeerName;

interface Event {
  readonly kind: 'grant' | 'report' | 'tell' | 'take';
  readonly from: number;
  readonly to: number;
  readonly at: number;
  readonly size: number;
}

const event: fc.Arbitrary<Event> = fc.record({
  kind: fc.constantFrom('grant', 'grant', 'report', 'tell', 'take'),
  from: fc.nat(2),
  to: fc.nat(2),
  at: fc.integer({ min: 64, max: 127 }),
  size: fc.integer({ min: 1, max: 16 }),
});

function merge(localPeer: PeerName, ours: RingState, theirs: RingState): RingState {
  checkMergeable(ours, theirs);
  const { entries, seeds } = mergeRings(localPeer, ours, theirs, {
    isInUse: () => true,
    resolve: resolveAmongHealers,
    breakTie: (a, b) => (b.peer < a.peer ? 'take' : 'keep'),
  });
  return { ...ours, entries, seeds };
}

/** Copies of one ring as several peers have them after some time. */
function copiesAfter(events: readonly Event[], mayTake: boolean): Ring[] {
  const rings = PEERS.map((peer) => {
    const ring = new Ring(RANGE, peer);
    ring.divide(PEERS);
    return ring;
  });
  for (const { kind, from, to, at, size } of events) {
    const [giver, taker] = [rings[from] as Ring, rings[to] as Ring];
    const [own, other] = [PEERS[from] as PeerName, PEERS[to] as PeerName];
    if (kind === 'grant' && from !== to) {
      const range = giver.rangesOf(own).find(({ start, end }) => at >= start && at < end);
      if (range !== undefined)
        giver.grant({ start: at, end: Math.min(range.end, at + size) }, other);
    } else if (kind === 'report') giver.reportFree((range) => (range.end - range.start) >> 1);
    else if (kind === 'tell') {
      const { entries, seeds } = merge(other, taker.state, giver.state);
      taker.install(entries, seeds);
    } else if (kind === 'take' && mayTake && from !== to) {
      giver.transfer(other, own, TAKE_OVER_INCREMENT);
    }
  }
  return rings;
}

const owners = (ring: RingState): string[] =>
  ring.entries.map(({ token, peer, version }) => `${token} ${peer} ${version}`);

test('seen from outside, merging commutes, associates and is idempotent', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 30 }), fc.boolean(), (events, mayTake) => {
      const [a, b, c] = copiesAfter(events, mayTake).map(({ state }) => state) as [
        RingState,
        RingState,
        RingState,
      ];
      const join = (x: RingState, y: RingState): RingState => merge(OBSERVER, x, y);
      assert.deepEqual(owners(join(a, b)), owners(join(b, a)));
      assert.deepEqual(owners(join(join(a, b), c)), owners(join(a, join(b, c))));
      assert.deepEqual(showEntries(join(a, a).entries), showEntries(a.entries));
      assert.deepEqual(showEntries(join(join(a, b), b).entries), showEntries(join(a, b).entries));
    }),
  );
});

test('without take-overs owners never overlap, whatever they have heard of', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), (events) => {
      const taken = new RangeSet();
      for (const [i, ring] of copiesAfter(events, false).entries()) {
        for (const range of ring.rangesOf(PEERS[i] as PeerName)) {
          assert.equal(taken.countWithin(range), 0);
          taken.add(range);
        }
      }
    }),
  );
});

test('a ring is always whole: every address has one owner', () => {
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), fc.boolean(), (events, mayTake) => {
      for (const ring of copiesAfter(events, mayTake)) {
        let at = RANGE.start;
        for (const { start, end } of ring.ranges()) {
          assert.equal(start, at);
          at = end;
        }
        assert.equal(at, RANGE.end);
        checkMergeable(ring.state, ring.state);
      }
    }),
  );
});

test('a set of ranges is the set of its addresses', () => {
  const change = fc.record({
    add: fc.boolean(),
    start: fc.nat(60),
    size: fc.nat(20),
  });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const set = new RangeSet();
      const model = new Set<number>();
      for (const { add, start, size } of changes) {
        if (add) set.add({ start, end: start + size });
        else set.remove({ start, end: start + size });
        for (let a = start; a < start + size; a++) {
          if (add) model.add(a);
          else model.delete(a);
        }
      }
      assert.equal(set.size, model.size);
      for (let a = 0; a < 90; a++) assert.equal(set.has(a), model.has(a));
      for (const [i, { start }] of set.ranges.entries()) {
        if (i > 0) assert.ok(start > (set.ranges[i - 1] as AddressRange).end);
      }
    }),
  );
});

test('what is donated was free and is gone, and what is lost is told', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 64, max: 127 }), { maxLength: 40 }), (claims) => {
      const space = new Space();
      space.setOwned([RANGE]);
      for (const address of claims) space.claim(address as Ipv4);
      const used = space.usedCount;
      const given = space.donate(RANGE);
      assert.equal(space.usedCount, used);
      if (given === null) assert.equal(space.freeCount, 0);
      else
        assert.ok(
          !space.owns(given.start) && !claims.some((a) => a >= given.start && a < given.end),
        );
      const before = [...space.ownedRanges];
      assert.deepEqual(space.setOwned([]), before);
      assert.equal(space.usedCount + space.freeCount, 0);
    }),
  );
});
