/** Changes of keys: when the sender moves on, and how the receiver follows through any weather. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { toHex } from '../../../core/bytes.js';
import type { PeerName } from '../../../core/peer-name.js';
import { DropReason } from '../../../fastdp/drop-reason.js';
import { type EpochKeys, KeyChain } from '../../../fastdp/key-chain.js';
import {
  KEY_LIMITS,
  type KeyLimits,
  PREVIOUS_KEY_MS,
  ReceiveKeys,
  SendKeys,
} from '../../../fastdp/key-schedule.js';
import type { AeadFactory } from '../../../fastdp/ports.js';
import { readU16, writeU16, writeU48 } from '../../../fastdp/wire.js';
import { MIN_REKEY_INTERVAL_MS } from '../../../router/data-plane-options.js';
import { loadAead } from '../../../sys/libcrypto.js';
import { RecordingAead } from './fake-aead.js';
import { KEY, NAME_A, NAME_B } from './pair.js';

const MINUTE = 60_000;
const aead = loadAead();
const options = {
  sessionKey: KEY,
  connectionUid: 99n,
  sender: NAME_A as PeerName,
  receiver: NAME_B as PeerName,
};
const NEVER: KeyLimits = { datagrams: 2 ** 30, bytes: 2 ** 40, intervalMs: 1e12 };

/** Both ends of one direction. */
class Direction {
  readonly send: SendKeys;
  readonly receive: ReceiveKeys;
  nowMs = 0;
  /** Changes the sender told of. */
  changes = 0;

  constructor(limits: Partial<KeyLimits> = {}, cipher: AeadFactory = aead, chain = options) {
    this.send = new SendKeys(
      chain,
      { ...NEVER, ...limits },
      {
        aead: cipher,
        onKeyChange: () => void this.changes++,
      },
    );
    this.receive = new ReceiveKeys(chain, { aead: cipher });
    this.send.start(0);
  }

  seal(text = 'x'): Uint8Array {
    const datagram = new Uint8Array(16 + text.length + 16);
    writeU48(datagram, 0, NAME_A);
    datagram.set(Buffer.from(text), 16);
    this.send.seal(datagram, 0, text.length);
    return datagram;
  }

  /** Text, or why not. The datagram itself stays as it is. */
  open(datagram: Uint8Array): string | DropReason {
    const buffer = new Uint8Array(datagram.length + 3);
    buffer.set(datagram, 3);
    const reason = this.receive.open(buffer, 3, datagram.length, this.nowMs);
    if (reason !== DropReason.none) return reason;
    return Buffer.from(buffer.subarray(19, 3 + datagram.length - 16)).toString();
  }

  /** Lets timers run that are due by then. */
  wait(ms: number): void {
    const endMs = this.nowMs + ms;
    for (const keys of [this.send, this.receive]) {
      for (let next = keys.nextTimeout(); next !== null; next = keys.nextTimeout()) {
        if (next.atMs > endMs) break;
        keys.handleTimeout(next.atMs);
      }
    }
    this.nowMs = endMs;
  }
}

test('a key serves so many datagrams, then the next one takes over', () => {
  const there = new Direction({ datagrams: 3 });
  const epochs = [];
  for (let i = 0; i < 10; i++) {
    const datagram = there.seal(`text ${i}`);
    assert.equal(there.open(datagram), `text ${i}`);
    epochs.push(readU16(datagram, 6), datagram[15]);
  }
  assert.deepEqual(epochs, [0, 0, 0, 1, 0, 2, 1, 0, 1, 1, 1, 2, 2, 0, 2, 1, 2, 2, 3, 0]);
  assert.equal(there.receive.epoch, 3);
});

/**
 * Session key 07…07, connection 99, from a to b, text "weave"; one datagram a key.
 * Made by another implementation of README.md, over Python's cryptography.
 */
const GOLDEN = [
  '82000000000100000000000000000000a5de01412637d9fd1d4c80bfbdd882655a0596f487',
  '8200000000010001000000000000000014d9cb0318493bc2ceaa91e8116b5c9c3806e82626',
  '82000000000100020000000000000000e97ea66761ab75aee9ea07336cef48ecb5a8ed39d9',
];

test('golden: datagrams of the first three epochs, byte for byte', () => {
  const there = new Direction({ datagrams: 1 });
  assert.deepEqual(
    GOLDEN.map(() => toHex(there.seal('weave'))),
    GOLDEN,
  );
});

