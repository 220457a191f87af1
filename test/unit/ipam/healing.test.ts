/** Conflicts, dead peers, peers that come back: what the original leaves to people. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseIpv4 } from '../../../core/ip.js';
import { decodeState, encodeState } from '../../../ipam/codec.js';
import { MeshRig } from './mesh-rig.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;

/** Both believe to own the upper half and use it: 2 was taken over while it was away. */
function takenOverInAbsence(originals: readonly number[] = []): MeshRig {
  const rig = new MeshRig([1, 2], { originals });
  assert.equal(rig.allocate(2, 'd1'), '10.0.0.128');
  rig.allocate(2, 'd2');
  rig.gossip();
  rig.down.add(rig.get(2).name);
  const { allocator } = rig.get(1);
  allocator.takeOver('host2', false, rig.nowMs);
  rig.drain(rig.get(1));
  rig.sent.length = 0;
  assert.deepEqual(rig.ringOf(1), ['10.0.0.0 1', '10.0.0.128 1']);
  // The first of its addresses goes to somebody else.
  rig.claim(1, 'c1', '10.0.0.128');
  rig.down.clear();
  return rig;
}

for (const originals of [[], [1]]) {
  const by = originals.length > 0 ? 'by an original ' : '';
  test(`a peer that was taken over ${by}gives up the range and claims what it uses`, () => {
    const rig = takenOverInAbsence(originals);
    rig.gossip();
    rig.pass(20 * SECOND);
    const { allocator } = rig.get(2);
    assert.equal(allocator.gauges().conflicts, 0);
    assert.deepEqual(rig.ringOf(2), rig.ringOf(1));
    // One of its two addresses is given back to it, the other one is in use twice, and says so.
    const { stranded } = allocator.status(rig.nowMs);
    assert.deepEqual(
      stranded.map(({ ident, duplicate }) => [ident, duplicate]),
      [['d1', true]],
    );
    assert.equal(allocator.counters['ipam-conflicts-resolved'], 1);
  });
}

test('a part that an original says to own is kept, shown, and not handed out', () => {
  const rig = new MeshRig([1, 2], { originals: [1] });
  rig.gossip();
  rig.claim(2, 'd1', '10.0.0.200');
  const { allocator } = rig.get(2);
  const state = decodeState([...allocator.completeState().encode()][0] as Uint8Array);
  const { ring } = state;
  assert.ok(ring);
  const token = parseIpv4('10.0.0.192');
  const halved = ring.entries.map((entry) => ({ ...entry, free: Math.min(entry.free, 64) }));
  const claimed = { token, peer: rig.get(1).name, version: 0, free: 64 };
  const theirs = { ...ring, peer: rig.get(1).name, entries: [...halved, claimed] };
  const payload = encodeState({ ...state, ring: theirs, healing: null });
  allocator.onGossip(payload, rig.get(1).name, rig.nowMs);
  rig.drain(rig.get(2));
  assert.equal(allocator.gauges().conflicts, 1);
  assert.deepEqual(rig.ringOf(2), ['10.0.0.0 1', '10.0.0.128 2']);
  assert.match(allocator.explain(rig.nowMs).join(' '), /Disputed .*router of another kind/);
  for (let n = 0; n < 80; n++) rig.allocate(2, `many${n}`);
  const disputed = rig.addressesOf(2).filter((address) => parseIpv4(address) >= token);
  assert.deepEqual(disputed, ['10.0.0.200']);
  assert.equal(allocator.counters['ipam-conflicts-quarantined'], 1);
});

test('rings of other seeds or ranges are refused with the reason, the connection stays', () => {
  const left = new MeshRig([1]);
  const right = new MeshRig([2]);
  const [state] = right.get(2).allocator.completeState().encode();
  const { allocator } = left.get(1);
  assert.equal(allocator.onGossip(state as Uint8Array, right.get(2).name, 5), null);
  assert.equal(allocator.counters['ipam-rings-refused'], 1);
  assert.match(allocator.explain(5).join(), /seeded by different peers/);
  const wide = new MeshRig([1], { universe: '10.0.0.0/23' });
  const [other] = wide.get(1).allocator.completeState().encode();
  allocator.onGossip(other as Uint8Array, right.get(2).name, 6);
  assert.match(allocator.explain(6).join(), /Incompatible IP allocation ranges/);
  assert.deepEqual(left.ringOf(1), ['10.0.0.0 1']);
});

test('the ranges of a peer that can be seen are not taken over, whoever asks', () => {
  const rig = new MeshRig([1, 2]);
  const { allocator } = rig.get(1);
  const ids = [
    allocator.takeOver('host2', false, rig.nowMs),
    allocator.takeOver('00:00:00:00:00:02', true, rig.nowMs),
  ];
  rig.drain(rig.get(1));
  for (const id of ids) assert.equal(rig.resultOf(1, id), 'ipam-take-over-refused');
});

test('of two hosts that take over the same peer one does it, the other one is told', () => {
  const rig = new MeshRig([1, 2, 3, 4]);
  rig.gossip();
  rig.down.add(rig.get(4).name);
  const ids = [2, 3].map((name) => {
    const id = rig.get(name).allocator.takeOver('host4', false, rig.nowMs);
    rig.drain(rig.get(name));
    return id;
  });
  rig.deliver();
  const outcomes = [rig.resultOf(2, ids[0] as number), rig.resultOf(3, ids[1] as number)];
  assert.deepEqual(outcomes.sort(), ['granted', 'ipam-take-over-refused']);
  assert.deepEqual(rig.ringOf(2), rig.ringOf(3));
  assert.ok(!rig.ringOf(1).some((line) => line.endsWith(' 4')));
});

