/**
 * Sealing of control messages: NaCl secretbox, one sequence of nonces per direction.
 *
 *   nonce byte 0      bit 7: the sender dialled; bit 6: TCP
 *   bytes 1 … 15      0
 *   bytes 16 … 23     u64be sequence of the message in its direction
 *
 * Source: reference/wire-protocol.md 3.7.
 */
import { secretboxOpen, secretboxSeal } from '../../core/nacl.js';
import { NONCE_BYTES } from '../../core/nacl-sizes.js';

const OUTBOUND_BIT = 0x80;
const TCP_BIT = 0x40;
const SEQUENCE_OFFSET = 16;

/** The nonces of one direction. A number counts to 2^53: more messages than a session can send. */
class NonceSequence {
  readonly #nonce = new Uint8Array(NONCE_BYTES);
  readonly #view = new DataView(this.#nonce.buffer);
  #sequence = 0;

  constructor(senderIsOutbound: boolean) {
    this.#nonce[0] = (senderIsOutbound ? OUTBOUND_BIT : 0) | TCP_BIT;
  }

  /** The nonce of the next message; the array is reused. */
  current(): Uint8Array {
    this.#view.setUint32(SEQUENCE_OFFSET, Math.floor(this.#sequence / 2 ** 32));
    this.#view.setUint32(SEQUENCE_OFFSET + 4, this.#sequence >>> 0);
    return this.#nonce;
  }

  advance(): void {
    this.#sequence++;
  }
}

export class MessageSealer {
  readonly #key: Uint8Array;
  readonly #nonces: NonceSequence;

  constructor(key: Uint8Array, senderIsOutbound: boolean) {
    this.#key = key;
    this.#nonces = new NonceSequence(senderIsOutbound);
  }

  /** @returns the message sealed under the next sequence number: 16 bytes longer. */
  seal(message: Uint8Array): Uint8Array {
    const sealed = secretboxSeal(message, this.#nonces.current(), this.#key);
    this.#nonces.advance();
    return sealed;
  }
}

export class MessageOpener {
  readonly #key: Uint8Array;
  readonly #nonces: NonceSequence;

  constructor(key: Uint8Array, senderIsOutbound: boolean) {
    this.#key = key;
    this.#nonces = new NonceSequence(senderIsOutbound);
  }

  /** @returns null if the box does not open; the sequence stays where it is then. */
  open(sealed: Uint8Array): Uint8Array | null {
    const message = secretboxOpen(sealed, this.#nonces.current(), this.#key);
    if (message !== null) this.#nonces.advance();
    return message;
  }
}
