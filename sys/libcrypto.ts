/**
 * AES-256-GCM in place, by the OpenSSL that Node itself runs on, called by address; where its
 * functions cannot be found or behave unexpectedly, by node:crypto, which is some ten times slower.
 *
 * OpenSSL's mode for TLS records does a whole datagram in two calls: the first sets what is
 * authenticated besides the text, the second seals or opens in place. Its explicit nonce is the
 * datagram's counter, which OpenSSL counts itself. Source: EVP_EncryptInit(3), "AEAD INTERFACE"
 * and "tlsaad"; RFC 5288 section 3 for the layout. The first call hands over a parameter array
 * (OSSL_PARAM(3)) made once per key, which costs 80 ns less than EVP_CIPHER_CTX_ctrl does.
 */
import { createCipheriv, createDecipheriv } from 'node:crypto';
import koffi from 'koffi';
import { AddressCache, Memory } from './memory.js';

/** The shape of fastdp/ports.ts `AeadSealer`, which sys/ may not import. */
export interface InPlaceSealer {
  seal(buffer: Uint8Array, offset: number, plaintextBytes: number): void;
  destroy(): void;
}

export interface InPlaceOpener {
  open(buffer: Uint8Array, offset: number, bytes: number): boolean;
  destroy(): void;
}

export interface InPlaceAead {
  /** Which library does the work, for the report. */
  readonly library: string;
  makeSealer(
    key: Uint8Array,
    salt: Uint8Array,
    context: Uint8Array,
    counterHigh?: number,
  ): InPlaceSealer;
  makeOpener(key: Uint8Array, salt: Uint8Array, context: Uint8Array): InPlaceOpener;
}

const KEY_BYTES = 32;
const SALT_BYTES = 4;
const COUNTER_BYTES = 8;
const IV_BYTES = SALT_BYTES + COUNTER_BYTES;
const CONTEXT_BYTES = 11;
const TAG_BYTES = 16;
/** Context and length. */
const AAD_BYTES = CONTEXT_BYTES + 2;
const OVERHEAD = COUNTER_BYTES + TAG_BYTES;
/** The length field has 16 bits and counts the overhead too. */
const MAX_PLAINTEXT_BYTES = 0xffff - OVERHEAD;

const EVP_CTRL_GCM_SET_IV_FIXED = 0x12;
const WHOLE_IV = -1;
/** EVP_CipherInit_ex: 1 seals, 0 opens. */
const SEAL = 1;
const OPEN = 0;

/** Never fails: the last resort is part of Node. */
export function loadAead(): InPlaceAead {
  return processAead() ?? portableAead();
}

type Address = number;

interface Evp {
  readonly newContext: () => Address;
  readonly freeContext: (context: Address) => void;
  readonly aes256Gcm: () => Address;
  readonly init: (
    context: Address,
    cipher: Address,
    engine: Address,
    key: Address,
    iv: Address,
    direction: number,
  ) => number;
  readonly control: (context: Address, type: number, bytes: number, data: Address) => number;
  readonly setParameters: (context: Address, parameters: Address) => number;
  readonly cipher: (context: Address, out: Address, input: Address, bytes: number) => number;
}

/** @throws if this process does not export them, as some builds of Node do not. */
function declareEvp(): Evp {
  const self = koffi.load(null);
  const declare = <T>(prototype: string): T => self.func(prototype) as unknown as T;
  return {
    newContext: declare('uintptr_t EVP_CIPHER_CTX_new()'),
    freeContext: declare('void EVP_CIPHER_CTX_free(uintptr_t)'),
    aes256Gcm: declare('uintptr_t EVP_aes_256_gcm()'),
    init: declare(
      'int EVP_CipherInit_ex(uintptr_t, uintptr_t, uintptr_t, uintptr_t, uintptr_t, int)',
    ),
    control: declare('int EVP_CIPHER_CTX_ctrl(uintptr_t, int, int, uintptr_t)'),
    setParameters: declare('int EVP_CIPHER_CTX_set_params(uintptr_t, uintptr_t)'),
    cipher: declare('int EVP_Cipher(uintptr_t, uintptr_t, uintptr_t, uint)'),
  };
}

