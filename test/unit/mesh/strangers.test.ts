/** What strangers can use up: accepts, log lines, remembered refusals, channels, sessions. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { utf8 } from '../../../core/bytes.js';
import { type Logger, silentLogger } from '../../../core/log.js';
import type { PeerName } from '../../../core/peer-name.js';
import {
  ACCEPT_BURST,
  ACCEPT_INTERVAL_MS,
  AcceptGate,
  MAX_EARLY_BYTES,
  MAX_WAITING,
} from '../../../mesh/accept-gate.js';
import { Gossip, MAX_SURROGATES } from '../../../mesh/gossip.js';
import { LimitedLog } from '../../../mesh/limited-log.js';
import { Mesh } from '../../../mesh/mesh.js';
import type { MeshAction } from '../../../mesh/mesh-types.js';
import { MAX_REFUSALS, REFUSAL_MEMORY_MS, RecentRefusals } from '../../../mesh/refusals.js';
import { MAX_INTRODUCING } from '../../../mesh/session.js';
import { SeededRandom } from '../../sim/seeded-random.js';

const caller = (connId: number) => ({
  connId,
  remoteAddr: `198.51.100.7:${connId}`,
  localAddr: '192.0.2.1:6783',
});

function newMesh(): Mesh {
  return new Mesh(
    {
      name: 1 as PeerName,
      nickname: 'n',
      uid: 1n,
      shortId: 1,
      port: 6783,
      password: null,
      minVersion: 1,
      maxVersion: 2,
      discovery: true,
      connLimit: 200,
      trustedSubnets: [],
      ciphers: ['aes-256-gcm', 'nacl'],
      extraFeatures: {},
    },
    {
      random: new SeededRandom(1),
      overlays: [
        {
          name: 'sleeve',
          onEvent: () => {},
          prepare: () => {},
          confirm: () => {},
          handleControl: () => {},
          stop: () => {},
          setForwarding: () => {},
          forgetPeer: () => {},
        },
      ],
      log: silentLogger,
    },
  );
}

test('a burst of callers comes in at once, then one per 50 ms', () => {
  const gate = new AcceptGate();
  for (let i = 1; i <= ACCEPT_BURST + 3; i++) assert.equal(gate.add(caller(i)), null);
  let entered = 0;
  while (gate.take(1000) !== null) entered++;
  assert.equal(entered, ACCEPT_BURST);
  const next = gate.nextTimeout(1000);
  assert.equal(next?.atMs, 1000 + ACCEPT_INTERVAL_MS);
  assert.equal(gate.take(1000 + ACCEPT_INTERVAL_MS)?.caller.connId, ACCEPT_BURST + 1);
  assert.equal(gate.remove(ACCEPT_BURST + 2), true);
  assert.equal(gate.take(2000)?.caller.connId, ACCEPT_BURST + 3);
  assert.equal(gate.nextTimeout(2000), null);
});

test('whoever waits until the time named comes in then, at whatever odd times', () => {
  const random = new SeededRandom(3);
  const gate = new AcceptGate();
  let nowMs = 1000;
  for (let i = 1; i <= 500; i++) {
    gate.add(caller(i));
    nowMs += random.float();
    if (gate.take(nowMs) !== null) continue;
    nowMs = gate.nextTimeout(nowMs)?.atMs ?? assert.fail('nobody waits');
    assert.notEqual(gate.take(nowMs), null, `at ${nowMs}`);
  }
});

test('of too many waiting callers the oldest has to go', () => {
  const gate = new AcceptGate();
  for (let i = 1; i <= MAX_WAITING; i++) gate.add(caller(i));
  assert.equal(gate.add(caller(500))?.connId, 1);
  assert.equal(gate.waitingCount, MAX_WAITING);
});

test('a flood from one address pushes out none of the others', () => {
  const gate = new AcceptGate();
  gate.add({ ...caller(1), remoteAddr: '203.0.113.1:5000' });
  gate.add({ ...caller(2), remoteAddr: '[2001:db8::1]:5000' });
  for (let i = 3; i <= 1000; i++) {
    const evicted = gate.add(caller(i));
    if (evicted !== null) assert.equal(evicted.remoteAddr.startsWith('198.51.100.7:'), true);
  }
  assert.equal(gate.take(0)?.caller.connId, 1);
  assert.equal(gate.take(0)?.caller.connId, 2);
});

test('what a waiting caller says is kept for its session, within limits', () => {
  const gate = new AcceptGate();
  gate.add(caller(1));
  assert.equal(gate.hold(1, utf8('wea')), true);
  assert.equal(gate.hold(1, utf8('ve')), true);
  assert.equal(gate.hold(7, utf8('somebody else')), true);
  assert.equal(gate.hold(1, new Uint8Array(MAX_EARLY_BYTES)), false);
  assert.deepEqual(gate.take(0)?.early, utf8('weave'));
});

test('a caller that says its header while it waits is understood', () => {
  const mesh = newMesh();
  const written = new Set<number>();
  const closed = new Set<number>();
  const poll = (): void => {
    for (let next = mesh.pollAction(); next !== null; next = mesh.pollAction()) {
      if (next.type === 'write' && next.bytes.length === 1) written.add(next.connId);
      if (next.type === 'close') closed.add(next.connId);
    }
  };
  mesh.start(0);
  const count = ACCEPT_BURST + 5;
  for (let connId = 1; connId <= count; connId++) {
    mesh.handleAccepted(caller(connId), 0);
    poll();
    mesh.handleBytes(connId, Uint8Array.of(...utf8('weave'), 1, 2), 0);
    poll();
  }
  mesh.handleAccepted(caller(900), 0);
  mesh.handleBytes(900, new Uint8Array(MAX_EARLY_BYTES + 1), 0);
  poll();
  assert.deepEqual([...closed], [900]);
  for (let i = 1; i <= 6; i++) {
    mesh.handleTimeout(i * ACCEPT_INTERVAL_MS);
    poll();
  }
  assert.equal(written.size, count, 'each got our encryption flag, the answer to its header');
});

test('log lines of one kind are thinned out, and say how many were left out', () => {
  const lines: string[] = [];
  const log: Logger = {
    ...silentLogger,
    info: (text, fields) => lines.push(`${text} ${JSON.stringify(fields)}`),
  };
  const limited = new LimitedLog({ log });
  for (let i = 0; i < 50; i++) limited.info('kind', 'refused', { i }, 1000);
  assert.equal(lines.length, 10);
  limited.info('other', 'else', {}, 1000);
  limited.info('kind', 'refused', {}, 12_000);
  assert.deepEqual(lines.slice(10), ['else {}', 'refused {"suppressed":40}']);
});

test('refusals are kept per address, for minutes, and bounded', () => {
  const refusals = new RecentRefusals();
  const refusal = (port: number) => ({ address: `192.0.2.1:${port}`, code: 'c', text: 't' });
  refusals.note('192.0.2.1', refusal(1), 0);
  refusals.note('192.0.2.1', refusal(2), 10);
  assert.deepEqual(refusals.list(20), [refusal(2)]);
  assert.deepEqual(refusals.list(11 + REFUSAL_MEMORY_MS), []);
  for (let i = 0; i < MAX_REFUSALS + 5; i++) refusals.note(`ip${i}`, refusal(i), 0);
  assert.equal(refusals.list(0).length, MAX_REFUSALS);
  refusals.forget('ip30');
  assert.equal(refusals.list(0).length, MAX_REFUSALS - 1);
});

test('invented channels get surrogates up to a limit', () => {
  const gossip = new Gossip(
    { localPeer: 1 as PeerName },
    {
      routes: () => ({
        unicastHop: () => undefined,
        broadcastHops: () => [],
        randomNeighbours: () => [],
      }),
      connectionTo: () => undefined,
    },
  );
  const say = (channel: string) =>
    gossip.handleMessage(
      1,
      { kind: 'gossip', channel, source: 2 as PeerName, payload: utf8('x') },
      0,
    );
  for (let i = 0; i < MAX_SURROGATES + 7; i++) say(`channel-${i}`);
  say('n'.repeat(1000));
  assert.equal(gossip.counters['gossip-surrogate-refused'], 7);
  assert.equal(gossip.counters['gossip-channel-name-too-long'], 1);
});

test('silent callers are limited in number and in time', () => {
  const mesh = newMesh();
  const actions: MeshAction[] = [];
  const poll = (): void => {
    for (let next = mesh.pollAction(); next !== null; next = mesh.pollAction()) actions.push(next);
  };
  mesh.start(0);
  let nowMs = 0;
  for (let connId = 1; connId <= 300; connId++) {
    nowMs += ACCEPT_INTERVAL_MS / 2;
    mesh.handleAccepted(caller(connId), nowMs);
    poll();
    mesh.handleTimeout(nowMs);
    poll();
  }
  const closed = actions.filter(({ type }) => type === 'close').length;
  assert.ok(300 - closed <= MAX_INTRODUCING + MAX_WAITING, `${closed} were closed`);
  for (let next = mesh.nextTimeout(); next !== null && next.atMs < nowMs + 20_000; ) {
    mesh.handleTimeout(next.atMs);
    poll();
    next = mesh.nextTimeout();
  }
  const ids = new Set(actions.flatMap((a) => (a.type === 'close' ? [a.connId] : [])));
  assert.equal(ids.size, 300, 'all have gone after the header deadline');
  assert.deepEqual(mesh.status(nowMs, 0).connections, [], 'silent ones are no routers');
});