test('an ambiguous nickname is refused, an unknown one owns nothing', () => {
  const rig = new MeshRig([1, 2]);
  const { allocator } = rig.get(1);
  const id = allocator.takeOver('nobody', false, rig.nowMs);
  rig.drain(rig.get(1));
  assert.deepEqual(rig.get(1).results.get(id), {
    status: 'granted',
    request: 'take-over',
    addresses: 0,
  });
});

test('unreachable owners are shown with how long and how much', () => {
  const rig = new MeshRig([1, 2]);
  rig.gossip();
  rig.down.add(rig.get(2).name);
  rig.get(1).allocator.handlePeersChanged(rig.nowMs);
  rig.pass(7 * MINUTE);
  const { allocator } = rig.get(1);
  const gauges = allocator.gauges();
  assert.equal(gauges.unreachableCount, 1);
  assert.equal(gauges.unreachablePercentage, 50);
  assert.match(allocator.explain(rig.nowMs).join(), /owns 128 addresses \(50\.0 %.*for 7 min/);
});

test('by itself: a majority takes over after the time, the lost peer stops before', () => {
  const rig = new MeshRig([1, 2, 3], { reclaimAfterMs: 5 * MINUTE });
  rig.gossip();
  rig.pass(3 * MINUTE);
  rig.down.add(rig.get(3).name);
  rig.pass(4 * MINUTE);
  assert.ok(rig.ringOf(1).some((line) => line.endsWith(' 3')));
  rig.pass(3 * MINUTE);
  assert.ok(!rig.ringOf(1).some((line) => line.endsWith(' 3')));
  assert.deepEqual(rig.ringOf(1), rig.ringOf(2));
});

test('by itself: a peer cut off from a majority hands out nothing, and says why', () => {
  const rig = new MeshRig([1, 2, 3], { reclaimAfterMs: 5 * MINUTE });
  rig.gossip();
  rig.pass(3 * MINUTE);
  for (const name of [1, 2]) rig.down.add(rig.get(name).name);
  rig.get(3).allocator.handlePeersChanged(rig.nowMs);
  assert.notEqual(rig.allocate(3, 'early'), null);
  rig.pass(3 * MINUTE);
  assert.equal(rig.get(3).allocator.status(rig.nowMs).held, 'isolated');
  assert.equal(rig.allocate(3, 'late'), null);
  assert.match(rig.get(3).allocator.explain(rig.nowMs).join(), /cut off from most owners/);
  rig.down.clear();
  rig.pass(10 * SECOND);
  assert.equal(rig.get(3).allocator.status(rig.nowMs).held, null);
  assert.equal(rig.addressesOf(3).length, 2);
});

test('a restarted peer asks first, but not for ever', () => {
  const rig = new MeshRig([1, 2]);
  rig.gossip();
  rig.down.add(rig.get(1).name);
  rig.add(2, rig.get(2).disk);
  assert.equal(rig.allocate(2, 'd1'), null);
  rig.pass(6 * SECOND);
  assert.deepEqual(rig.addressesOf(2), ['10.0.0.128']);
});

test('exhaustion says how many addresses are where', () => {
  const rig = new MeshRig([1, 2], { universe: '10.0.0.0/29' });
  for (let i = 0; i < 3; i++) rig.allocate(1, `c${i}`);
  rig.gossip();
  rig.down.add(rig.get(2).name);
  rig.get(1).allocator.handlePeersChanged(rig.nowMs);
  assert.equal(rig.allocate(1, 'c9'), null);
  const text = rig.get(1).allocator.explain(rig.nowMs).join(' ');
  assert.match(
    text,
    /wait for an address of 10\.0\.0\.0\/29 \(c9\): 3 in use here, 0 free here; 3 at/,
  );
});

test('who leaves for good gives its ranges to a peer that is there', () => {
  const rig = new MeshRig([1, 2]);
  rig.gossip();
  const { allocator } = rig.get(2);
  allocator.leave(rig.nowMs);
  rig.drain(rig.get(2));
  rig.deliver();
  assert.deepEqual(rig.ringOf(1), ['10.0.0.0 1', '10.0.0.128 1']);
  assert.equal(rig.allocate(2, 'd1'), 'ipam-leaving');
});

test('two hosts with one name: nothing is handed out, the reason is said, and then it goes on', () => {
  const rig = new MeshRig([1, 2]);
  rig.gossip();
  const { allocator, name } = rig.get(2);
  rig.cloned.add(name);
  rig.pass(10 * SECOND);
  assert.equal(allocator.status(rig.nowMs).held, 'cloned');
  assert.match(allocator.explain(rig.nowMs).join(), /Another host uses our peer name .*02/);
  assert.match(allocator.status(rig.nowMs).summary, /^handing out nothing: another host/);
  assert.equal(rig.allocate(2, 'c1'), null);
  // Nor is anything given to others; what they have themselves they hand out.
  assert.equal(rig.allocate(1, 'c1'), '10.0.0.1');
  rig.cloned.delete(name);
  rig.pass(20 * SECOND);
  assert.equal(allocator.status(rig.nowMs).held, null);
  assert.deepEqual(rig.addressesOf(2), ['10.0.0.128']);
});
