/**
 * Tells the sender of a packet that it exceeds the path MTU: ICMP "fragmentation needed" for IPv4
 * and "packet too big" for IPv6, each as a whole Ethernet frame that looks as if it came from the
 * packet's destination. VLAN tags are repeated, so that the answer reaches the same VLAN.
 * Source: reference/wire-protocol.md 10.9; RFC 792, 1122 section 3.2.2, 1191, 4443.
 *
 *   IPv4   Ethernet, tags | IP header (20) | 03 04 sum 0000 mtu16 | their IP header, 8 bytes
 *   IPv6   Ethernet, tags | IP header (40) | 02 00 sum mtu32      | their packet, up to 1280 in all
 */
import { ETHERNET_HEADER_BYTES } from '../core/limits.js';
import { checksumAdd, checksumFinish } from './checksum.js';
import { type FrameInfo, FrameKind } from './frame.js';
import { copyBytes, readU16, readU32, writeU16, writeU32 } from './wire.js';

/** Every IPv6 link carries packets of this size, so nobody is asked to send smaller ones. */
export const IPV6_MIN_MTU = 1280;
/** Room an answer may need, two VLAN tags included. */
export const MAX_TOO_BIG_FRAME_BYTES = ETHERNET_HEADER_BYTES + 8 + IPV6_MIN_MTU;

const PROTOCOL_ICMP = 1;
const NEXT_HEADER_ICMPV6 = 58;
const TTL = 64;

/**
 * Writes the answer to the offending frame at `out[0]`; `out` has MAX_TOO_BIG_FRAME_BYTES.
 * @param mtu largest IP packet of untagged frames that would pass.
 * @returns bytes written, or 0 if the frame must not be answered: it is no IP packet, is an
 *   error message or a later fragment itself, or names no single sender.
 */
export function buildTooBig(
  out: Uint8Array,
  info: FrameInfo,
  buffer: Uint8Array,
  offset: number,
  frameBytes: number,
  mtu: number,
): number {
  const ip = offset + info.ipOffset;
  const present = frameBytes - info.ipOffset;
  // Tags take their room from the packet.
  const packetMtu = mtu - info.tagBytes;
  if (info.kind === FrameKind.ipv4) {
    if (!mayAnswerIpv4(info, buffer, ip, present)) return 0;
    writeEthernetHeader(out, info, buffer, offset);
    return info.ipOffset + writeFragNeeded(out, info, buffer, ip, present, packetMtu);
  }
  if (info.kind === FrameKind.ipv6) {
    if (!mayAnswerIpv6(buffer, ip, present)) return 0;
    writeEthernetHeader(out, info, buffer, offset);
    return info.ipOffset + writePacketTooBig(out, info, buffer, ip, packetMtu);
  }
  return 0;
}

/** Addresses swapped, tags and type as they were. */
function writeEthernetHeader(
  out: Uint8Array,
  info: FrameInfo,
  buffer: Uint8Array,
  offset: number,
): void {
  copyBytes(buffer, offset + 6, out, 0, 6);
  copyBytes(buffer, offset, out, 6, 6);
  copyBytes(buffer, offset + 12, out, 12, info.ipOffset - 12);
}

function writeFragNeeded(
  out: Uint8Array,
  info: FrameInfo,
  buffer: Uint8Array,
  ip: number,
  present: number,
  mtu: number,
): number {
  const quoted = info.ipHeaderBytes + Math.max(0, Math.min(8, present - info.ipHeaderBytes));
  const at = info.ipOffset;
  const icmp = at + 20;
  const totalBytes = 28 + quoted;
  out[at] = 0x45;
  out[at + 1] = buffer[ip + 1] as number;
  writeU16(out, at + 2, totalBytes);
  writeU32(out, at + 4, 0);
  out[at + 8] = TTL;
  out[at + 9] = PROTOCOL_ICMP;
  writeU16(out, at + 10, 0);
  copyBytes(buffer, ip + 16, out, at + 12, 4);
  copyBytes(buffer, ip + 12, out, at + 16, 4);
  writeU16(out, at + 10, checksumFinish(checksumAdd(0, out, at, 20)));
  out[icmp] = 3;
  out[icmp + 1] = 4;
  writeU32(out, icmp + 2, 0);
  writeU16(out, icmp + 6, Math.max(0, mtu));
  copyBytes(buffer, ip, out, icmp + 8, quoted);
  writeU16(out, icmp + 2, checksumFinish(checksumAdd(0, out, icmp, 8 + quoted)));
  return totalBytes;
}

function writePacketTooBig(
  out: Uint8Array,
  info: FrameInfo,
  buffer: Uint8Array,
  ip: number,
  mtu: number,
): number {
  const quoted = Math.min(info.ipTotalBytes, IPV6_MIN_MTU - 48);
  const at = info.ipOffset;
  const icmp = at + 40;
  const icmpBytes = 8 + quoted;
  writeU32(out, at, 0x6000_0000);
  writeU16(out, at + 4, icmpBytes);
  out[at + 6] = NEXT_HEADER_ICMPV6;
  out[at + 7] = TTL;
  copyBytes(buffer, ip + 24, out, at + 8, 16);
  copyBytes(buffer, ip + 8, out, at + 24, 16);
  out[icmp] = 2;
  out[icmp + 1] = 0;
  writeU16(out, icmp + 2, 0);
  writeU32(out, icmp + 4, Math.max(IPV6_MIN_MTU, mtu));
  copyBytes(buffer, ip, out, icmp + 8, quoted);
  // The pseudo-header is both addresses, the length and the protocol.
  const pseudo = checksumAdd(0, out, at + 8, 32) + icmpBytes + NEXT_HEADER_ICMPV6;
  writeU16(out, icmp + 2, checksumFinish(checksumAdd(pseudo, out, icmp, icmpBytes)));
  return 40 + icmpBytes;
}

function mayAnswerIpv4(info: FrameInfo, buffer: Uint8Array, ip: number, present: number): boolean {
  if ((readU16(buffer, ip + 6) & 0x1fff) !== 0) return false;
  if (readU32(buffer, ip + 12) === 0) return false;
  // 224 and above: multicast, reserved, broadcast.
  if ((buffer[ip + 12] as number) >= 224 || (buffer[ip + 16] as number) >= 224) return false;
  if (buffer[ip + 9] !== PROTOCOL_ICMP) return true;
  if (present <= info.ipHeaderBytes) return false;
  const type = buffer[ip + info.ipHeaderBytes] as number;
  return !(type === 3 || type === 4 || type === 5 || type === 11 || type === 12);
}

function mayAnswerIpv6(buffer: Uint8Array, ip: number, present: number): boolean {
  if (buffer[ip + 8] === 0xff || buffer[ip + 24] === 0xff) return false;
  let any = 0;
  for (let i = 8; i < 24; i++) any |= buffer[ip + i] as number;
  if (any === 0) return false;
  if (buffer[ip + 6] !== NEXT_HEADER_ICMPV6) return true;
  // Types below 128 are errors.
  return present > 40 && (buffer[ip + 40] as number) >= 128;
}
