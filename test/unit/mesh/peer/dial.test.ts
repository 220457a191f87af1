/** The connection maker under a clock that jumps from one wake-up to the next. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PeerName } from '../../../../core/peer-name.js';
import {
  Dialer,
  type DialerOptions,
  FIRST_INTERVAL_MS,
  MAX_DISCOVERED_ATTEMPTS,
  MAX_DISCOVERED_TARGETS,
  MAX_INTERVAL_MS,
} from '../../../../mesh/peer/dial.js';
import type { PeerEntry } from '../../../../mesh/topology-entry.js';
import { entry, link, linkMap, seededRandom } from '../../../support/topology.js';

const REFUSED = { code: 'econnrefused', text: 'connection refused' };
const ENDED = { code: 'closed', text: 'EOF', retry: 'later' } as const;
const OURSELF = { code: 'self', text: 'cannot connect to ourself', retry: 'never' } as const;

interface World {
  readonly connections: { remoteAddr: string; outbound: boolean }[];
  peers: readonly PeerEntry[];
  readonly connectedPeers: Set<PeerName>;
}

function setup(options: Partial<DialerOptions> = {}, seed = 1) {
  const world: World = { connections: [], peers: [], connectedPeers: new Set() };
  const self = 1 as PeerName;
  const view = () => ({ ...world, self, connectionCount: world.connections.length });
  const dialer = new Dialer(
    { ownPort: 6783, discovery: true, connLimit: 0, ...options },
    { random: seededRandom(seed), view },
  );
  return { world, dialer };
}

function dials(dialer: Dialer): string[] {
  const found: string[] = [];
  for (let action = dialer.pollAction(); action !== null; action = dialer.pollAction()) {
    found.push(`${action.address}${action.direct ? ' direct' : ''}`);
  }
  return found;
}

const item = (text: string, ip: string, port: number | null = null) => ({ text, ip, port });
const stateOf = (dialer: Dialer, address: string) =>
  dialer.targets().find((target) => target.address === address);

test('direct peers are dialled at once, with our own port unless they name one', () => {
  const { dialer } = setup({ ownPort: 7000 });
  dialer.connect(
    [item('a', '10.0.0.1'), item('b:9', '10.0.0.2', 9), item('c', 'fe80::1')],
    false,
    0,
  );
  assert.deepEqual(dials(dialer), [
    '10.0.0.1:7000 direct',
    '10.0.0.2:9 direct',
    '[fe80::1]:7000 direct',
  ]);
  assert.deepEqual(dialer.directTexts(), ['a', 'b:9', 'c']);
  assert.equal(dialer.nextTimeout(), null);
});

test('delays grow by half from about 2 s up to about 6 min, within the stated range', () => {
  const { dialer } = setup();
  dialer.connect([item('a', '10.0.0.1')], false, 0);
  let nowMs = 0;
  let intervalMs = FIRST_INTERVAL_MS;
  for (let attempt = 0; attempt < 30; attempt++) {
    assert.deepEqual(dials(dialer), ['10.0.0.1:6783 direct']);
    dialer.handleAttemptFailed('10.0.0.1:6783', REFUSED, nowMs);
    const delayMs = dialer.nextTimeout()!.atMs - nowMs;
    assert.ok(delayMs >= intervalMs / 2 && delayMs < intervalMs * 1.5, `${delayMs}`);
    intervalMs = Math.min(intervalMs * 1.5, MAX_INTERVAL_MS);
    dialer.handleTimeout(nowMs + delayMs - 1);
    assert.deepEqual(dials(dialer), []);
    nowMs += delayMs;
    dialer.handleTimeout(nowMs);
  }
  assert.equal(intervalMs, MAX_INTERVAL_MS);
  assert.deepEqual(stateOf(dialer, '10.0.0.1:6783')?.lastError, REFUSED);
});

test('a session of more than a minute is redialled at once, a shorter one later', () => {
  const { dialer, world } = setup();
  dialer.connect([item('a', '10.0.0.1')], false, 0);
  dials(dialer);
  world.connections.push({ remoteAddr: '10.0.0.1:6783', outbound: true });
  dialer.handleConnected('10.0.0.1:6783', 10);
  assert.equal(stateOf(dialer, '10.0.0.1:6783')?.state, 'connected');
  world.connections.pop();
  dialer.handleEnded('10.0.0.1:6783', ENDED, 60_001);
  assert.deepEqual(dials(dialer), ['10.0.0.1:6783 direct']);
  dialer.handleEnded('10.0.0.1:6783', ENDED, 60_002);
  assert.deepEqual(dials(dialer), []);
  const delayMs = dialer.nextTimeout()!.atMs - 60_002;
  assert.ok(delayMs >= 1000 && delayMs < 3000);
});

test('ourselves and colliding names are never tried again, until connect names them', () => {
  const { dialer } = setup();
  dialer.connect([item('a', '10.0.0.1')], false, 0);
  dials(dialer);
  dialer.handleEnded('10.0.0.1:6783', OURSELF, 1);
  assert.equal(dialer.nextTimeout(), null);
  assert.equal(stateOf(dialer, '10.0.0.1:6783')?.tryAtMs, 'never');
  dialer.refresh(1_000_000);
  assert.deepEqual(dials(dialer), []);
  dialer.connect([item('a', '10.0.0.1')], false, 1_000_001);
  assert.deepEqual(dials(dialer), ['10.0.0.1:6783 direct']);
});

test('a target is not wanted while a connection of ours has its address', () => {
  const { dialer, world } = setup();
  world.connections.push({ remoteAddr: '10.0.0.1:6783', outbound: true });
  dialer.connect([item('a', '10.0.0.1')], false, 0);
  assert.deepEqual(dials(dialer), []);
  world.connections.pop();
  dialer.refresh(1);
  assert.deepEqual(dials(dialer), ['10.0.0.1:6783 direct']);
});

test('an inbound connection from the host suffices only if no port was given', () => {
  const { dialer, world } = setup();
  world.connections.push({ remoteAddr: '10.0.0.1:40123', outbound: false });
  dialer.connect([item('a', '10.0.0.1'), item('a:6784', '10.0.0.1', 6784)], false, 0);
  assert.deepEqual(dials(dialer), ['10.0.0.1:6784 direct']);
});

test('an unwanted direct target is suspended and comes back; a discovered one is dropped', () => {
  const { dialer, world } = setup();
  world.peers = [entry(2, { connections: linkMap([link(3)]) })];
  dialer.connect([item('a', '10.0.0.1')], false, 0);
  dials(dialer);
  dialer.handleAttemptFailed('10.0.0.1:6783', REFUSED, 0);
  dialer.handleAttemptFailed('10.0.0.3:6783', REFUSED, 0);
  world.connections.push({ remoteAddr: '10.0.0.1:41000', outbound: false });
  world.peers = [];
  dialer.refresh(1);
  assert.deepEqual(
    dialer.targets().map(({ address, state }) => [address, state]),
    [['10.0.0.1:6783', 'suspended']],
  );
  assert.equal(dialer.nextTimeout(), null);
  world.connections.pop();
  dialer.refresh(10_000);
  assert.deepEqual(dials(dialer), ['10.0.0.1:6783 direct']);
});

test('replacing and forgetting leave sessions alone and end the redialling', () => {
  const { dialer, world } = setup();
  dialer.connect([item('a', '10.0.0.1'), item('b', '10.0.0.2')], false, 0);
  dials(dialer);
  world.connections.push({ remoteAddr: '10.0.0.1:6783', outbound: true });
  dialer.handleConnected('10.0.0.1:6783', 1);
  dialer.handleAttemptFailed('10.0.0.2:6783', REFUSED, 1);
  dialer.connect([item('c', '10.0.0.3')], true, 2);
  assert.deepEqual(dials(dialer), ['10.0.0.3:6783 direct']);
  assert.deepEqual(dialer.directTexts(), ['c']);
  assert.equal(stateOf(dialer, '10.0.0.2:6783'), undefined);
  assert.equal(stateOf(dialer, '10.0.0.1:6783')?.state, 'connected');
  world.connections.pop();
  dialer.handleEnded('10.0.0.1:6783', ENDED, 100_000);
  assert.equal(stateOf(dialer, '10.0.0.1:6783'), undefined);
  dialer.forget(['c', 'unheard of'], 100_001);
  dialer.handleAttemptFailed('10.0.0.3:6783', REFUSED, 100_002);
  assert.deepEqual(dialer.targets(), []);
  assert.equal(dialer.nextTimeout(), null);
});

test('discovery dials where others saw peers that we lack, inbound ones at our own port', () => {
  const { dialer, world } = setup({ ownPort: 7000 });
  world.connectedPeers.add(2 as PeerName);
  const links = [
    link(1, { remoteTcpAddr: '10.0.0.1:1' }),
    link(2, { remoteTcpAddr: '10.0.0.2:1' }),
    link(3, { remoteTcpAddr: '10.0.0.3:6999' }),
    link(4, { remoteTcpAddr: '10.0.0.4:51234', outbound: false }),
    link(5, { remoteTcpAddr: 'rubbish' }),
  ];
  const own = entry(1, { connections: linkMap([link(9)]) });
  world.peers = [own, entry(2, { connections: linkMap(links) })];
  dialer.refresh(0);
  assert.deepEqual(dials(dialer).sort(), ['10.0.0.3:6999', '10.0.0.4:7000']);
  assert.equal(dialer.counters['dial-addresses-refused'], 1);

  const quiet = setup({ discovery: false });
  quiet.world.peers = world.peers;
  quiet.dialer.refresh(0);
  assert.deepEqual(dials(quiet.dialer), []);
});

test('gossip cannot make us dial more than the limit of addresses', () => {
  const { dialer, world } = setup();
  const links = Array.from({ length: MAX_DISCOVERED_TARGETS + 100 }, (_, i) =>
    link(10 + i, { remoteTcpAddr: `10.1.${i >> 8}.${i & 255}:6783` }),
  );
  world.peers = [entry(2, { connections: linkMap(links) })];
  dialer.refresh(0);
  assert.equal(dialer.targets().length, MAX_DISCOVERED_TARGETS);
  assert.equal(dials(dialer).length, MAX_DISCOVERED_ATTEMPTS);
});

test('at the connection limit attempts wait', () => {
  const { dialer, world } = setup({ connLimit: 1 });
  world.connections.push({ remoteAddr: '10.0.0.9:6783', outbound: true });
  dialer.connect([item('a', '10.0.0.1')], false, 0);
  assert.deepEqual(dials(dialer), []);
  assert.equal(stateOf(dialer, '10.0.0.1:6783')?.lastError?.code, 'connection-limit');
  const { atMs } = dialer.nextTimeout()!;
  world.connections.pop();
  dialer.handleTimeout(atMs);
  assert.deepEqual(dials(dialer), ['10.0.0.1:6783 direct']);
});

test('reports about addresses that are no targets change nothing', () => {
  const { dialer } = setup();
  dialer.handleAttemptFailed('10.0.0.1:1', REFUSED, 0);
  dialer.handleConnected('10.0.0.1:1', 0);
  dialer.handleEnded('10.0.0.1:1', ENDED, 0);
  assert.deepEqual(dialer.targets(), []);
});

/**
 * A day of random outcomes. What must hold whatever happens: no address is dialled while an
 * attempt or session with it is under way, none before its time, none after `never`, and the
 * dialer never stops trying for good.
 */
