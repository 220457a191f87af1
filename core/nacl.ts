/**
 * The NaCl operations of the control plane, over libsodium-wrappers (WebAssembly). The data plane
 * seals with what sys/secretbox.ts finds; all give the same bytes.
 * Source: reference/wire-protocol.md 3.7 and 15; libsodium documentation, "Secret-key cryptography".
 */
import { createHash } from 'node:crypto';
import sodium from 'libsodium-wrappers';
import { concatBytes, wipe } from './bytes.js';
import { DecodeError } from './errors.js';
import { SEAL_OVERHEAD_BYTES } from './nacl-sizes.js';

await sodium.ready;

export interface KeyPair {
  readonly publicKey: Uint8Array;
  /** Secret; the owner wipes it when the session key exists. */
  readonly privateKey: Uint8Array;
}

/** @param privateKey 32 random bytes; kept, not copied. */
export function keyPairFromPrivate(privateKey: Uint8Array): KeyPair {
  return { publicKey: sodium.crypto_scalarmult_base(privateKey), privateKey };
}

/**
 * SHA-256(box-beforenm(theirs, ours) ‖ password). Both ends get the same 32 bytes.
 * @throws {DecodeError} `public-key-invalid` for a key of wrong length or of low order.
 */
export function deriveSessionKey(
  ours: KeyPair,
  theirPublicKey: Uint8Array,
  password: Uint8Array,
): Uint8Array {
  let shared: Uint8Array;
  try {
    shared = sodium.crypto_box_beforenm(theirPublicKey, ours.privateKey);
  } catch {
    throw new DecodeError('public-key-invalid', 'public key has a wrong length or is weak');
  }
  const input = concatBytes(shared, password);
  const key = new Uint8Array(createHash('sha256').update(input).digest());
  wipe(shared);
  wipe(input);
  return key;
}

/** @returns tag (16) ‖ ciphertext. */
export function secretboxSeal(message: Uint8Array, nonce: Uint8Array, key: Uint8Array): Uint8Array {
  return sodium.crypto_secretbox_easy(message, nonce, key);
}

/** @returns the message, or null if the box does not open under this nonce and key. */
export function secretboxOpen(
  box: Uint8Array,
  nonce: Uint8Array,
  key: Uint8Array,
): Uint8Array | null {
  if (box.length < SEAL_OVERHEAD_BYTES) return null;
  try {
    return sodium.crypto_secretbox_open_easy(box, nonce, key);
  } catch {
    return null;
  }
}
