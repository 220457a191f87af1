/** Several threads of one sender: keys, counters and windows of each lane for itself. */
import assert from 'node:assert/strict';
import { hkdfSync } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { concatBytes, toHex, utf8 } from '../../../core/bytes.js';
import { MAX_LANES } from '../../../core/limits.js';
import type { PeerName } from '../../../core/peer-name.js';
import { DropReason } from '../../../fastdp/drop-reason.js';
import { KeyChain } from '../../../fastdp/key-chain.js';
import { KEY_LIMITS, SendKeys } from '../../../fastdp/key-schedule.js';
import { laneMark, laneOfMark } from '../../../fastdp/lane-mark.js';
import { type LaneShare, ReceiveLanes } from '../../../fastdp/lanes.js';
import type { AeadFactory } from '../../../fastdp/ports.js';
import { readU32, writeU32, writeU48 } from '../../../fastdp/wire.js';
import { loadAead, portableAead } from '../../../sys/libcrypto.js';
import { RecordingAead } from './fake-aead.js';
import { KEY, NAME_A, NAME_B } from './pair.js';

const aead = loadAead();
const chain = {
  sessionKey: KEY,
  connectionUid: 99n,
  sender: NAME_A as PeerName,
  receiver: NAME_B as PeerName,
};
const FEW = { ...KEY_LIMITS, datagrams: 5 };

function sender(lane: number, limits = KEY_LIMITS, cipher: AeadFactory = aead): SendKeys {
  return new SendKeys({ ...chain, lane }, limits, { aead: cipher });
}

function receiver(share?: LaneShare, cipher: AeadFactory = aead): ReceiveLanes {
  return new ReceiveLanes(chain, { aead: cipher }, share);
}

function seal(keys: SendKeys, text = 'x'): Uint8Array {
  const datagram = new Uint8Array(16 + text.length + 16);
  writeU48(datagram, 0, NAME_A);
  datagram.set(Buffer.from(text), 16);
  keys.seal(datagram, 0, text.length);
  return datagram;
}

/** The datagram itself stays as it is. */
function open(lanes: ReceiveLanes, datagram: Uint8Array, nowMs = 0): DropReason {
  return lanes.open(datagram.slice(), 0, datagram.length, nowMs);
}

test('no nonce comes twice, over all lanes and changes of keys', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(MAX_LANES - 1), { maxLength: 200 }), (order) => {
      const cipher = new RecordingAead(aead);
      const senders = Array.from({ length: MAX_LANES }, (_, lane) => sender(lane, FEW, cipher));
      const lanes = receiver();
      for (const lane of order) {
        const datagram = seal(senders[lane] as SendKeys);
        assert.equal(readU32(datagram, 8), laneMark(lane));
        assert.equal(open(lanes, datagram), DropReason.none);
      }
      assert.equal(new Set(cipher.nonces).size, order.length);
      // Not even under another key: the counters of two lanes have nothing in common.
      const keys = new Set(cipher.nonces.map((nonce) => nonce.slice(0, 72)));
      assert.ok(keys.size >= new Set(order).size);
      for (const end of [...senders, lanes]) end.destroy();
      assert.equal(cipher.alive, 0);
      assert.ok(cipher.secrets.every((secret) => secret.every((byte) => byte === 0)));
    }),
    { numRuns: 30 },
  );
});

test('each lane has a window and epochs of its own', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(3), fc.boolean()), { maxLength: 120 }), (steps) => {
      const senders = [0, 1, 2, 3].map((lane) => sender(lane, { ...FEW, datagrams: 20 }));
      const lanes = receiver();
      const seen: Uint8Array[] = [];
      for (const [lane, again] of steps) {
        const old = again ? seen.at(-1 - (lane % seen.length || 0)) : undefined;
        if (old !== undefined) {
          assert.equal(open(lanes, old), DropReason.replayed);
          continue;
        }
        const datagram = seal(senders[lane] as SendKeys);
        assert.equal(open(lanes, datagram), DropReason.none);
        seen.push(datagram);
      }
      for (const [lane, { epoch }] of senders.entries()) assert.equal(lanes.epochOf(lane), epoch);
    }),
    { numRuns: 50 },
  );
});

test('a thread takes its share; other lanes, unknown ones and no lanes at all are told apart', () => {
  const second = receiver({ index: 1, count: 3 });
  for (let lane = 0; lane < MAX_LANES; lane++) {
    const expected = lane % 3 === 1 ? DropReason.none : DropReason.laneUnknown;
    assert.equal(open(second, seal(sender(lane))), expected, `lane ${lane}`);
  }
  const all = receiver();
  for (const [mark, reason] of [
    [laneMark(0) + 1, DropReason.forged],
    [0x574e_4c00, DropReason.laneUnknown],
    [0x574e_4c00 + MAX_LANES, DropReason.laneUnknown],
    [0x574e_4cff, DropReason.laneUnknown],
    [0x574e_4d01, DropReason.forged],
    [0xffff_ffff, DropReason.forged],
    // The mark of another lane, whose key this is not.
    [laneMark(2), DropReason.forged],
  ] as const) {
    const datagram = seal(sender(1));
    writeU32(datagram, 8, mark);
    assert.equal(open(all, datagram), reason, mark.toString(16));
  }
  assert.equal(open(all, seal(sender(1))), DropReason.none, 'and nothing was spoilt by it');
});

test('marks of lanes stand for themselves', () => {
  for (let lane = 0; lane < MAX_LANES; lane++) assert.equal(laneOfMark(laneMark(lane)), lane);
  const marks = fc.integer({ min: 1, max: 2 ** 32 - 1 });
  fc.assert(
    fc.property(marks, (mark) => {
      const lane = laneOfMark(mark);
      assert.ok(lane === -1 || laneMark(lane) === mark);
    }),
  );
});

test('keys of a lane are derived as README.md says, those of lane 0 as ever', () => {
  const names = Buffer.from('820000000001820000000002', 'hex');
  const uid = Buffer.from('0000000000000063', 'hex');
  for (const [lane, ending] of [
    [0, []],
    [1, [1]],
    [15, [15]],
  ] as const) {
    const label = 'weave-net data aes-256-gcm 1 ';
    const info = concatBytes(utf8(`${label}chain`), names, Uint8Array.from(ending));
    const first = hkdfSync('sha256', KEY, uid, info, 32);
    const material = Buffer.from(hkdfSync('sha256', Buffer.from(first), '', `${label}key`, 36));
    const { key, salt } = new KeyChain({ ...chain, lane }).next();
    assert.equal(toHex(key) + toHex(salt), material.toString('hex'));
  }
});

test('both libraries seal a lane the same way', () => {
  const [ours, theirs] = [aead, portableAead()].map((cipher) => sender(5, FEW, cipher));
  for (let i = 0; i < 12; i++) {
    assert.deepEqual(seal(ours as SendKeys, 'some text'), seal(theirs as SendKeys, 'some text'));
  }
});