function simulate(seed: number): void {
  const random = seededRandom(seed);
  const { dialer, world } = setup({}, seed + 1);
  const busy = new Map<string, number>();
  const dueAtMs = new Map<string, number>();
  const given = [1, 2, 3].map((n) => item(`host${n}`, `10.0.0.${n}`));
  const links = [4, 5].map((n) => link(n));
  world.peers = [entry(9, { connections: linkMap(links) })];
  world.connectedPeers.add(9 as PeerName);
  dialer.connect(given, false, 0);
  const dialled = new Set<string>();
  let nowMs = 0;
  for (let step = 0; step < 400; step++) {
    for (let action = dialer.pollAction(); action !== null; action = dialer.pollAction()) {
      const { address } = action;
      assert.ok(!busy.has(address), `seed ${seed}: ${address} dialled twice`);
      assert.ok(nowMs >= (dueAtMs.get(address) ?? 0), `seed ${seed}: ${address} too early`);
      busy.set(address, nowMs + random.float() * 20_000);
      dialled.add(address);
    }
    for (const [address, endsAtMs] of busy) {
      if (endsAtMs > nowMs) continue;
      const at = world.connections.findIndex((c) => c.remoteAddr === address);
      if (at < 0 && random.float() < 0.5) {
        busy.set(address, nowMs + random.float() * 200_000);
        world.connections.push({ remoteAddr: address, outbound: true });
        dialer.handleConnected(address, nowMs);
        continue;
      }
      busy.delete(address);
      if (at >= 0) world.connections.splice(at, 1);
      const target = stateOf(dialer, address)!;
      assert.ok(target.state === 'attempting' || target.state === 'connected');
      if (at >= 0) dialer.handleEnded(address, ENDED, nowMs);
      else dialer.handleAttemptFailed(address, REFUSED, nowMs);
      const { tryAtMs } = stateOf(dialer, address)!;
      dueAtMs.set(address, typeof tryAtMs === 'number' ? tryAtMs : nowMs);
    }
    const wakeUps = [...busy.values()];
    const timer = dialer.nextTimeout();
    if (timer !== null) wakeUps.push(timer.atMs);
    assert.ok(wakeUps.length > 0, `seed ${seed}: nothing left to wait for`);
    nowMs = Math.max(nowMs, Math.min(...wakeUps));
    dialer.handleTimeout(nowMs);
  }
  assert.equal(dialled.size, 5);
}

