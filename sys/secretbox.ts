/**
 * NaCl secretbox in place, by the fastest library that the machine has (crypto_secretbox of
 * libsodium everywhere; the bytes are the same): the system's libsodium called by address, which
 * makes no object per call; else sodium-native; else WebAssembly. Measured for 1 400 bytes on
 * x86-64: 1.5, 2.3 and 5 µs.
 */
import koffi from 'koffi';
import { KEY_BYTES, NONCE_BYTES, SEAL_OVERHEAD_BYTES } from '../core/nacl-sizes.js';
import { AddressCache } from './memory.js';

/** The shape of fastdp/ports.ts `Secretbox`, which sys/ may not import. */
export interface InPlaceSecretbox {
  /** Which library does the work, for the report. */
  readonly library: string;
  seal(
    buffer: Uint8Array,
    offset: number,
    plaintextBytes: number,
    nonce: Uint8Array,
    key: Uint8Array,
  ): void;
  open(
    buffer: Uint8Array,
    offset: number,
    boxBytes: number,
    nonce: Uint8Array,
    key: Uint8Array,
  ): boolean;
}

/** Sonames of libsodium 1.0.18 and later; both have the functions used. */
const SYSTEM_LIBRARIES = ['libsodium.so.23', 'libsodium.so.26'];
const TAG = SEAL_OVERHEAD_BYTES;

/** Never fails: the last resort is part of the program. */
export async function loadSecretbox(): Promise<InPlaceSecretbox> {
  return systemSecretbox() ?? (await nativeSecretbox()) ?? (await portableSecretbox());
}

type Detached = (
  text: number,
  tagOrText: number,
  tag: number,
  bytes: number,
  nonce: number,
  key: number,
) => number;

const DETACHED_ARGUMENTS = '(uintptr_t, uintptr_t, uintptr_t, uint64_t, uintptr_t, uintptr_t)';

/** @returns null if the system has no libsodium that we know. */
export function systemSecretbox(): InPlaceSecretbox | null {
  for (const soname of SYSTEM_LIBRARIES) {
    try {
      const library = koffi.load(soname);
      const declareDetached = (name: string): Detached =>
        library.func(`int ${name}${DETACHED_ARGUMENTS}`) as unknown as Detached;
      const init = library.func('int sodium_init()') as unknown as () => number;
      const seal = declareDetached('crypto_secretbox_detached');
      const open = declareDetached('crypto_secretbox_open_detached');
      // Chooses the implementations for this processor; 1 means somebody did so before.
      if (init() < 0) continue;
      return overAddresses(soname, seal, open);
    } catch {
      // Not installed under this name: the next one may be.
    }
  }
  return null;
}

function overAddresses(library: string, seal: Detached, open: Detached): InPlaceSecretbox {
  const buffers = new AddressCache();
  const nonces = new AddressCache();
  const keys = new AddressCache();
  return {
    library,
    seal(buffer, offset, plaintextBytes, nonce, key) {
      checkBounds(buffer, offset, plaintextBytes + TAG, nonce, key);
      const at = buffers.of(buffer) + offset;
      const text = at + TAG;
      seal(text, at, text, plaintextBytes, nonces.of(nonce), keys.of(key));
    },
    open(buffer, offset, boxBytes, nonce, key) {
      if (boxBytes < TAG) return false;
      checkBounds(buffer, offset, boxBytes, nonce, key);
      const at = buffers.of(buffer) + offset;
      const text = at + TAG;
      return open(text, text, at, boxBytes - TAG, nonces.of(nonce), keys.of(key)) === 0;
    },
  };
}

/** Behind an address nothing else would stop a wrong length from reaching other memory. */
function checkBounds(
  buffer: Uint8Array,
  offset: number,
  bytes: number,
  nonce: Uint8Array,
  key: Uint8Array,
): void {
  const inside = offset >= 0 && bytes >= TAG && offset + bytes <= buffer.length;
  if (!inside || nonce.length !== NONCE_BYTES || key.length !== KEY_BYTES) {
    throw new RangeError('secretbox: a length or offset is out of range');
  }
}

/** @returns null if sodium-native has no build for this machine. */
export async function nativeSecretbox(): Promise<InPlaceSecretbox | null> {
  try {
    const { default: sodium } = await import('sodium-native');
    const asBuffer = (bytes: Uint8Array, from: number, to: number): Buffer =>
      bytes.subarray(from, to) as Buffer;
    return {
      library: 'sodium-native',
      seal(buffer, offset, plaintextBytes, nonce, key) {
        const text = asBuffer(buffer, offset + TAG, offset + TAG + plaintextBytes);
        const tag = asBuffer(buffer, offset, offset + TAG);
        sodium.crypto_secretbox_detached(text, tag, text, nonce as Buffer, key as Buffer);
      },
      open(buffer, offset, boxBytes, nonce, key) {
        if (boxBytes < TAG) return false;
        const text = asBuffer(buffer, offset + TAG, offset + boxBytes);
        const tag = asBuffer(buffer, offset, offset + TAG);
        const [n, k] = [nonce as Buffer, key as Buffer];
        return sodium.crypto_secretbox_open_detached(text, text, tag, n, k);
      },
    };
  } catch {
    return null;
  }
}

/** WebAssembly; works wherever Node does. Loaded only here, as it takes its memory at once. */
export async function portableSecretbox(): Promise<InPlaceSecretbox> {
  const { secretboxOpen, secretboxSeal } = await import('../core/nacl.js');
  return {
    library: 'libsodium-wrappers',
    seal(buffer, offset, plaintextBytes, nonce, key) {
      const text = buffer.subarray(offset + TAG, offset + TAG + plaintextBytes);
      buffer.set(secretboxSeal(text, nonce, key), offset);
    },
    open(buffer, offset, boxBytes, nonce, key) {
      const text = secretboxOpen(buffer.subarray(offset, offset + boxBytes), nonce, key);
      if (text === null) return false;
      buffer.set(text, offset + TAG);
      return true;
    },
  };
}
