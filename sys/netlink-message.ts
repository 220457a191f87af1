/**
 * Bytes of netlink messages: header, body, attributes, in the machine's order (little endian).
 * Source: netlink(7), linux/netlink.h.
 *
 *   0 length u32 · 4 type u16 · 6 flags u16 · 8 sequence u32 · 12 port u32 · 16 body, attributes
 *   attribute: 0 length u16 (with this header) · 2 type u16 · 4 value, padded to 4 bytes
 */
import { DecodeError } from '../core/errors.js';

export const HEADER_BYTES = 16;
const ATTRIBUTE_HEADER_BYTES = 4;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;
/** More than any request of ours. */
const MAX_REQUEST_BYTES = 8192;

export const NLM_F_REQUEST = 1;
export const NLM_F_ACK = 4;
export const NLM_F_EXCL = 0x200;
export const NLM_F_DUMP = 0x300;
export const NLM_F_CREATE = 0x400;
/** In an answer: attributes with an explanation follow the error. */
export const NLM_F_ACK_TLVS = 0x200;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  /** A view of the received bytes. */
  readonly body: Buffer;
}

/** Writes one request from front to back. */
export class NetlinkWriter {
  readonly #bytes = Buffer.alloc(MAX_REQUEST_BYTES);
  #length = HEADER_BYTES;

  constructor(type: number, flags: number) {
    this.#bytes.writeUInt16LE(type, 4);
    this.#bytes.writeUInt16LE(flags, 6);
  }

  u8(...values: readonly number[]): this {
    for (const value of values) this.#length = this.#bytes.writeUInt8(value, this.#length);
    return this;
  }

  u16(value: number): this {
    this.#length = this.#bytes.writeUInt16LE(value, this.#length);
    return this;
  }

  u32(value: number): this {
    this.#length = this.#bytes.writeUInt32LE(value >>> 0, this.#length);
    return this;
  }

  bytes(value: Uint8Array): this {
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  /** @throws {RangeError} if the message would be longer than any of ours. */
  attribute(type: number, value: Uint8Array): this {
    this.u16(ATTRIBUTE_HEADER_BYTES + value.length)
      .u16(type)
      .bytes(value);
    return this.#pad();
  }

  attributeU8(type: number, value: number): this {
    return this.attribute(type, Uint8Array.of(value));
  }

  attributeU32(type: number, value: number): this {
    return this.u16(ATTRIBUTE_HEADER_BYTES + 4)
      .u16(type)
      .u32(value);
  }

  /** In network order, as addresses are. */
  attributeIpv4(type: number, address: number): this {
    const value = Buffer.alloc(4);
    value.writeUInt32BE(address >>> 0);
    return this.attribute(type, value);
  }

  /** With its final zero. */
  attributeText(type: number, text: string): this {
    return this.attribute(type, Buffer.from(`${text}\0`, 'utf8'));
  }

  nest(type: number, write: (inner: this) => void): this {
    const start = this.#length;
    this.u16(0).u16(type | NLA_F_NESTED);
    write(this);
    this.#bytes.writeUInt16LE(this.#length - start, start);
    return this;
  }

  /** The whole message. The writer may not be used any more. */
  finish(sequence: number): Buffer {
    this.#bytes.writeUInt32LE(this.#length, 0);
    this.#bytes.writeUInt32LE(sequence, 8);
    return this.#bytes.subarray(0, this.#length);
  }

  #pad(): this {
    this.#length = align(this.#length);
    return this;
  }
}

/** @throws {DecodeError} `netlink-message` if a length contradicts the bytes. */
export function parseMessages(bytes: Buffer): NetlinkMessage[] {
  const messages: NetlinkMessage[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = at + HEADER_BYTES <= bytes.length ? bytes.readUInt32LE(at) : 0;
    if (length < HEADER_BYTES || at + length > bytes.length) throw badLength('message');
    messages.push({
      type: bytes.readUInt16LE(at + 4),
      flags: bytes.readUInt16LE(at + 6),
      sequence: bytes.readUInt32LE(at + 8),
      body: bytes.subarray(at + HEADER_BYTES, at + length),
    });
    at += align(length);
  }
  return messages;
}

/** Of several attributes of one type, the last. @throws {DecodeError} `netlink-attribute` */
export function parseAttributes(bytes: Buffer): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (let at = 0; at < bytes.length; ) {
    const fits = at + ATTRIBUTE_HEADER_BYTES <= bytes.length;
    const length = fits ? bytes.readUInt16LE(at) : 0;
    if (length < ATTRIBUTE_HEADER_BYTES || at + length > bytes.length) throw badLength('attribute');
    const type = bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK;
    attributes.set(type, bytes.subarray(at + ATTRIBUTE_HEADER_BYTES, at + length));
    at += align(length);
  }
  return attributes;
}

/** Up to the final zero. */
export function textOf(value: Buffer | undefined): string {
  if (value === undefined) return '';
  const end = value.indexOf(0);
  return value.toString('utf8', 0, end < 0 ? value.length : end);
}

const align = (length: number): number => (length + 3) & ~3;

const badLength = (what: 'message' | 'attribute'): DecodeError =>
  new DecodeError(`netlink-${what}`, `netlink ${what}: the length contradicts the bytes received`);
