/**
 * What the kernel's packet filter tells: events of nftables and logged packets.
 *
 * A datagram holds messages, each padded to 4 bytes; lengths and types in the machine's order:
 *   0  length    4   with this header
 *   4  type      2   subsystem << 8 | kind
 *   6  flags     2
 *   8  sequence  4
 *  12  port      4   of the process that caused it, its id as a rule
 *  16  family    1   then version 1, resource 2 (big-endian)
 *  20  attributes: length 2 (with these 4), type 2, value, padding to 4
 *
 * Source: linux/netlink.h, linux/netfilter/nfnetlink.h, nf_tables.h, nfnetlink_log.h.
 */

const HEADER_BYTES = 16;
const GENERIC_BYTES = 4;
const ATTRIBUTE_BYTES = 4;
const ATTRIBUTE_TYPE_MASK = 0x3fff;

const SUBSYSTEM_LOG = 4;
const SUBSYSTEM_NFTABLES = 10;
const NFNL_MSG_NEWGEN = 15;
const MESSAGE_PACKET = 0;
const MESSAGE_CONFIG = 1;

/** Messages of nftables that change something carry the table's name as attribute 1. */
const ATTRIBUTE_TABLE = 1;
const GENERATION_ID = 1;
const GENERATION_PROCESS = 3;

const LOG_OUT_DEVICE = 5;
const LOG_PAYLOAD = 9;
const LOG_PREFIX = 10;

export type NetfilterMessage =
  | { readonly kind: 'change'; readonly port: number; readonly table: string }
  | {
      readonly kind: 'generation';
      /** Of the sender's socket: the process id of `nft`, for one. */
      readonly port: number;
      readonly id: number;
      readonly process: string;
    }
  | LoggedPacket
  | { readonly kind: 'other' }
  | { readonly kind: 'malformed' };

export interface LoggedPacket {
  readonly kind: 'packet';
  /** As the rule has it, without the end of text. */
  readonly prefix: string;
  readonly outDevice: number;
  /** From the network header on, cut to what was asked for. Shares the datagram's memory. */
  readonly payload: Uint8Array;
}

/** Never throws: bytes that fit nothing end the list with `malformed`. */
export function parseNetfilterMessages(datagram: Uint8Array): NetfilterMessage[] {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const messages: NetfilterMessage[] = [];
  let at = 0;
  while (at < datagram.length) {
    const left = datagram.length - at;
    const length = left < HEADER_BYTES ? 0 : view.getUint32(at, true);
    if (length < HEADER_BYTES || length > left) {
      messages.push({ kind: 'malformed' });
      return messages;
    }
    messages.push(parseMessage(datagram.subarray(at, at + length)));
    at += padded(length);
  }
  return messages;
}

function parseMessage(bytes: Uint8Array): NetfilterMessage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const type = view.getUint16(4, true);
  const subsystem = type >> 8;
  const kind = type & 0xff;
  const isPacket = subsystem === SUBSYSTEM_LOG && kind === MESSAGE_PACKET;
  if (!isPacket && subsystem !== SUBSYSTEM_NFTABLES) return { kind: 'other' };
  const attributes = parseAttributes(bytes.subarray(HEADER_BYTES + GENERIC_BYTES));
  if (attributes === null) return { kind: 'malformed' };
  const port = view.getUint32(12, true);
  if (isPacket) {
    return {
      kind: 'packet',
      prefix: textOf(attributes.get(LOG_PREFIX)),
      outDevice: numberOf(attributes.get(LOG_OUT_DEVICE)),
      payload: attributes.get(LOG_PAYLOAD) ?? new Uint8Array(0),
    };
  }
  if (kind === NFNL_MSG_NEWGEN) {
    return {
      kind: 'generation',
      port,
      id: numberOf(attributes.get(GENERATION_ID)),
      process: textOf(attributes.get(GENERATION_PROCESS)),
    };
  }
  return { kind: 'change', port, table: textOf(attributes.get(ATTRIBUTE_TABLE)) };
}

