/** When tables are made anew, and that neither updates nor broadcasts can buy too much of it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Clock } from '../../../core/clock.js';
import type { PeerName } from '../../../core/peer-name.js';
import { RECALCULATION_DELAY_MS, RouteKeeper } from '../../../mesh/route-keeper.js';
import type { RoutedPeer } from '../../../mesh/routes.js';
import { seededRandom } from '../../support/topology.js';

/** Peer 1 is ours; each has links to the `width` next ones. */
function keeperOf(count: number, width: number, clock?: Clock) {
  const peers = new Map<PeerName, RoutedPeer>();
  for (let name = 1; name <= count; name++) {
    const links = Array.from({ length: width }, (_, i) => {
      const remotePeer = (((name + i) % count) + 1) as PeerName;
      return [remotePeer, { remotePeer, established: true }] as const;
    });
    peers.set(name as PeerName, { connections: new Map(links) });
  }
  let tables = 0;
  const keeper = new RouteKeeper(
    { localPeer: 1 as PeerName },
    { topology: { peers }, random: seededRandom(1), clock, onRecalculated: () => tables++ },
  );
  return { keeper, tables: () => tables };
}

test('a small topology has new tables when they are asked for', () => {
  const { keeper, tables } = keeperOf(5, 2);
  keeper.request(1000);
  assert.equal(keeper.nextTimeout()?.atMs, 1000 + RECALCULATION_DELAY_MS);
  assert.equal(keeper.current(1000), keeper.routes);
  assert.equal(tables(), 1);
  keeper.request(1000);
  assert.notEqual(keeper.current(1000), null, 'even at once');
  assert.equal(keeper.nextTimeout(), null);
});

test('a huge topology that changes all the time gets new tables with pauses', () => {
  const { keeper, tables } = keeperOf(2_000, 100);
  let refused = 0;
  for (let nowMs = 1000; nowMs < 2000; nowMs++) {
    keeper.request(nowMs);
    if (keeper.current(nowMs) === null) refused++;
    keeper.forGossip(nowMs);
    const next = keeper.nextTimeout();
    if (next !== null && next.atMs <= nowMs) keeper.handleTimeout(nowMs);
  }
  assert.ok(tables() >= 5 && tables() <= 11, `${tables()} tables in a second`);
  assert.ok(refused > 900);
});

test('broadcasts of ever new sources do not walk a huge topology without end', () => {
  const { keeper } = keeperOf(2_000, 100);
  const ask = (nowMs: number): number => {
    const { broadcastHops } = keeper.forGossip(nowMs);
    let answered = 0;
    for (let source = 2; source <= 2_000; source++) {
      if (broadcastHops(source as PeerName).length > 0) answered++;
    }
    return answered;
  };
  keeper.current(0);
  ask(0);
  const refused = keeper.walksRefused;
  assert.ok(refused > 1000, `${refused}`);
  ask(1000);
  assert.ok(keeper.walksRefused - refused < refused, 'the others have their turn later');
});

test('walks for broadcasts take a tenth of a processor, however slow it is', () => {
  // Each look at the clock finds it further, so that a walk takes so long.
  for (const walkMs of [1, 40, 700]) {
    let readMs = 0;
    const nowMs = (): number => {
      readMs += walkMs;
      return readMs;
    };
    const { keeper } = keeperOf(3_000, 3, { nowMs, wallMs: nowMs });
    let walks = 0;
    let source = 2;
    for (let atMs = 0; atMs <= 60_000; atMs += 20) {
      const before = keeper.walksRefused;
      keeper.forGossip(atMs).broadcastHops(source as PeerName);
      if (keeper.walksRefused === before) {
        walks++;
        source++;
      }
      if (source === 2_990) break;
    }
    const spentMs = walks * walkMs;
    assert.ok(spentMs <= 250 + 6_000 + walkMs, `${walks} walks of ${walkMs} ms in a minute`);
    assert.ok(source === 2_990 || spentMs > 5_000, `${walks} of ${walkMs} ms is not the share`);
    const refused = keeper.walksRefused;
    for (let i = 0; i < 1_000; i++) keeper.forGossip(60_000).broadcastHops(2 as PeerName);
    assert.equal(keeper.walksRefused, refused, 'what is known costs nothing');
  }
});

test('a huge topology on a slow machine gets new tables with longer pauses', () => {
  let readMs = 0;
  const nowMs = (): number => {
    readMs += 400;
    return readMs;
  };
  const { keeper, tables } = keeperOf(2_000, 100, { nowMs, wallMs: nowMs });
  for (let atMs = 1_000; atMs < 11_000; atMs += 5) {
    keeper.request(atMs);
    keeper.current(atMs);
  }
  assert.ok(tables() >= 5 && tables() <= 10, `${tables()} tables in ten seconds`);
});
