/** Keys derived step by step from RFC 5869 over HMAC, and fixed for ever by golden values. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import { concatBytes, toHex, utf8 } from '../../../core/bytes.js';
import type { PeerName } from '../../../core/peer-name.js';
import { KeyChain } from '../../../fastdp/key-chain.js';
import { KEY, NAME_A, NAME_B } from './pair.js';

const options = {
  sessionKey: KEY,
  connectionUid: 0x0102_0304_0506_0708n,
  sender: NAME_A as PeerName,
  receiver: NAME_B as PeerName,
};

function hmac(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array {
  return createHmac('sha256', key)
    .update(concatBytes(...parts))
    .digest();
}

/** RFC 5869, written down once more. */
function hkdf(input: Uint8Array, salt: Uint8Array, info: Uint8Array, length: number): Uint8Array {
  const key = hmac(salt.length === 0 ? new Uint8Array(32) : salt, input);
  let block: Uint8Array = new Uint8Array(0);
  let out = block;
  for (let i = 1; out.length < length; i++) {
    block = hmac(key, block, info, Uint8Array.of(i));
    out = concatBytes(out, block);
  }
  return out.slice(0, length);
}

test('every epoch has the keys that the formula gives', () => {
  const none = new Uint8Array(0);
  const uid = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const names = Uint8Array.of(0x82, 0, 0, 0, 0, 1, 0x82, 0, 0, 0, 0, 2);
  const label = 'weave-net data aes-256-gcm 1 ';
  let chain = hkdf(KEY, uid, concatBytes(utf8(`${label}chain`), names), 32);
  const keys = new KeyChain(options);
  for (let epoch = 0; epoch < 4; epoch++) {
    const made = keys.next();
    const expected = hkdf(chain, none, utf8(`${label}key`), 36);
    assert.equal(made.epoch, epoch);
    assert.deepEqual(concatBytes(made.key, made.salt), expected);
    assert.equal(toHex(made.context), `82000000000100${epoch.toString(16).padStart(2, '0')}574e01`);
    chain = hkdf(chain, none, utf8(`${label}next`), 32);
  }
});

test('direction, connection and session key each lead to other keys', () => {
  const { sender, receiver, connectionUid } = options;
  const all = [
    options,
    { ...options, sender: receiver, receiver: sender },
    { ...options, connectionUid: connectionUid + 1n },
    { ...options, sessionKey: new Uint8Array(32).fill(8) },
  ].map((each) => {
    const chain = new KeyChain(each);
    return [chain.next(), chain.next()].map(({ key, salt }) => toHex(concatBytes(key, salt)));
  });
  assert.equal(new Set(all.flat()).size, 8);
});

test('wiped, a chain does not go on as before', () => {
  const [a, b] = [new KeyChain(options), new KeyChain(options)];
  a.wipe();
  assert.notDeepEqual(a.next().key, b.next().key);
});