/** @returns null if the process has no OpenSSL to call, or one that fails the test. */
export function processAead(): InPlaceAead | null {
  try {
    const evp = declareEvp();
    const aead: InPlaceAead = {
      library: `OpenSSL ${process.versions.openssl}`,
      makeSealer: (key, salt, context, counterHigh = 0) =>
        new EvpSealer(evp, key, salt, context, counterHigh),
      makeOpener: (key, salt, context) => new EvpOpener(evp, key, salt, context),
    };
    return agrees(aead) ? aead : null;
  } catch {
    return null;
  }
}

/** Where the AAD, its name and the array of one `OSSL_PARAM` and an empty one lie in memory. */
const AAD_NAME = 'tlsaad';
const AAD_NAME_OFFSET = 16;
const PARAMETERS_OFFSET = 24;
const OSSL_PARAM_BYTES = 40;
const OSSL_PARAM_OCTET_STRING = 5;

/** Its address is all that OpenSSL is told at each datagram. */
function aadParameters(context: Uint8Array): Memory {
  const memory = new Memory(PARAMETERS_OFFSET + 2 * OSSL_PARAM_BYTES);
  memory.bytes.set(context);
  memory.setText(AAD_NAME_OFFSET, AAD_NAME);
  memory.setWord(PARAMETERS_OFFSET, memory.address + AAD_NAME_OFFSET);
  memory.setInt(PARAMETERS_OFFSET + 8, OSSL_PARAM_OCTET_STRING);
  memory.setWord(PARAMETERS_OFFSET + 16, memory.address);
  memory.setWord(PARAMETERS_OFFSET + 24, AAD_BYTES);
  return memory;
}

/** One key in one direction: OpenSSL's context, and the place that the AAD is read from. */
class EvpContext {
  /** Null after `free`. A number that could be null stays one object, which calls are given. */
  address: Address | null;
  /** Length that the AAD holds. */
  #length = -1;
  readonly #aad: Memory;
  #parameters: Address | null = null;
  readonly #evp: Evp;
  readonly #buffers = new AddressCache();

  /** @param counterHigh where OpenSSL begins to count when sealing; the lower half begins at 0. */
  constructor(
    evp: Evp,
    direction: number,
    key: Uint8Array,
    salt: Uint8Array,
    context: Uint8Array,
    counterHigh = 0,
  ) {
    checkKey(key, salt, context);
    this.#evp = evp;
    this.#aad = aadParameters(context);
    this.#parameters = this.#aad.address + PARAMETERS_OFFSET;
    const secret = new Memory(KEY_BYTES + IV_BYTES);
    secret.bytes.set(key);
    secret.bytes.set(salt, KEY_BYTES);
    secret.view.setUint32(KEY_BYTES + SALT_BYTES, counterHigh);
    const iv = secret.address + KEY_BYTES;
    const address = evp.newContext();
    this.address = address === 0 ? null : address;
    const made =
      address !== 0 &&
      evp.init(address, evp.aes256Gcm(), 0, secret.address, 0, direction) === 1 &&
      evp.control(address, EVP_CTRL_GCM_SET_IV_FIXED, WHOLE_IV, iv) === 1;
    secret.bytes.fill(0);
    if (made) return;
    this.free();
    throw new Error('OpenSSL does not set up AES-256-GCM');
  }

