/** Routers with several threads, with each other and with one that has one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LANE_MARK } from '../../../fastdp/lane-mark.js';
import { readU32 } from '../../../fastdp/wire.js';
import { RecordingAead } from './fake-aead.js';
import { MAC_A, MAC_B } from './frames.js';
import { aead } from './network.js';
import { ALL_CIPHERS, arp, KEY, NAME_A, NAME_B, udp } from './pair.js';
import { type Thread, ThreadedPair, type ThreadedRouter } from './threads.js';

const THREADS = [
  [2, 3],
  [3, 1],
  [1, 2],
] as const;

/** The search for the path MTU begins with a datagram that the system refuses. */
const ONE_PROBE = { 'send-too-big': 1 };

function capture(pair: ThreadedPair, thread: Thread, ...frames: Uint8Array[]): void {
  for (const frame of frames) {
    thread.plane.handleFrame(frame.slice(), 0, frame.length, pair.nowMs);
  }
  thread.plane.flush(pair.nowMs);
}

/** Frames that came to the bridge since the last time, by thread. */
function injected(router: ThreadedRouter): number[] {
  return router.threads.map(({ tap }) => tap.frames.splice(0).length);
}

/** Both workloads have been heard. */
function greet(pair: ThreadedPair): void {
  capture(pair, pair.a.primary, arp(MAC_A));
  pair.settle();
  capture(pair, pair.b.primary, arp(MAC_B));
  pair.settle();
  for (const router of [pair.a, pair.b]) injected(router);
}

for (const cipher of ALL_CIPHERS) {
  for (const [left, right] of THREADS) {
    test(`${left} and ${right} threads, ${cipher}: frames of every thread arrive`, () => {
      const pair = new ThreadedPair(
        { name: NAME_A, threads: left },
        { name: NAME_B, threads: right },
        cipher,
        KEY,
      );
      const { a, b } = pair;
      for (const { events } of [a, b]) {
        assert.ok(events.some(({ type }) => type === 'established'));
        assert.ok(!events.some(({ type }) => type === 'failed'));
      }
      greet(pair);
      for (const [i, thread] of a.threads.entries()) {
        capture(pair, thread, ...Array.from({ length: 10 }, () => udp(1300, true)));
        pair.settle();
        const expected = b.threads.map(() => 0);
        expected[cipher === 'aes-256-gcm' ? i % right : 0] = 10;
        assert.deepEqual(injected(b), expected, `thread ${i}`);
      }
      for (const router of [a, b]) assert.deepEqual(router.drops(pair.nowMs), ONE_PROBE);
    });
  }
}

test('a neighbour that takes one lane gets everything from the primary, in order', () => {
  const pair = new ThreadedPair(
    { name: NAME_A, threads: 3 },
    { name: NAME_B, threads: 1, lanes: 1 },
    'aes-256-gcm',
    KEY,
  );
  greet(pair);
  const { a, b } = pair;
  for (let i = 0; i < 50; i++) {
    const frame = udp(1000, true);
    frame[60] = i;
    capture(pair, a.thread(1 + (i % 2)), frame);
  }
  pair.settle();
  const numbers = b.primary.tap.frames.map((frame) => frame[60] as number);
  assert.equal(numbers.length, 50);
  for (const parity of [0, 1]) {
    const own = numbers.filter((number) => number % 2 === parity);
    assert.deepEqual(
      own,
      [...own].sort((x, y) => x - y),
    );
  }
  const sealed = a.threads.map(({ plane }) => plane.status(pair.nowMs).datagramsSealed);
  assert.deepEqual(sealed.slice(1), [0, 0]);
});

test('a ring that is full loses frames, counted, and nothing else', () => {
  const pair = new ThreadedPair(
    { name: NAME_A, threads: 2, ringBytes: 8192 },
    { name: NAME_B, threads: 1, lanes: 1 },
    'aes-256-gcm',
    KEY,
  );
  greet(pair);
  capture(pair, pair.a.thread(1), ...Array.from({ length: 20 }, () => udp(1300, true)));
  const lost = pair.a.drops(pair.nowMs)['ring-full'] as number;
  assert.ok(lost > 10 && lost < 20, String(lost));
  pair.settle();
  assert.deepEqual(injected(pair.b), [20 - lost]);
  capture(pair, pair.a.thread(1), udp(1300, true));
  pair.settle();
  assert.deepEqual(injected(pair.b), [1]);
});

test('no nonce comes twice over all threads and changes of keys; stop wipes every key', () => {
  const cipher = new RecordingAead(aead);
  const keyLimits = { datagrams: 7, bytes: 2 ** 40, intervalMs: 1e9 };
  const pair = new ThreadedPair(
    { name: NAME_A, threads: 3, keyLimits, aead: cipher },
    { name: NAME_B, threads: 2, keyLimits, aead: cipher },
    'aes-256-gcm',
    KEY,
  );
  greet(pair);
  const { a, b } = pair;
  for (let i = 0; i < 90; i++) {
    capture(pair, a.thread(i % 3), udp(1300, true));
    capture(pair, b.thread(i % 2), udp(1300, true, MAC_B, MAC_A));
    pair.settle();
  }
  const arrived = [a, b].map((router) => injected(router).reduce((sum, count) => sum + count, 0));
  assert.deepEqual(arrived, [90, 90]);
  assert.equal(new Set(cipher.nonces).size, cipher.nonces.length);
  for (const { plane } of [...a.threads, ...b.threads]) plane.stop(1);
  assert.equal(cipher.alive, 0);
  assert.ok(cipher.secrets.every((secret) => secret.every((byte) => byte === 0)));
});