test('a day of random failures, seeded', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 2 ** 31 }), (seed) => simulate(seed)),
    { numRuns: 30 },
  );
});

test('invented addresses are dialled some at a time, direct peers beside them', () => {
  const { dialer, world } = setup();
  const count = 3 * MAX_DISCOVERED_ATTEMPTS;
  const links = Array.from({ length: count }, (_, i) =>
    link(i + 10, { remoteTcpAddr: `10.1.${i >> 8}.${i & 255}:6783` }),
  );
  world.peers = [entry(2, { connections: linkMap(links) })];
  dialer.refresh(0);
  const first = dials(dialer);
  assert.equal(first.length, MAX_DISCOVERED_ATTEMPTS);
  assert.equal(dialer.nextTimeout(), null, 'no timer for those that wait for a place');
  dialer.connect([item('a', '10.0.0.1')], false, 1);
  assert.deepEqual(dials(dialer), ['10.0.0.1:6783 direct']);
  const seen = new Set(first);
  for (let queue = first, i = 0; queue.length > 0; queue = dials(dialer), i++) {
    for (const address of queue) {
      seen.add(address);
      dialer.handleAttemptFailed(address, REFUSED, 2 + i);
    }
  }
  assert.equal(seen.size, count, 'each had its turn');
});

test('a large topology is not looked through for every connection that ends', () => {
  const { world } = setup();
  let looks = 0;
  const peers = Array.from({ length: 50 }, (_, p) =>
    entry(p + 2, { connections: linkMap(Array.from({ length: 50 }, (_, i) => link(i + 2))) }),
  );
  const view = () => ({ ...world, self: 1 as PeerName, connectionCount: 0 });
  const countingPeers = {
    [Symbol.iterator]: () => {
      looks++;
      return peers[Symbol.iterator]();
    },
  };
  const dialer = new Dialer(
    { ownPort: 6783, discovery: true, connLimit: 0 },
    { random: seededRandom(1), view: () => ({ ...view(), peers: countingPeers }) },
  );
  for (let i = 0; i < 1000; i++) dialer.refresh(0);
  assert.ok(looks <= 2, `${looks} walks over all peers`);
  const dueMs = dialer.nextTimeout()?.atMs ?? assert.fail('the last change is not forgotten');
  assert.ok(dueMs > 0 && dueMs < 100, `${dueMs}`);
  dialer.handleTimeout(dueMs);
  assert.ok(looks > 2);
});
