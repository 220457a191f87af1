/**
 * The keys of one direction of a connection sealed with AES-256-GCM: a chain that can be followed
 * forwards only. Pure computation over HKDF-SHA256 (RFC 5869), whose salt is empty unless named.
 *
 *   chain 0      = HKDF(session key, salt = connection UID u64be,
 *                       info = "weave-net data aes-256-gcm 1 chain" ‖ sender (6) ‖ receiver (6)
 *                              [‖ lane (1), unless it is 0], 32)
 *   key ‖ salt   = HKDF(chain e, info = "weave-net data aes-256-gcm 1 key", 32 + 4)
 *   chain e + 1  = HKDF(chain e, info = "weave-net data aes-256-gcm 1 next", 32)
 */
import { hkdfSync } from 'node:crypto';
import { ByteWriter, concatBytes, utf8, wipe } from '../core/bytes.js';
import type { PeerName } from '../core/peer-name.js';
import { writeU16, writeU48 } from './wire.js';

const LABEL = 'weave-net data aes-256-gcm 1 ';
const CHAIN_BYTES = 32;
export const GCM_KEY_BYTES = 32;
export const GCM_SALT_BYTES = 4;
/** What the AEAD authenticates besides the plaintext, but for the length at its end. */
export const GCM_CONTEXT_BYTES = 11;
const NO_SALT = new Uint8Array(0);
const KEY_INFO = utf8(`${LABEL}key`);
const NEXT_INFO = utf8(`${LABEL}next`);
/** "WN" and the version of the layout. */
const CONTEXT_END = [0x57, 0x4e, 1];

export interface ChainOptions {
  /** Copied in effect; the caller may wipe it. Secret. */
  readonly sessionKey: Uint8Array;
  readonly connectionUid: bigint;
  readonly sender: PeerName;
  readonly receiver: PeerName;
  /** Each thread of a sender has keys of its own; 0 unless given. See lanes.ts. */
  readonly lane?: number;
}

/** What one epoch is sealed with. The owner wipes key and salt. */
export interface EpochKeys {
  readonly epoch: number;
  readonly key: Uint8Array;
  /** First four bytes of every nonce. */
  readonly salt: Uint8Array;
  /** sender (6) ‖ epoch u16be ‖ "WN" ‖ 1 */
  readonly context: Uint8Array;
}

export class KeyChain {
  readonly #sender: PeerName;
  #chain: Uint8Array;
  #epoch = 0;

  constructor(options: ChainOptions) {
    this.#sender = options.sender;
    const salt = new ByteWriter(8).u64be(options.connectionUid).finish();
    const names = new ByteWriter(12).u48be(options.sender).u48be(options.receiver).finish();
    const { lane = 0 } = options;
    const ending = lane === 0 ? [] : [lane];
    const info = concatBytes(utf8(`${LABEL}chain`), names, Uint8Array.from(ending));
    this.#chain = derive(options.sessionKey, salt, info, CHAIN_BYTES);
  }

  /** The keys of the next epoch, from 0 on. What they were derived from is gone afterwards. */
  next(): EpochKeys {
    const epoch = this.#epoch++;
    const material = derive(this.#chain, NO_SALT, KEY_INFO, GCM_KEY_BYTES + GCM_SALT_BYTES);
    const chain = derive(this.#chain, NO_SALT, NEXT_INFO, CHAIN_BYTES);
    wipe(this.#chain);
    this.#chain = chain;
    const context = new Uint8Array(GCM_CONTEXT_BYTES);
    writeU48(context, 0, this.#sender);
    writeU16(context, 6, epoch & 0xffff);
    context.set(CONTEXT_END, 8);
    return {
      epoch,
      key: material.subarray(0, GCM_KEY_BYTES),
      salt: material.subarray(GCM_KEY_BYTES),
      context,
    };
  }

  wipe(): void {
    wipe(this.#chain);
  }
}

function derive(
  input: Uint8Array,
  salt: Uint8Array,
  info: Uint8Array,
  byteLength: number,
): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', input, salt, info, byteLength));
}
