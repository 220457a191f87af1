/**
 * Answers encoded once and given many times: only the id, the order of equals and what fits differ
 * from one time to the next. Records below the name that was asked for point back to the question.
 *
 *   header | question | chain | records in random order | authorities | additionals | OPT
 *                                └─ as many as fit, TC if not all ─┘
 */
import { type Answer, encode } from 'dns-packet';
import type { Random } from '../core/random.js';
import { randomBelow } from '../core/random.js';
import { HEADER_BYTES, type Query, RCODES, type Rcode } from './query.js';
import type { ZoneAnswer, ZoneRecord } from './zone.js';

/** What we take and give over UDP: fits every path, RFC 9715. */
export const UDP_PAYLOAD_BYTES = 1232;
/** Of TCP, by its length field. */
export const TCP_PAYLOAD_BYTES = 0xffff;

const QR = 0x8000;
const AA = 0x0400;
const TC = 0x0200;
const RA = 0x0080;
/** Opcode, RD and CD are the client's. */
const COPIED_FLAGS = 0x7910;
/** Pointer to the name of the question, right behind the header. */
const POINTER = Buffer.from([0xc0, HEADER_BYTES]);
const NOTHING = Buffer.alloc(0);

interface Parts {
  readonly flags: number;
  readonly question: Uint8Array;
  readonly chain: readonly Buffer[];
  readonly records: Buffer[];
  readonly authorities: readonly Buffer[];
  readonly additionals: readonly Buffer[];
  readonly opt: Buffer;
}

const sizeOf = (parts: readonly Uint8Array[]): number =>
  parts.reduce((sum, part) => sum + part.length, 0);

export class AnswerTemplate {
  readonly #parts: Parts;
  /** Without records, authorities and additionals. */
  readonly #baseBytes: number;
  readonly #recordBytes: number;
  readonly #restBytes: number;
  /** The complete answer, where there is nothing to shuffle. */
  readonly #whole: Buffer | null;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#baseBytes = HEADER_BYTES + parts.question.length + sizeOf(parts.chain) + parts.opt.length;
    this.#recordBytes = sizeOf(parts.records);
    this.#restBytes = sizeOf(parts.authorities) + sizeOf(parts.additionals);
    const size = this.#baseBytes + this.#recordBytes + this.#restBytes;
    this.#whole = parts.records.length <= 1 ? this.#assemble(parts.records.length, size) : null;
  }

  /**
   * @param limitBytes what the client takes.
   * @returns a new buffer, the caller's.
   */
  render(id: number, limitBytes: number, random: Random): Buffer {
    const out =
      this.#whole !== null && this.#whole.length <= limitBytes
        ? copyOf(this.#whole)
        : this.#renderParts(limitBytes, random);
    out[0] = id >>> 8;
    out[1] = id;
    return out;
  }

  #renderParts(limitBytes: number, random: Random): Buffer {
    const { records } = this.#parts;
    const full = this.#baseBytes + this.#recordBytes + this.#restBytes;
    if (full <= limitBytes) {
      shuffle(records, records.length, random);
      return this.#assemble(records.length, full);
    }
    // Additional records and the like are left out without a word.
    if (this.#baseBytes + this.#recordBytes <= limitBytes) {
      shuffle(records, records.length, random);
      return this.#assemble(records.length, this.#baseBytes + this.#recordBytes);
    }
    let size = this.#baseBytes;
    let count = 0;
    for (; count < records.length; count++) {
      shuffle(records, count + 1, random, count);
      const bytes = (records[count] as Buffer).length;
      if (size + bytes > limitBytes) break;
      size += bytes;
    }
    return this.#assemble(count, size, TC);
  }

  /** @param size tells by itself whether authorities and additionals are in. */
  #assemble(count: number, size: number, moreFlags = 0): Buffer {
    const { flags, question, chain, records, authorities, additionals, opt } = this.#parts;
    const hasRest = size === this.#baseBytes + this.#recordBytes + this.#restBytes;
    const out = Buffer.allocUnsafe(size);
    out.writeUInt16BE(0, 0);
    out.writeUInt16BE(flags | moreFlags, 2);
    out.writeUInt16BE(question.length === 0 ? 0 : 1, 4);
    out.writeUInt16BE(chain.length + count, 6);
    out.writeUInt16BE(hasRest ? authorities.length : 0, 8);
    out.writeUInt16BE((hasRest ? additionals.length : 0) + (opt.length === 0 ? 0 : 1), 10);
    let at = HEADER_BYTES;
    const add = (bytes: Uint8Array): void => {
      out.set(bytes, at);
      at += bytes.length;
    };
    add(question);
    for (const part of chain) add(part);
    for (let i = 0; i < count; i++) add(records[i] as Buffer);
    if (hasRest) for (const part of [...authorities, ...additionals]) add(part);
    add(opt);
    return out;
  }
}

function copyOf(bytes: Buffer): Buffer {
  const out = Buffer.allocUnsafe(bytes.length);
  out.set(bytes);
  return out;
}

/** Fisher and Yates, in place: positions `from` to `to` get random ones of those behind. */
function shuffle(list: Buffer[], to: number, random: Random, from = 0): void {
  const last = Math.min(to, list.length - 1);
  for (let i = from; i < last; i++) {
    const j = i + randomBelow(random, list.length - i);
    const held = list[i] as Buffer;
    list[i] = list[j] as Buffer;
    list[j] = held;
  }
}

export function templateOf(query: Query, answer: ZoneAnswer): AnswerTemplate {
  const flags = answer.authoritative ? AA : 0;
  return new AnswerTemplate({
    flags: replyFlags(query, answer.rcode) | flags,
    question: query.question,
    chain: answer.chain.map(encodeRecord),
    records: answer.records.map(encodeRecord),
    authorities: answer.authorities.map(encodeRecord),
    additionals: answer.additionals.map(encodeRecord),
    opt: optOf(query, answer.rcode),
  });
}

/** An answer that says nothing but its code. */
export function errorTemplate(query: Query, rcode: Rcode): AnswerTemplate {
  return new AnswerTemplate({
    flags: replyFlags(query, rcode),
    question: query.question,
    chain: [],
    records: [],
    authorities: [],
    additionals: [],
    opt: optOf(query, rcode),
  });
}

function replyFlags(query: Query, rcode: Rcode): number {
  return QR | RA | (query.flags & COPIED_FLAGS) | (RCODES[rcode] & 15);
}

function optOf(query: Query, rcode: Rcode): Buffer {
  if (query.edns === null) return NOTHING;
  const extendedRcode = RCODES[rcode] >>> 4;
  const opt = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: UDP_PAYLOAD_BYTES,
    extendedRcode,
    ednsVersion: 0,
    flags: 0,
    options: [],
  } as unknown as Answer;
  return encode({ type: 'response', additionals: [opt] }).subarray(HEADER_BYTES);
}

/** The codec encodes a message with this record alone; its header is cut off again. */
function encodeRecord({ owner, ...record }: ZoneRecord): Buffer {
  const name = owner ?? '.';
  const answer = { ...record, name } as Answer;
  const bytes = encode({ type: 'response', answers: [answer] }).subarray(HEADER_BYTES);
  // The root's name is a single zero byte.
  return owner === null ? Buffer.concat([POINTER, bytes.subarray(1)]) : Buffer.from(bytes);
}
