/** Both implementations against node:crypto, byte for byte, and against misuse. */
import assert from 'node:assert/strict';
import { createDecipheriv, randomBytes } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { type InPlaceAead, loadAead, portableAead, processAead } from '../../../sys/libcrypto.js';

const KEY = new Uint8Array(32).fill(1);
const SALT = Uint8Array.of(9, 8, 7, 6);
const CONTEXT = Uint8Array.of(1, 2, 3, 4, 5, 6, 0, 1, 0x57, 0x4e, 1);
const MAX_PLAINTEXT = 65_511;
const OFFSET = 21;

const available: InPlaceAead[] = [processAead(), portableAead()].filter((aead) => aead !== null);

/** As the design says it: nonce salt ‖ counter, authenticated context ‖ plaintext length. */
function reference(sealed: Uint8Array): Uint8Array {
  const textBytes = sealed.length - 24;
  const nonce = Buffer.concat([SALT, sealed.subarray(0, 8)]);
  const cipher = createDecipheriv('aes-256-gcm', KEY, nonce);
  cipher.setAAD(Buffer.concat([CONTEXT, Uint8Array.of(textBytes >>> 8, textBytes & 255)]));
  cipher.setAuthTag(sealed.subarray(8 + textBytes));
  return Buffer.concat([cipher.update(sealed.subarray(8, 8 + textBytes)), cipher.final()]);
}

test('Node on this machine lets us call its OpenSSL', () => {
  assert.match(loadAead().library, /^OpenSSL 3/);
});

test('datagrams of all sizes are those of node:crypto, with counters from 0', () => {
  const sizes = fc.array(
    fc.oneof(fc.nat(100), fc.nat(2000), fc.nat(MAX_PLAINTEXT), fc.constantFrom(0, MAX_PLAINTEXT)),
    { minLength: 1, maxLength: 6 },
  );
  fc.assert(
    fc.property(sizes, (list) => {
      for (const { makeSealer, makeOpener, library } of available) {
        const sealer = makeSealer(KEY, SALT, CONTEXT);
        const opener = makeOpener(KEY, SALT, CONTEXT);
        list.forEach((textBytes, counter) => {
          const text = randomBytes(textBytes);
          const buffer = new Uint8Array(OFFSET + textBytes + 24 + 5);
          buffer.set(text, OFFSET + 8);
          sealer.seal(buffer, OFFSET, textBytes);
          const sealed = buffer.slice(OFFSET, OFFSET + textBytes + 24);
          assert.equal(new DataView(sealed.buffer).getBigUint64(0), BigInt(counter), library);
          assert.ok(text.equals(reference(sealed)), library);
          assert.ok(opener.open(buffer, OFFSET, sealed.length), library);
          assert.ok(text.equals(buffer.subarray(OFFSET + 8, OFFSET + 8 + textBytes)), library);
          // Nothing outside is touched.
          assert.ok(buffer.subarray(0, OFFSET).every((byte) => byte === 0));
          assert.ok(buffer.subarray(OFFSET + textBytes + 24).every((byte) => byte === 0));
        });
        sealer.destroy();
        opener.destroy();
      }
    }),
    { numRuns: 60 },
  );
});

test('each opens what the other sealed, in any order and as often as it comes', () => {
  for (const from of available) {
    const sealer = from.makeSealer(KEY, SALT, CONTEXT);
    const sealed = Array.from({ length: 5 }, (_, i) => {
      const buffer = new Uint8Array(24 + 10).fill(i);
      sealer.seal(buffer, 0, 10);
      return buffer;
    });
    for (const to of available) {
      const opener = to.makeOpener(KEY, SALT, CONTEXT);
      for (const i of [4, 0, 0, 3, 1]) {
        const copy = (sealed[i] as Uint8Array).slice();
        assert.ok(opener.open(copy, 0, copy.length), `${from.library} to ${to.library}`);
        assert.ok(copy.subarray(8, 18).every((byte) => byte === i));
      }
    }
  }
});

test('any changed bit, a cut end, another key, salt or context do not open', () => {
  const sealed = new Uint8Array(24 + 50);
  portableAead().makeSealer(KEY, SALT, CONTEXT).seal(sealed, 0, 50);
  for (const { makeOpener, library } of available) {
    const opener = makeOpener(KEY, SALT, CONTEXT);
    for (let bit = 0; bit < sealed.length * 8; bit++) {
      const forged = sealed.slice();
      forged[bit >> 3] = (forged[bit >> 3] as number) ^ (1 << (bit & 7));
      assert.equal(opener.open(forged, 0, forged.length), false, `${library}, bit ${bit}`);
    }
    for (let bytes = 0; bytes < sealed.length; bytes++) {
      assert.equal(opener.open(sealed.slice(), 0, bytes), false, `${library}, ${bytes} bytes`);
    }
    const other = (bytes: Uint8Array): Uint8Array => bytes.map((byte) => byte ^ 1);
    for (const wrong of [
      makeOpener(other(KEY), SALT, CONTEXT),
      makeOpener(KEY, other(SALT), CONTEXT),
      makeOpener(KEY, SALT, other(CONTEXT)),
    ]) {
      assert.equal(wrong.open(sealed.slice(), 0, sealed.length), false, library);
    }
    // Failures leave nothing behind.
    assert.equal(opener.open(sealed.slice(), 0, sealed.length), true, library);
  }
});

test('the caller may wipe what it gave; destroyed, nothing works', () => {
  for (const { makeSealer, makeOpener, library } of available) {
    const given = [KEY.slice(), SALT.slice(), CONTEXT.slice()] as const;
    const [sealer, opener] = [makeSealer(...given), makeOpener(...given)];
    for (const bytes of given) bytes.fill(0);
    const buffer = new Uint8Array(24 + 8).fill(3);
    sealer.seal(buffer, 0, 8);
    assert.deepEqual([...reference(buffer)], new Array(8).fill(3), library);
    assert.ok(opener.open(buffer.slice(), 0, buffer.length));
    for (const made of [sealer, opener, sealer, opener]) made.destroy();
    assert.throws(() => sealer.seal(new Uint8Array(32), 0, 8), /sealing failed/);
    assert.equal(opener.open(buffer, 0, buffer.length), false);
  }
});

test('lengths that would reach other memory are refused', () => {
  for (const { makeSealer, makeOpener } of available) {
    const [sealer, opener] = [makeSealer(KEY, SALT, CONTEXT), makeOpener(KEY, SALT, CONTEXT)];
    const buffer = new Uint8Array(64);
    const huge = new Uint8Array(70_000);
    for (const [at, bytes] of [
      [0, 41],
      [-1, 10],
      [41, 0],
      [0, -1],
    ] as const) {
      assert.throws(() => sealer.seal(buffer, at, bytes), RangeError, `${at} ${bytes}`);
      assert.throws(() => opener.open(buffer, at, 24 + Math.abs(bytes) + 40), RangeError);
    }
    assert.throws(() => sealer.seal(huge, 0, MAX_PLAINTEXT + 1), RangeError);
    assert.throws(() => opener.open(huge, 0, MAX_PLAINTEXT + 25), RangeError);
    assert.throws(() => makeSealer(KEY.subarray(1), SALT, CONTEXT), RangeError);
    assert.throws(() => makeOpener(KEY, SALT.subarray(1), CONTEXT), RangeError);
    assert.throws(() => makeSealer(KEY, SALT, CONTEXT.subarray(1)), RangeError);
  }
});