/** @returns null if a length is impossible. The last of a type wins. */
function parseAttributes(bytes: Uint8Array): ReadonlyMap<number, Uint8Array> | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const attributes = new Map<number, Uint8Array>();
  let at = 0;
  while (at + ATTRIBUTE_BYTES <= bytes.length) {
    const length = view.getUint16(at, true);
    if (length < ATTRIBUTE_BYTES || at + length > bytes.length) return null;
    const type = view.getUint16(at + 2, true) & ATTRIBUTE_TYPE_MASK;
    attributes.set(type, bytes.subarray(at + ATTRIBUTE_BYTES, at + length));
    at += padded(length);
  }
  return attributes;
}

const padded = (length: number): number => (length + 3) & ~3;

function textOf(value: Uint8Array | undefined): string {
  if (value === undefined) return '';
  const end = value.indexOf(0);
  return Buffer.from(end < 0 ? value : value.subarray(0, end)).toString('utf8');
}

/** Big-endian, as the packet filter has its numbers. */
function numberOf(value: Uint8Array | undefined): number {
  if (value === undefined || value.length !== 4) return 0;
  return new DataView(value.buffer, value.byteOffset, 4).getUint32(0);
}

const NLM_F_REQUEST = 1;
const NLM_F_ACK = 4;
const CONFIG_COMMAND = 1;
const CONFIG_MODE = 2;
const CONFIG_TIMEOUT = 4;
const COMMAND_BIND = 1;
const MODE_COPY_PACKET = 2;

/**
 * Asks for the packets of one log group: bind, the first bytes of each, and how long the kernel
 * may collect before it sends.
 * @param timeout in hundredths of a second.
 */
export function logGroupRequest(group: number, copyBytes: number, timeout: number): Uint8Array {
  const mode = Buffer.alloc(6);
  mode.writeUInt32BE(copyBytes, 0);
  mode.writeUInt8(MODE_COPY_PACKET, 4);
  const wait = Buffer.alloc(4);
  wait.writeUInt32BE(timeout, 0);
  return Buffer.concat([
    configMessage(group, 1, CONFIG_COMMAND, Buffer.from([COMMAND_BIND])),
    configMessage(group, 2, CONFIG_MODE, mode),
    configMessage(group, 3, CONFIG_TIMEOUT, wait),
  ]);
}

function configMessage(group: number, sequence: number, type: number, value: Buffer): Buffer {
  const start = HEADER_BYTES + GENERIC_BYTES;
  const message = Buffer.alloc(start + padded(ATTRIBUTE_BYTES + value.length));
  message.writeUInt32LE(message.length, 0);
  message.writeUInt16LE((SUBSYSTEM_LOG << 8) | MESSAGE_CONFIG, 4);
  message.writeUInt16LE(NLM_F_REQUEST | NLM_F_ACK, 6);
  message.writeUInt32LE(sequence, 8);
  message.writeUInt16BE(group, HEADER_BYTES + 2);
  message.writeUInt16LE(ATTRIBUTE_BYTES + value.length, start);
  message.writeUInt16LE(type, start + 2);
  value.copy(message, start + ATTRIBUTE_BYTES);
  return message;
}

/** The first negative answer among acknowledgements: a positive error number, or 0. */
export function acknowledgedError(datagram: Uint8Array): number {
  const NLMSG_ERROR = 2;
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  let at = 0;
  while (at + HEADER_BYTES + 4 <= datagram.length) {
    const length = view.getUint32(at, true);
    if (length < HEADER_BYTES || at + length > datagram.length) return 0;
    if (view.getUint16(at + 4, true) === NLMSG_ERROR && length >= HEADER_BYTES + 4) {
      const code = view.getInt32(at + HEADER_BYTES, true);
      if (code !== 0) return -code;
    }
    at += padded(length);
  }
  return 0;
}
