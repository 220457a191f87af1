/**
 * Cuts the byte stream after the introduction into messages and back: length prefix, gob prefix
 * with protocol 1, and the seal where the session is encrypted.
 *
 *   protocol 2:  length u32be ‖ message, or its sealed form
 *   protocol 1:  gob byte slices in the stream that the feature map began
 *
 * Source: reference/wire-protocol.md 3.4, 3.6, 3.7.
 */
import { ByteWriter } from '../../core/bytes.js';
import { ProtocolError } from '../../core/errors.js';
import { type GobEncoder, type GobMessageDecoder, gob } from '../../core/gob/index.js';
import { MAX_CONTROL_FRAME_BYTES } from '../../core/limits.js';
import { SEAL_OVERHEAD_BYTES } from '../../core/nacl-sizes.js';
import type { InputBuffer } from './input-buffer.js';
import type { MessageOpener, MessageSealer } from './session-crypto.js';

/** Both directions of one session's messages. */
export interface MessageCodec {
  /** @returns what to write for one message. @throws {ProtocolError} `message-too-large` */
  encode(message: Uint8Array): Uint8Array;
  /**
   * Takes the next message from the input, once it is complete.
   * @returns the message in bytes of its own, or null if more input is needed
   * @throws {DecodeError | ProtocolError} the session must end
   */
  decode(input: InputBuffer): Uint8Array | null;
}

/** The seals of both directions. */
export interface SessionSeals {
  readonly sealer: MessageSealer;
  readonly opener: MessageOpener;
}

/** What a gob byte slice adds to a message: type id, a zero, and a length. */
const GOB_OVERHEAD_BYTES = 16;
const LENGTH_BYTES = 4;

/** Protocol 2. */
export class FrameCodec implements MessageCodec {
  readonly #seals: SessionSeals | null;
  readonly #opening: OpeningState = { opened: 0 };
  /** Lower during the introduction, when the other end is a stranger. */
  #maxFrameBytes: number;

  constructor(seals: SessionSeals | null, maxFrameBytes: number) {
    this.#seals = seals;
    this.#maxFrameBytes = maxFrameBytes;
  }

  /** The introduction is over: frames may have their full size. */
  allowLargeFrames(): void {
    this.#maxFrameBytes = MAX_CONTROL_FRAME_BYTES;
  }

  encode(message: Uint8Array): Uint8Array {
    checkMessageSize(message, this.#seals);
    const body = this.#seals === null ? message : this.#seals.sealer.seal(message);
    return new ByteWriter(LENGTH_BYTES + body.length).u32be(body.length).bytes(body).finish();
  }

  decode(input: InputBuffer): Uint8Array | null {
    const head = input.peek(LENGTH_BYTES);
    if (head.length < LENGTH_BYTES) return null;
    const length = new DataView(head.buffer, head.byteOffset).getUint32(0);
    if (length > this.#maxFrameBytes) throw frameTooLarge(length, this.#maxFrameBytes);
    if (input.length < LENGTH_BYTES + length) return null;
    input.take(LENGTH_BYTES);
    return openBody(input.take(length), this.#seals, this.#opening);
  }
}

/** Protocol 1, from the first message after the feature map on. */
export class GobCodec implements MessageCodec {
  readonly #seals: SessionSeals | null;
  readonly #opening: OpeningState = { opened: 0 };
  readonly #encoder: GobEncoder;
  readonly #decoder: GobMessageDecoder;

  /** @param encoder, decoder those that the feature maps went through */
  constructor(encoder: GobEncoder, decoder: GobMessageDecoder, seals: SessionSeals | null) {
    this.#encoder = encoder;
    this.#decoder = decoder;
    this.#seals = seals;
  }

  encode(message: Uint8Array): Uint8Array {
    checkMessageSize(message, this.#seals);
    const body = this.#seals === null ? message : this.#seals.sealer.seal(message);
    return this.#encoder.encode(gob.bytes, body).finish();
  }

  decode(input: InputBuffer): Uint8Array | null {
    const message = takeGobMessage(input, MAX_CONTROL_FRAME_BYTES + GOB_OVERHEAD_BYTES);
    if (message === null) return null;
    const body = this.#decoder.decode(message, gob.bytes);
    // A byte slice needs no definition, so one here could only serve to fill our memory.
    if (body === undefined) {
      throw new ProtocolError('unexpected-definition', 'gob type definition among messages');
    }
    return openBody(body, this.#seals, this.#opening);
  }
}

/**
 * Takes the content of one gob message, without its length, as a view valid until the next append.
 * @returns null if it is not complete
 * @throws {ProtocolError} `frame-too-large`
 */
export function takeGobMessage(input: InputBuffer, maxBytes: number): Uint8Array | null {
  const head = input.peek(9);
  const [first] = head;
  if (first === undefined) return null;
  // One byte, or the negated count of the big-endian bytes that follow.
  const prefixBytes = first < 128 ? 1 : 1 + 256 - first;
  if (prefixBytes > 9) throw frameTooLarge(Number.POSITIVE_INFINITY, maxBytes);
  if (head.length < prefixBytes) return null;
  let length = first;
  if (first >= 128) {
    length = 0;
    for (let i = 1; i < prefixBytes; i++) length = length * 256 + (head[i] as number);
  }
  if (length > maxBytes) throw frameTooLarge(length, maxBytes);
  if (input.length < prefixBytes + length) return null;
  input.take(prefixBytes);
  return input.take(length);
}

interface OpeningState {
  /** Messages that opened so far; none means that the keys may differ. */
  opened: number;
}

function openBody(body: Uint8Array, seals: SessionSeals | null, state: OpeningState): Uint8Array {
  // The copy lets the input buffer reuse its memory and keeps small messages from holding it.
  if (seals === null) return body.slice();
  const message = seals.opener.open(body);
  if (message === null) {
    throw state.opened === 0
      ? new ProtocolError(
          'wrong-password',
          'Unable to decrypt TCP msg (do the passwords of both ends differ?)',
        )
      : new ProtocolError(
          'decrypt-failed',
          'Unable to decrypt TCP msg (it was altered, repeated or lost on its way)',
        );
  }
  state.opened++;
  return message;
}

function checkMessageSize(message: Uint8Array, seals: SessionSeals | null): void {
  const size = message.length + (seals === null ? 0 : SEAL_OVERHEAD_BYTES);
  if (size > MAX_CONTROL_FRAME_BYTES) {
    throw new ProtocolError(
      'message-too-large',
      `message of ${size} bytes exceeds the limit of ${MAX_CONTROL_FRAME_BYTES}`,
    );
  }
}

function frameTooLarge(length: number, limit: number): ProtocolError {
  return new ProtocolError(
    'frame-too-large',
    `incoming message of ${length} bytes exceeds the limit of ${limit}`,
  );
}
