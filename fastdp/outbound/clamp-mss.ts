/**
 * Lowers the maximum segment size that a TCP connection agrees on, where the workload's MTU is too
 * large for the path: the option in a SYN or SYN-ACK is rewritten, so that neither end ever makes
 * a segment that has to be refused. Connections work then even where ICMP is filtered inside the
 * workloads. Source: RFC 9293 section 3.7.1, RFC 6691, RFC 1624; a SYN without the option already
 * means 536 or 1220 bytes and is left alone.
 */
import { type FrameInfo, FrameKind } from '../frame.js';
import { IPV6_MIN_MTU } from '../icmp.js';
import { readU16, writeU16 } from '../wire.js';

const PROTOCOL_TCP = 6;
const TCP_HEADER_BYTES = 20;
const TCP_SYN = 0x02;
const OPTION_END = 0;
const OPTION_NOTHING = 1;
const OPTION_MSS = 2;
const MSS_OPTION_BYTES = 4;
/** Below this a path is good for nothing but its own search. */
const LEAST_MSS = 64;

/** Knows whether the transport checksum of a frame is still to be completed. */
export interface ChecksumState {
  find(buffer: Uint8Array, offset: number, frameBytes: number): boolean;
}

/**
 * @param buffer the frame is changed in place, its checksum with it.
 * @param mtu largest IP packet of untagged frames that passes.
 * @param checksum null: it is complete.
 * @returns true if the option was lowered.
 */
export function clampMss(
  info: FrameInfo,
  buffer: Uint8Array,
  offset: number,
  frameBytes: number,
  mtu: number,
  checksum: ChecksumState | null,
): boolean {
  const ip = offset + info.ipOffset;
  let packetMtu = mtu - info.tagBytes;
  if (info.kind === FrameKind.ipv4) {
    if (buffer[ip + 9] !== PROTOCOL_TCP) return false;
    // Later fragments have no TCP header.
    if ((readU16(buffer, ip + 6) & 0x1fff) !== 0) return false;
  } else if (info.kind === FrameKind.ipv6) {
    // A SYN behind extension headers is so rare that ICMP may serve it.
    if (buffer[ip + 6] !== PROTOCOL_TCP) return false;
    packetMtu = Math.max(packetMtu, IPV6_MIN_MTU);
  } else {
    return false;
  }
  const tcp = ip + info.ipHeaderBytes;
  const end = offset + frameBytes;
  if (tcp + TCP_HEADER_BYTES > end || ((buffer[tcp + 13] as number) & TCP_SYN) === 0) return false;
  const limit = packetMtu - (info.kind === FrameKind.ipv4 ? 20 : 40) - TCP_HEADER_BYTES;
  const optionsEnd = Math.min(end, tcp + ((buffer[tcp + 12] as number) >>> 4) * 4);
  const at = findMss(buffer, tcp + TCP_HEADER_BYTES, optionsEnd);
  if (at === -1 || limit < LEAST_MSS || readU16(buffer, at) <= limit) return false;
  lower(buffer, tcp, at, limit, checksum?.find(buffer, offset, frameBytes) === true);
  return true;
}

/** @returns where the option's value lies, or −1. */
function findMss(buffer: Uint8Array, start: number, end: number): number {
  let at = start;
  while (at < end) {
    const kind = buffer[at] as number;
    if (kind === OPTION_END) return -1;
    if (kind === OPTION_NOTHING) {
      at += 1;
      continue;
    }
    const bytes = at + 1 < end ? (buffer[at + 1] as number) : 0;
    if (bytes < 2 || at + bytes > end) return -1;
    if (kind === OPTION_MSS) return bytes === MSS_OPTION_BYTES ? at + 2 : -1;
    at += bytes;
  }
  return -1;
}

/** @param isOpen the checksum covers nothing of the TCP header yet. */
function lower(buffer: Uint8Array, tcp: number, at: number, mss: number, isOpen: boolean): void {
  const before = readU16(buffer, at);
  writeU16(buffer, at, mss);
  if (isOpen) return;
  // At an odd place the value's bytes belong to two words, so that they count the other way round.
  const isOdd = ((at - tcp) & 1) === 1;
  const removed = isOdd ? swapBytes(before) : before;
  const added = isOdd ? swapBytes(mss) : mss;
  let sum = (~readU16(buffer, tcp + 16) & 0xffff) + (~removed & 0xffff) + added;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  writeU16(buffer, tcp + 16, ~sum & 0xffff);
}

function swapBytes(word: number): number {
  return ((word & 0xff) << 8) | (word >>> 8);
}