test('what one thread learns all know, and a workload that moves is followed', () => {
  const pair = new ThreadedPair(
    { name: NAME_A, threads: 3 },
    { name: NAME_B, threads: 3 },
    'aes-256-gcm',
    KEY,
  );
  const { a, b } = pair;
  capture(pair, b.thread(2), arp(MAC_B));
  pair.settle();
  for (const router of [a, b]) {
    for (const { plane } of router.threads) {
      assert.deepEqual(
        plane.status(pair.nowMs).macs.map(({ mac, peer }) => [mac, peer]),
        [[MAC_B, b.name]],
      );
    }
  }
  // The workload turns up at the other end: after the time that tells it from a reflection.
  pair.settle(3000);
  capture(pair, a.thread(1), arp(MAC_B));
  pair.settle(600);
  capture(pair, a.thread(1), arp(MAC_B));
  pair.settle();
  for (const { plane } of [...a.threads, ...b.threads]) {
    assert.equal(plane.status(pair.nowMs).macs[0]?.peer, a.name);
  }
});

test('a datagram in the clear that looks like one of a lane reaches the primary', () => {
  const name = 0x7a01_0000_0000 + LANE_MARK + 1;
  const pair = new ThreadedPair({ name, threads: 1 }, { name: NAME_B, threads: 2 }, 'none', KEY);
  const { a, b } = pair;
  capture(pair, b.primary, arp(MAC_B));
  pair.settle();
  injected(a);
  capture(pair, a.primary, udp(1300, true));
  const [sent] = a.primary.datagrams.sent;
  assert.equal(readU32(sent?.bytes as Uint8Array, 8), LANE_MARK + 1);
  assert.equal(b.receiverOf(sent?.bytes as Uint8Array), b.thread(1));
  pair.settle();
  assert.deepEqual(injected(b), [1, 0]);
  assert.deepEqual(b.drops(pair.nowMs), ONE_PROBE);
  assert.ok(b.events.some(({ type }) => type === 'established'));
});

test('a path that narrows under a follower is known to all threads', () => {
  const pair = new ThreadedPair(
    { name: NAME_A, threads: 3 },
    { name: NAME_B, threads: 1 },
    'aes-256-gcm',
    KEY,
  );
  greet(pair);
  const { a, b } = pair;
  a.systemMtu = 1300;
  capture(pair, a.thread(2), udp(1400, true));
  for (let i = 0; i < 20; i++) pair.settle(10);
  assert.deepEqual(injected(b), [0]);
  for (const [i, thread] of a.threads.entries()) {
    thread.tap.frames.length = 0;
    capture(pair, thread, udp(1400, true));
    pair.settle();
    // ICMP to the workload instead of the frame.
    assert.deepEqual([thread.tap.frames.length, injected(b)], [1, [0]], `thread ${i}`);
    capture(pair, thread, udp(1200, true));
    pair.settle();
    assert.deepEqual(injected(b), [1]);
  }
});

test('large datagrams of a follower have the path verified', () => {
  const pair = new ThreadedPair(
    { name: NAME_A, threads: 2 },
    { name: NAME_B, threads: 1 },
    'aes-256-gcm',
    KEY,
  );
  greet(pair);
  for (let i = 0; i < 10; i++) pair.settle(1000);
  const sealed = (): number => pair.a.primary.plane.status(pair.nowMs).datagramsSealed;
  const before = sealed();
  for (let i = 0; i < 5; i++) pair.settle(1000);
  assert.equal(sealed(), before, 'an idle path is left alone');
  capture(pair, pair.a.thread(1), udp(1300, true));
  for (let i = 0; i < 5; i++) pair.settle(1000);
  assert.ok(sealed() > before, 'the primary sent a test');
});

test('frames for a link that is gone are dropped and counted', () => {
  const pair = new ThreadedPair(
    { name: NAME_A, threads: 2 },
    { name: NAME_B, threads: 1, lanes: 1 },
    'aes-256-gcm',
    KEY,
  );
  greet(pair);
  capture(pair, pair.a.thread(1), udp(1300, true));
  pair.a.primary.plane.stop(1);
  pair.settle();
  assert.deepEqual(injected(pair.b), [0]);
  assert.equal(pair.a.drops(pair.nowMs)['no-connection'], 1);
});

test('a lane that carries little, and loses all of it, keeps up with its keys', () => {
  const keyLimits = { datagrams: 2 ** 30, bytes: 2 ** 40, intervalMs: 30_000 };
  const pair = new ThreadedPair(
    { name: NAME_A, threads: 2, keyLimits },
    { name: NAME_B, threads: 2 },
    'aes-256-gcm',
    KEY,
  );
  greet(pair);
  const { a, b } = pair;
  // Whole frames of the second lane are lost, over several changes of its keys.
  pair.isLost = (bytes) => readU32(bytes, 8) === LANE_MARK + 1 && bytes.length > 1000;
  for (let i = 0; i < 30; i++) {
    capture(pair, a.thread(1), udp(1300, true));
    pair.settle(10_000);
  }
  assert.deepEqual(injected(b), [0, 0]);
  pair.isLost = () => false;
  capture(pair, a.thread(1), udp(1300, true));
  pair.settle();
  assert.deepEqual(injected(b), [0, 1]);
  assert.equal(b.drops(pair.nowMs)['epoch-unknown'], undefined);
  const changes = (end: typeof a): number[] =>
    end.threads.map(({ plane }) => plane.status(pair.nowMs).keyChanges);
  for (const count of changes(a)) assert.ok(count >= 9 && count <= 11, `${count} in 300 s`);
  assert.deepEqual(changes(b), [0, 0]);
});