test('a key serves so many bytes', () => {
  const there = new Direction({ bytes: 10 });
  const epochs = ['12345', '1234', '1', '1234567890', 'x'].map((text) => {
    assert.equal(there.open(there.seal(text)), text);
    return there.send.epoch;
  });
  assert.deepEqual(epochs, [0, 0, 0, 1, 2]);
});

test('time changes keys, but not right after a change by count, and not without use', () => {
  const there = new Direction({ datagrams: 4, intervalMs: 30 * MINUTE });
  there.wait(31 * MINUTE);
  assert.equal(there.send.epoch, 0, 'the key was not used');
  there.seal();
  there.wait(28 * MINUTE);
  there.seal();
  assert.equal(there.send.epoch, 0);
  there.wait(2 * MINUTE);
  assert.equal(there.send.epoch, 1);
  for (let i = 0; i < 5; i++) there.seal();
  assert.equal(there.send.epoch, 2);
  there.wait(30 * MINUTE);
  assert.equal(there.send.epoch, 2);
  there.wait(30 * MINUTE);
  assert.equal(there.send.epoch, 3);
  assert.equal(there.changes, 3, 'each is told');
});

test('the shortest interval that can be asked for leaves a receiver time to follow', () => {
  const there = new Direction({ intervalMs: MIN_REKEY_INTERVAL_MS });
  // A sender heard every 10 s at least, and a datagram held up by the way.
  let late = there.seal('late');
  for (let seconds = 10; seconds <= 600; seconds += 10) {
    there.wait(10_000);
    assert.equal(there.open(there.seal()), 'x');
    if (seconds % 50 !== 0) continue;
    assert.equal(there.open(late), 'late', `after ${seconds} s`);
    late = there.seal('late');
  }
  assert.equal(there.changes, 5);
});

test('no key lives longer than an hour, and none shorter than a lost neighbour', () => {
  assert.ok(2 * KEY_LIMITS.intervalMs <= 60 * MINUTE);
  assert.ok(KEY_LIMITS.datagrams / 10_000_000 > 60);
  assert.ok(KEY_LIMITS.datagrams <= 2 ** 32);
  // Bytes, at 100 Gbit/s.
  assert.ok(KEY_LIMITS.bytes / 12.5e9 > 60);
});

test('reordering across a change and loss around it do no harm', () => {
  const there = new Direction({ datagrams: 4 });
  const sealed = Array.from({ length: 12 }, (_, i) => there.seal(`${i}`));
  const order = [4, 1, 0, 5, 8, 6, 7, 4, 9, 0, 2];
  const results = order.map((i) => there.open(sealed[i] as Uint8Array));
  const { replayed, epochUnknown } = DropReason;
  assert.deepEqual(results, [
    ...['4', '1', '0', '5', '8', '6', '7', replayed, '9', epochUnknown],
    epochUnknown,
  ]);
});

test('the previous key is gone after a minute, also without traffic', () => {
  const recorder = new RecordingAead(aead);
  const there = new Direction({ datagrams: 2 }, recorder);
  const [late, later, first] = [there.seal('late'), there.seal('later'), there.seal('new')];
  assert.equal(there.receive.nextTimeout(), null);
  assert.equal(there.open(first), 'new');
  assert.equal(recorder.alive, 4, 'one to seal; previous, current and next to open');
  there.nowMs = PREVIOUS_KEY_MS - 1;
  assert.equal(there.open(late), 'late');
  there.nowMs = PREVIOUS_KEY_MS;
  assert.equal(there.open(later), DropReason.epochUnknown);
  assert.deepEqual(there.receive.nextTimeout(), { atMs: PREVIOUS_KEY_MS, reason: 'previous-key' });
  there.receive.handleTimeout(PREVIOUS_KEY_MS);
  assert.equal(recorder.alive, 3);
  assert.equal(there.receive.nextTimeout(), null);
});

