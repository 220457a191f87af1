/** What the original does wrong and we don't: reference/ipam.md 20, by its numbers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseCidr, parseIpv4 } from '../../../core/ip.js';
import { encodeUnicast } from '../../../ipam/codec.js';
import { MeshRig } from './mesh-rig.js';

const SECOND = 1000;

test('1: a claim that succeeded in advance keeps its address, also once there is a ring', () => {
  const rig = new MeshRig([1, 2], { init: { mode: 'consensus', peers: 2 } });
  assert.equal(rig.resultOf(1, rig.claim(1, 'c1', '10.0.0.1', true)), 'granted');
  rig.pass(20 * SECOND);
  assert.equal(rig.allocate(1, 'c2'), '10.0.0.2');
  assert.deepEqual(rig.addressesOf(1), ['10.0.0.1', '10.0.0.2']);
  assert.equal(rig.get(1).allocator.gauges().stranded, 0);
});

test('2: addresses found at the start are released when their workload ends', () => {
  const rig = new MeshRig([1]);
  const cidr = parseCidr('10.0.0.9/24');
  const peer = rig.add(1, null, [{ ident: 'c9', cidr, watched: true }]);
  assert.deepEqual(rig.addressesOf(1), ['10.0.0.9']);
  peer.allocator.workloadDied('c9', rig.nowMs);
  rig.pass(29 * SECOND);
  assert.deepEqual(rig.addressesOf(1), ['10.0.0.9']);
  rig.pass(10 * SECOND);
  assert.deepEqual(rig.addressesOf(1), []);
});

test('2: a further address without the flag does not keep the others from being released', () => {
  const rig = new MeshRig([1]);
  rig.allocate(1, 'c1');
  const subnet = parseCidr('10.0.0.128/25');
  const { allocator } = rig.get(1);
  allocator.allocate({ ident: 'c1', subnet, watched: false }, rig.nowMs);
  allocator.workloadGone('c1', rig.nowMs);
  assert.deepEqual(rig.addressesOf(1), []);
});

test('5: a denial of a subnet does not fail a claim that waits for another peer', () => {
  const rig = new MeshRig([1, 2, 3]);
  const id = rig.claim(1, 'c1', '10.0.0.200');
  const range = { start: parseIpv4('10.0.0.0'), end: parseIpv4('10.0.0.0') + 256 };
  const payload = encodeUnicast({ type: 'denied', range });
  rig.get(1).allocator.onGossipUnicast(payload, rig.get(2).name, rig.nowMs);
  rig.drain(rig.get(1));
  assert.equal(rig.resultOf(1, id), null);
  rig.deliver();
  assert.equal(rig.resultOf(1, id), 'granted');
});

test('6: unknown and empty unicasts are counted and do nothing', () => {
  const { allocator, name } = new MeshRig([1]).get(1);
  allocator.onGossipUnicast(new Uint8Array(), name, 0);
  allocator.onGossipUnicast(Uint8Array.of(99, 1), name, 0);
  assert.equal(allocator.counters['ipam-unicasts-unknown'], 2);
});

test('8: a range may end at 255.255.255.255', () => {
  const rig = new MeshRig([1], { universe: '255.255.255.248/29' });
  const addresses = ['a', 'b', 'c', 'd', 'e', 'f'].map((ident) => rig.allocate(1, ident));
  assert.equal(addresses.at(-1), '255.255.255.254');
  assert.equal(rig.allocate(1, 'g'), null);
});

test('9, 10: a cancelled request fails at once, also while a vote is awaited', () => {
  const rig = new MeshRig([1], { init: { mode: 'consensus', peers: 3 } });
  const { allocator } = rig.get(1);
  const request = { ident: 'c1', subnet: null, watched: true };
  const id = allocator.allocate(request, rig.nowMs);
  allocator.cancel(id, rig.nowMs);
  rig.drain(rig.get(1));
  const text = 'Allocate request for c1 cancelled';
  const expected = { status: 'failed', code: 'ipam-cancelled', text };
  assert.deepEqual(rig.get(1).results.get(id), expected);
  assert.equal(allocator.gauges().pendingAllocates, 0);
});

test('11: the result tells whether an address is new, so that it can be undone', () => {
  const rig = new MeshRig([1]);
  const { allocator } = rig.get(1);
  const request = { ident: 'c1', subnet: null, watched: true };
  const ids = [allocator.allocate(request, 0), allocator.allocate(request, 0)];
  rig.drain(rig.get(1));
  const fresh = ids.map((id) => {
    const result = rig.get(1).results.get(id);
    return result?.status === 'granted' && result.request === 'allocate' && result.fresh;
  });
  assert.deepEqual(fresh, [true, false]);
});

test('12: addresses of workloads that are gone are found by comparing', () => {
  const rig = new MeshRig([1]);
  for (const ident of ['a', 'b', 'c']) rig.allocate(1, ident);
  rig.get(1).allocator.reconcileWorkloads(new Set(['b']), rig.nowMs);
  assert.deepEqual(rig.addressesOf(1), ['10.0.0.2']);
});

test('13: after a denial the next peer is asked at once, and each only once', () => {
  const rig = new MeshRig([1, 2, 3, 4], { universe: '10.0.0.0/28' });
  for (const name of [2, 3]) {
    for (let i = 0; i < 4; i++) rig.allocate(name, `${name}-${i}`);
  }
  // Peer 1 has not heard that the others have nothing left.
  rig.sent.length = 0;
  for (let i = 0; i < 3; i++) assert.notEqual(rig.allocate(1, `1-${i}`), null);
  const { allocator } = rig.get(1);
  const id = allocator.allocate({ ident: 'last', subnet: null, watched: true }, rig.nowMs);
  rig.drain(rig.get(1));
  rig.deliver();
  assert.match(`${rig.resultOf(1, id)}`, /^10\.0\.0\./);
});

test('13: the first and the last address of a subnet alone are not given away', () => {
  const rig = new MeshRig([1, 2], { universe: '10.0.0.0/29' });
  for (let i = 0; i < 3; i++) rig.allocate(2, `2-${i}`);
  for (let i = 0; i < 3; i++) rig.allocate(1, `1-${i}`);
  rig.gossip();
  assert.equal(rig.allocate(1, 'one more'), null);
  rig.deliver();
  assert.deepEqual(rig.ringOf(1), ['10.0.0.0 1', '10.0.0.4 2']);
});

test('14: a newcomer gets a half of what is free', () => {
  const rig = new MeshRig([1, 2], { init: { mode: 'seed', peers: [1] as never } });
  rig.allocate(1, 'c1');
  rig.allocate(2, 'd1');
  rig.deliver();
  assert.deepEqual(rig.ringOf(2), ['10.0.0.0 1', '10.0.0.128 2']);
});

test('15: claims of addresses side by side cost one grant', () => {
  const rig = new MeshRig([1, 2]);
  for (let last = 192; last < 200; last++) {
    const id = rig.claim(1, `c${last}`, `10.0.0.${last}`);
    rig.deliver();
    assert.equal(rig.resultOf(1, id), 'granted');
  }
  assert.equal(rig.ringOf(1).length, 4);
});

test('16: ring and holders are stored together', () => {
  const rig = new MeshRig([1]);
  rig.allocate(1, 'c1');
  const disk = rig.get(1).disk;
  assert.equal(disk?.owned.length, 1);
  assert.equal(disk?.ring.entries.length, 1);
  const again = rig.add(1, disk);
  assert.deepEqual(rig.addressesOf(1), ['10.0.0.1']);
  assert.equal(again.allocator.gauges().localUsed, 1);
});

test('17: stored data of another name or range is left to the caller, not used', () => {
  const disk = new MeshRig([1]).get(1).disk;
  const start = (universe: string, name: number) => {
    const rig = new MeshRig([], { universe, init: { mode: 'observer' } });
    const peer = rig.add(name, disk);
    return [peer.allocator.status(0).entries.length, peer.disk];
  };
  assert.deepEqual(start('10.0.0.0/24', 2), [0, disk]);
  assert.deepEqual(start('10.0.0.0/23', 1), [0, disk]);
});

test('20: a voter that restarts is the same voter and remembers its promise', () => {
  const rig = new MeshRig([1, 2], { init: { mode: 'consensus', peers: 3 } });
  rig.allocate(1, 'c1');
  const [proposal] = rig.sent.splice(0);
  const voter = rig.get(2);
  voter.allocator.onGossipBroadcast(proposal?.payload as Uint8Array, rig.get(1).name, rig.nowMs);
  rig.drain(voter);
  rig.sent.length = 0;
  const { disk } = voter;
  assert.equal(typeof disk?.vote, 'string');
  rig.add(2, disk);
  rig.gossip();
  assert.equal(rig.get(1).allocator.status(rig.nowMs).vote, null);
  const nodes = rig.ringOf(1).length;
  assert.equal(nodes, 2);
});

test('21: a request for a ring completes as soon as there is one', () => {
  const rig = new MeshRig([1], { init: { mode: 'consensus', peers: 1 } });
  const id = rig.get(1).allocator.prime(rig.nowMs);
  rig.drain(rig.get(1));
  assert.equal(rig.resultOf(1, id), 'granted');
});

test('22: a released address goes to who waits for it', () => {
  const rig = new MeshRig([1], { universe: '10.0.0.0/30' });
  assert.equal(rig.allocate(1, 'a'), '10.0.0.1');
  rig.allocate(1, 'b');
  const { allocator } = rig.get(1);
  const id = allocator.allocate({ ident: 'c', subnet: null, watched: true }, rig.nowMs);
  rig.free(1, 'a', '10.0.0.1');
  assert.equal(rig.resultOf(1, id), '10.0.0.1');
});

test('24: an allocation changes no version of the ring but now and then', () => {
  const rig = new MeshRig([1]);
  const version = (): number => rig.get(1).allocator.status(rig.nowMs).entries[0]?.version ?? -1;
  const before = version();
  for (let i = 0; i < 50; i++) rig.allocate(1, `c${i}`);
  assert.ok(version() <= before + 1);
  rig.pass(60 * SECOND);
  assert.ok(version() <= before + 3);
});

test('26: a claim in advance that the owner refuses is shown as a duplicate', () => {
  const rig = new MeshRig([1, 2]);
  assert.equal(rig.allocate(2, 'd1'), '10.0.0.128');
  rig.down.add(rig.get(2).name);
  assert.equal(rig.resultOf(1, rig.claim(1, 'c1', '10.0.0.128', true)), 'granted');
  rig.down.clear();
  rig.pass(10 * SECOND);
  const { allocator } = rig.get(1);
  assert.equal(allocator.gauges().duplicates, 1);
  assert.match(allocator.explain(rig.nowMs).join(), /10\.0\.0\.128 of c1 is in use twice/);
  rig.free(2, 'd1', '10.0.0.128');
  rig.pass(120 * SECOND);
  assert.equal(allocator.gauges().stranded, 0);
});

test('votes that nobody heard are told again within a second, without another proposal', () => {
  const rig = new MeshRig([1, 2, 3], { init: { mode: 'consensus', peers: 3 } });
  assert.equal(rig.allocate(1, 'a'), null);
  // Lost: the others were not in the mesh yet.
  rig.sent.length = 0;
  rig.pass(200);
  assert.deepEqual(rig.ringOf(1), []);
  rig.pass(600);
  const owners = new Set(rig.ringOf(1).map((entry) => entry.split(' ')[1]));
  assert.ok(owners.has('1') && owners.size >= 2, [...owners].join());
});
