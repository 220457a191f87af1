/** Learning, moving, ageing and the bounds of the MAC table. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PeerName } from '../../../core/peer-name.js';
import { MacTable, TAKEOVER_GUARD_MS } from '../../../fastdp/mac-table.js';
import { MAC_A, MAC_ALL, MAC_B } from './frames.js';

const LOCAL = 1 as PeerName;
const P = 2 as PeerName;
const Q = 3 as PeerName;

test('addresses are learnt, and group and zero addresses are not', () => {
  const table = new MacTable({ localPeer: LOCAL });
  assert.ok(table.learnLocal(MAC_A, 0));
  table.learnRemote(MAC_B, P, 0);
  table.learnRemote(MAC_ALL, P, 0);
  table.learnRemote(0x0100_5e00_0001, P, 0);
  assert.ok(table.learnLocal(0, 0));
  assert.equal(table.lookup(MAC_A), LOCAL);
  assert.equal(table.lookup(MAC_B), P);
  assert.equal(table.lookup(MAC_ALL), -1);
  assert.equal(table.size, 2);
});

test('a remote address moves with the first frame from elsewhere', () => {
  const table = new MacTable({ localPeer: LOCAL });
  table.learnRemote(MAC_A, P, 0);
  table.learnRemote(MAC_A, Q, 1);
  assert.equal(table.lookup(MAC_A), Q);
  table.learnLocal(MAC_B, 2);
  table.learnRemote(MAC_B, P, 3);
  assert.equal(table.lookup(MAC_B), P);
  assert.equal(table.moves, 2);
  table.forgetPeer(P);
  assert.equal(table.lookup(MAC_B), -1);
  assert.equal(table.size, 1);
});

test('our bridge takes an address over once its peer is silent, not from a reflection', () => {
  const table = new MacTable({ localPeer: LOCAL });
  table.learnRemote(MAC_A, P, 0);
  for (let ms = 0; ms < 10_000; ms += 500) {
    table.learnRemote(MAC_A, P, ms);
    assert.equal(table.learnLocal(MAC_A, ms + 3), false, 'our injection came back');
  }
  const lastMs = 9_500;
  assert.equal(table.learnLocal(MAC_A, lastMs + TAKEOVER_GUARD_MS - 1), false);
  assert.equal(table.lookup(MAC_A), P);
  assert.equal(table.learnLocal(MAC_A, lastMs + TAKEOVER_GUARD_MS), true);
  assert.equal(table.lookup(MAC_A), LOCAL);
  assert.equal(table.moves, 1);
});

test('entries leave ten minutes after their last refresh', () => {
  const table = new MacTable({ localPeer: LOCAL });
  assert.equal(table.nextTimeout(), null);
  table.learnRemote(MAC_A, P, 0);
  table.learnRemote(MAC_B, P, 0);
  let nowMs = 0;
  const scan = () => {
    nowMs = table.nextTimeout()?.atMs ?? Number.NaN;
    table.handleTimeout(nowMs);
  };
  for (let i = 0; i < 9; i++) {
    scan();
    table.learnRemote(MAC_B, P, nowMs);
  }
  scan();
  scan();
  assert.equal(table.lookup(MAC_A), -1);
  assert.equal(table.lookup(MAC_B), P);
  assert.equal(table.status(nowMs)[0]?.ageMs, 2 * 60_000);
  for (let i = 0; i < 9; i++) scan();
  assert.equal(table.size, 0);
  assert.equal(table.nextTimeout(), null);
});

test('a peer that makes up addresses only loses its own', () => {
  const table = new MacTable({ localPeer: LOCAL, maxMacs: 40, maxMacsPerPeer: 10 });
  table.learnRemote(MAC_A, P, 0);
  table.learnLocal(MAC_B, 0);
  for (let i = 0; i < 1000; i++) table.learnRemote(0x0600_0000_0000 + i, Q, i);
  assert.equal(table.size, 12);
  assert.equal(table.lookup(MAC_A), P);
  assert.equal(table.lookup(MAC_B), LOCAL);
  assert.equal(table.lookup(0x0600_0000_0000 + 999), Q);
  assert.equal(table.lookup(0x0600_0000_0000 + 989), -1);
});

test('when all is full the largest peer gives way', () => {
  const table = new MacTable({ localPeer: LOCAL, maxMacs: 4, maxMacsPerPeer: 3 });
  for (let i = 1; i <= 3; i++) table.learnRemote(i * 16, P, i);
  table.learnRemote(MAC_A, Q, 4);
  table.learnLocal(MAC_B, 5);
  assert.equal(table.size, 4);
  assert.equal(table.lookup(16), -1);
  assert.equal(table.lookup(MAC_A), Q);
});

test('any history keeps the bounds and the two indexes in step', () => {
  const step = fc.record({
    mac: fc.integer({ min: 1, max: 12 }),
    peer: fc.integer({ min: 1, max: 4 }),
    afterMs: fc.constantFrom(0, 10, 3_000, 70_000, 700_000),
    forget: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const table = new MacTable({ localPeer: LOCAL, maxMacs: 6, maxMacsPerPeer: 4 });
      let nowMs = 0;
      for (const { mac, peer, afterMs, forget } of steps) {
        nowMs += afterMs;
        table.handleTimeout(nowMs);
        if (forget && peer > 3) table.forgetPeer(P);
        else if (peer === LOCAL) table.learnLocal(mac, nowMs);
        else table.learnRemote(mac, peer as PeerName, nowMs);
        assert.ok(table.size <= 6);
        const status = table.status(nowMs);
        assert.equal(status.length, table.size);
        for (const entry of status) assert.equal(table.lookup(entry.mac), entry.peer);
        for (const owner of [1, 2, 3, 4]) {
          assert.ok(status.filter((entry) => entry.peer === owner).length <= 4);
        }
      }
      for (const owner of [1, 2, 3, 4]) table.forgetPeer(owner as PeerName);
      assert.equal(table.size, 0);
    }),
  );
});