test('forged epochs, counters, names, texts and tags change nothing', () => {
  const recorder = new RecordingAead(aead);
  const there = new Direction({ datagrams: 2 }, recorder);
  const good = there.seal('good');
  for (let field = 0; field < 0x1_0000; field += 1) {
    const forged = good.slice();
    writeU16(forged, 6, field);
    forged[20] = (forged[20] as number) ^ 1;
    const expected = field < 2 ? DropReason.forged : DropReason.epochUnknown;
    assert.equal(there.open(forged), expected, `epoch ${field}`);
  }
  for (let at = 6; at < good.length; at++) {
    const forged = good.slice();
    forged[at] = (forged[at] as number) ^ 1;
    assert.notEqual(there.open(forged), 'good', `byte ${at}`);
  }
  assert.equal(there.receive.epoch, 0);
  assert.equal(recorder.secrets.length, 6, 'no key was derived for a forgery');
  assert.equal(there.open(good), 'good');
  assert.equal(there.open(good), DropReason.replayed);
  assert.equal(there.open(good.subarray(0, 33)), DropReason.replayed);
});

test('the sender name is authenticated by the context', () => {
  const there = new Direction();
  const other = new Direction({}, aead, { ...options, sender: (NAME_A + 4) as PeerName });
  assert.equal(there.open(other.seal()), DropReason.forged);
  const back = { ...options, sender: options.receiver, receiver: options.sender };
  assert.equal(there.open(new Direction({}, aead, back).seal()), DropReason.forged);
});

test('the epoch field wraps after 65 536 keys', (t) => {
  // The chain as if it had come so far already; following it takes a while.
  const epochs = new WeakMap<KeyChain, number>();
  t.mock.method(KeyChain.prototype, 'next', function next(this: KeyChain): EpochKeys {
    const epoch = epochs.get(this) ?? 0xfff0;
    epochs.set(this, epoch + 1);
    const key = new Uint8Array(32);
    writeU48(key, 0, epoch);
    const context = new Uint8Array(11);
    writeU16(context, 6, epoch & 0xffff);
    return { epoch, key, salt: new Uint8Array(4), context };
  });
  const there = new Direction({ datagrams: 1 });
  for (let epoch = 0xfff0; epoch <= 0x1_0010; epoch++) {
    const datagram = there.seal('x');
    assert.equal(readU16(datagram, 6), epoch & 0xffff);
    assert.equal(there.open(datagram), 'x', `epoch ${epoch}`);
  }
  assert.equal(there.receive.epoch, 0x1_0010);
});

test('keys are wiped after use, and nothing is left in the end', () => {
  const recorder = new RecordingAead(aead);
  const there = new Direction({ datagrams: 1 }, recorder);
  for (let i = 0; i < 5; i++) assert.equal(there.open(there.seal()), 'x');
  assert.ok(recorder.secrets.length >= 20);
  assert.ok(recorder.secrets.every((secret) => secret.every((byte) => byte === 0)));
  there.send.destroy();
  there.receive.destroy();
  assert.equal(recorder.alive, 0);
  assert.equal(there.send.nextTimeout(), null);
});

test('no nonce comes twice under a key, whatever the schedule and however often we start', () => {
  const limits = fc.record({
    datagrams: fc.integer({ min: 1, max: 20 }),
    bytes: fc.integer({ min: 1, max: 200 }),
    intervalMs: fc.integer({ min: 1, max: 50 }),
  });
  const acts = fc.array(
    fc.oneof(
      { weight: 5, arbitrary: fc.record({ type: fc.constant('seal'), n: fc.nat(30) }) },
      { weight: 2, arbitrary: fc.record({ type: fc.constant('wait'), n: fc.nat(60) }) },
      { weight: 1, arbitrary: fc.record({ type: fc.constant('restart'), n: fc.nat(1) }) },
    ),
    { maxLength: 60 },
  );
  fc.assert(
    fc.property(limits, acts, (limit, steps) => {
      const recorder = new RecordingAead(aead);
      // Each connection has a session key of its own, as both ends make new Curve25519 keys.
      let sessions = 0;
      const start = (): Direction[] => {
        const sessionKey = new Uint8Array(32).fill(++sessions);
        const { sender, receiver } = options;
        const both = [
          { ...options, sessionKey },
          { ...options, sessionKey, sender: receiver, receiver: sender },
        ];
        return both.map((chain) => new Direction(limit, recorder, chain));
      };
      let ends = start();
      for (const { type, n } of steps) {
        if (type === 'restart') ends = start();
        for (const end of ends) {
          if (type === 'wait') end.wait(n);
          if (type === 'seal') assert.equal(end.open(end.seal('y'.repeat(n))), 'y'.repeat(n));
        }
      }
      assert.equal(new Set(recorder.nonces).size, recorder.nonces.length);
    }),
    { numRuns: 100 },
  );
});