  /** In place. @param bytes of counter, text and tag. @returns what OpenSSL says; −1: failed. */
  run(buffer: Uint8Array, offset: number, bytes: number, authenticatedBytes: number): number {
    const { address } = this;
    if (address === null) return -1;
    if (authenticatedBytes !== this.#length) {
      this.#length = authenticatedBytes;
      const aad = this.#aad.bytes;
      aad[CONTEXT_BYTES] = authenticatedBytes >>> 8;
      aad[CONTEXT_BYTES + 1] = authenticatedBytes;
    }
    const evp = this.#evp;
    if (evp.setParameters(address, this.#parameters as Address) !== 1) return -1;
    const at = this.#buffers.of(buffer) + offset;
    return evp.cipher(address, at, at, bytes);
  }

  /** OpenSSL wipes the key with it. */
  free(): void {
    if (this.address !== null) this.#evp.freeContext(this.address);
    this.address = null;
  }
}

class EvpSealer implements InPlaceSealer {
  readonly #context: EvpContext;

  constructor(
    evp: Evp,
    key: Uint8Array,
    salt: Uint8Array,
    context: Uint8Array,
    counterHigh: number,
  ) {
    this.#context = new EvpContext(evp, SEAL, key, salt, context, counterHigh);
  }

  seal(buffer: Uint8Array, offset: number, plaintextBytes: number): void {
    const bytes = plaintextBytes + OVERHEAD;
    checkBounds(buffer, offset, bytes);
    // OpenSSL takes the explicit nonce off the length before it authenticates it.
    const length = plaintextBytes + COUNTER_BYTES;
    const context = this.#context;
    if (context.run(buffer, offset, bytes, length) !== bytes) {
      throw new Error('AES-256-GCM: sealing failed');
    }
  }

  destroy(): void {
    this.#context.free();
  }
}

class EvpOpener implements InPlaceOpener {
  readonly #context: EvpContext;

  constructor(evp: Evp, key: Uint8Array, salt: Uint8Array, context: Uint8Array) {
    this.#context = new EvpContext(evp, OPEN, key, salt, context);
  }

  open(buffer: Uint8Array, offset: number, bytes: number): boolean {
    if (bytes < OVERHEAD) return false;
    checkBounds(buffer, offset, bytes);
    const context = this.#context;
    // Here it takes off the tag as well, so that both ends authenticate the plaintext's length.
    return context.run(buffer, offset, bytes, bytes) >= 0;
  }

  destroy(): void {
    this.#context.free();
  }
}

function checkKey(key: Uint8Array, salt: Uint8Array, context: Uint8Array): void {
  const right =
    key.length === KEY_BYTES && salt.length === SALT_BYTES && context.length === CONTEXT_BYTES;
  if (!right) throw new RangeError('AES-256-GCM: key, salt or context has a wrong length');
}

/** Behind an address nothing else would stop a wrong length from reaching other memory. */
function checkBounds(buffer: Uint8Array, offset: number, bytes: number): void {
  const inside = offset >= 0 && bytes >= OVERHEAD && offset + bytes <= buffer.length;
  if (!inside || bytes > MAX_PLAINTEXT_BYTES + OVERHEAD) {
    throw new RangeError('AES-256-GCM: a length or offset is out of range');
  }
}

/** Works wherever Node does. */
export function portableAead(): InPlaceAead {
  return {
    library: 'node:crypto',
    makeSealer: (key, salt, context, counterHigh = 0) =>
      new PortableSealer(key, salt, context, counterHigh),
    makeOpener: (key, salt, context) => new PortableOpener(key, salt, context),
  };
}

/** Key, nonce and AAD as node:crypto wants them. */
class PortableKey {
  readonly key: Uint8Array;
  readonly nonce = new Uint8Array(IV_BYTES);
  readonly #aad = new Uint8Array(AAD_BYTES);
  usable = true;

  constructor(key: Uint8Array, salt: Uint8Array, context: Uint8Array) {
    checkKey(key, salt, context);
    this.key = key.slice();
    this.nonce.set(salt);
    this.#aad.set(context);
  }

  aad(plaintextBytes: number): Uint8Array {
    this.#aad[CONTEXT_BYTES] = plaintextBytes >>> 8;
    this.#aad[CONTEXT_BYTES + 1] = plaintextBytes;
    return this.#aad;
  }

  wipe(): void {
    this.usable = false;
    this.key.fill(0);
  }
}

class PortableSealer implements InPlaceSealer {
  readonly #key: PortableKey;
  readonly #counter: DataView;

  constructor(key: Uint8Array, salt: Uint8Array, context: Uint8Array, counterHigh: number) {
    this.#key = new PortableKey(key, salt, context);
    this.#counter = new DataView(this.#key.nonce.buffer, SALT_BYTES);
    this.#counter.setUint32(0, counterHigh);
  }

  seal(buffer: Uint8Array, offset: number, plaintextBytes: number): void {
    checkBounds(buffer, offset, plaintextBytes + OVERHEAD);
    const { key, nonce, usable } = this.#key;
    if (!usable) throw new Error('AES-256-GCM: sealing failed');
    const cipher = createCipheriv('aes-256-gcm', key, nonce);
    cipher.setAAD(this.#key.aad(plaintextBytes));
    buffer.set(nonce.subarray(SALT_BYTES), offset);
    this.#counter.setBigUint64(0, this.#counter.getBigUint64(0) + 1n);
    const at = offset + COUNTER_BYTES;
    buffer.set(cipher.update(buffer.subarray(at, at + plaintextBytes)), at);
    cipher.final();
    buffer.set(cipher.getAuthTag(), at + plaintextBytes);
  }

  destroy(): void {
    this.#key.wipe();
  }
}

class PortableOpener implements InPlaceOpener {
  readonly #key: PortableKey;

  constructor(key: Uint8Array, salt: Uint8Array, context: Uint8Array) {
    this.#key = new PortableKey(key, salt, context);
  }

  open(buffer: Uint8Array, offset: number, bytes: number): boolean {
    if (bytes < OVERHEAD) return false;
    checkBounds(buffer, offset, bytes);
    const { key, nonce, usable } = this.#key;
    if (!usable) return false;
    const at = offset + COUNTER_BYTES;
    const tagAt = offset + bytes - TAG_BYTES;
    nonce.set(buffer.subarray(offset, at), SALT_BYTES);
    const cipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(this.#key.aad(bytes - OVERHEAD));
    cipher.setAuthTag(buffer.subarray(tagAt, tagAt + TAG_BYTES));
    const text = cipher.update(buffer.subarray(at, tagAt));
    try {
      cipher.final();
    } catch {
      return false;
    }
    buffer.set(text, at);
    return true;
  }

  destroy(): void {
    this.#key.wipe();
  }
}

/** Whether two datagrams come out as node:crypto makes them, and open again unless changed. */
function agrees(aead: InPlaceAead): boolean {
  const key = new Uint8Array(KEY_BYTES).map((_, i) => i);
  const salt = Uint8Array.of(1, 2, 3, 4);
  const context = new Uint8Array(CONTEXT_BYTES).fill(5);
  const sealers = [aead, portableAead()].map((made) =>
    made.makeSealer(key, salt, context, 0x8000_0001),
  );
  const opener = aead.makeOpener(key, salt, context);
  try {
    for (const plaintextBytes of [0, 100]) {
      const [tried, expected] = sealers.map((sealer) => {
        const sealed = Buffer.alloc(plaintextBytes + OVERHEAD, 6);
        sealer.seal(sealed, 0, plaintextBytes);
        return sealed;
      }) as [Buffer, Buffer];
      if (!tried.equals(expected)) return false;
      expected[0] = 1;
      if (opener.open(expected, 0, expected.length)) return false;
      if (!opener.open(tried, 0, tried.length)) return false;
      const text = tried.subarray(COUNTER_BYTES, COUNTER_BYTES + plaintextBytes);
      if (!text.every((byte) => byte === 6)) return false;
    }
    return true;
  } finally {
    for (const made of [...sealers, opener]) made.destroy();
  }
}
