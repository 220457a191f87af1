/** All libraries give the same bytes in place, and notice forgeries. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { secretboxSeal } from '../../../core/nacl.js';
import {
  type InPlaceSecretbox,
  loadSecretbox,
  nativeSecretbox,
  portableSecretbox,
  systemSecretbox,
} from '../../../sys/secretbox.js';

const OFFSET = 37;

async function available(): Promise<InPlaceSecretbox[]> {
  const all = [systemSecretbox(), await nativeSecretbox(), await portableSecretbox()];
  return all.filter((box) => box !== null);
}

test('every library seals to the bytes of the reference and opens them again', async () => {
  const boxes = await available();
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 2000 }),
      fc.uint8Array({ minLength: 24, maxLength: 24 }),
      fc.uint8Array({ minLength: 32, maxLength: 32 }),
      (text, nonce, key) => {
        const expected = secretboxSeal(text, nonce, key);
        for (const box of boxes) {
          const buffer = new Uint8Array(OFFSET + expected.length + 5);
          buffer.set(text, OFFSET + 16);
          box.seal(buffer, OFFSET, text.length, nonce, key);
          const sealed = buffer.slice(OFFSET, OFFSET + expected.length);
          assert.deepEqual(sealed, expected, box.library);
          assert.ok(box.open(buffer, OFFSET, expected.length, nonce, key), box.library);
          assert.deepEqual(buffer.slice(OFFSET + 16, OFFSET + expected.length), text);
          // Nothing outside the box is touched.
          assert.ok(buffer.subarray(0, OFFSET).every((byte) => byte === 0));
          assert.ok(buffer.subarray(OFFSET + expected.length).every((byte) => byte === 0));
        }
      },
    ),
    { numRuns: 50 },
  );
});

test('a changed bit, a short box and a wrong key do not open', async () => {
  const nonce = new Uint8Array(24).fill(1);
  const key = new Uint8Array(32).fill(2);
  const sealed = secretboxSeal(new Uint8Array(100).fill(3), nonce, key);
  for (const box of await available()) {
    for (const at of [0, 15, 16, 115]) {
      const forged = sealed.slice();
      forged[at] = (forged[at] as number) ^ 1;
      assert.equal(box.open(forged, 0, forged.length, nonce, key), false, box.library);
    }
    for (const bytes of [0, 1, 15, 16, 99]) {
      assert.equal(box.open(sealed.slice(), 0, bytes, nonce, key), false, box.library);
    }
    const wrongKey = new Uint8Array(32).fill(4);
    assert.equal(box.open(sealed.slice(), 0, sealed.length, nonce, wrongKey), false);
  }
});

test('lengths that would reach other memory are refused', () => {
  const box = systemSecretbox();
  if (box === null) return;
  const [nonce, key] = [new Uint8Array(24), new Uint8Array(32)];
  const buffer = new Uint8Array(64);
  assert.throws(() => box.seal(buffer, 0, 49, nonce, key), RangeError);
  assert.throws(() => box.seal(buffer, -1, 10, nonce, key), RangeError);
  assert.throws(() => box.open(buffer, 40, 25, nonce, key), RangeError);
  assert.throws(() => box.seal(buffer, 0, 10, nonce.subarray(1), key), RangeError);
  assert.throws(() => box.seal(buffer, 0, 10, nonce, key.subarray(1)), RangeError);
});

test('there is always a library', async () => {
  assert.match((await loadSecretbox()).library, /sodium/);
});
