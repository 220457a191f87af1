/**
 * Finds what the data plane must know about an Ethernet frame: addresses, VLAN tags and where an
 * IP header lies. Everything goes into numbers of an object the caller keeps, so that a frame
 * costs no allocation. Source: reference/wire-protocol.md 10.8; IEEE 802.1Q; RFC 791; RFC 8200.
 */
import { ETHERNET_HEADER_BYTES } from '../core/limits.js';
import { readU16, readU32, readU48 } from './wire.js';

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_IPV6 = 0x86dd;
const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_QINQ = 0x88a8;
const VLAN_TAG_BYTES = 4;
/** More tags than a provider network stacks; further ones are just payload. */
const MAX_TAGS = 2;

export const FrameKind = {
  tooShort: 0,
  other: 1,
  ipv4: 2,
  ipv6: 3,
} as const;
export type FrameKind = (typeof FrameKind)[keyof typeof FrameKind];

/** Filled by `parseFrame`; offsets count from the frame's first byte. Fields of IP only if one. */
export class FrameInfo {
  kind: FrameKind = FrameKind.tooShort;
  destinationMac = 0;
  sourceMac = 0;
  /** Both addresses and the type are zero: a message between routers, never a workload's frame. */
  special = false;
  /** 0, 4 or 8: bytes between the addresses and the type that counts. */
  tagBytes = 0;
  ipOffset = 0;
  ipHeaderBytes = 0;
  /** IPv4: the total length as the header has it, or all remaining bytes if that is 0. */
  ipTotalBytes = 0;
  /** IPv4 header's don't-fragment bit. */
  df = false;
  /** The checksum may be open (see open-checksum.ts). Set by who knows the frame's way. */
  mayBeOpen = false;
}

/**
 * @returns `into`. An IP header that is cut short or contradicts itself makes the frame `other`,
 *   which is carried like any unknown protocol.
 */
export function parseFrame(
  into: FrameInfo,
  buffer: Uint8Array,
  offset: number,
  frameBytes: number,
): FrameInfo {
  into.kind = FrameKind.tooShort;
  into.special = false;
  into.df = false;
  into.tagBytes = 0;
  if (frameBytes < ETHERNET_HEADER_BYTES) return into;
  into.kind = FrameKind.other;
  into.destinationMac = readU48(buffer, offset);
  into.sourceMac = readU48(buffer, offset + 6);
  let type = readU16(buffer, offset + 12);
  into.special = type === 0 && into.destinationMac === 0 && into.sourceMac === 0;
  let ipOffset = ETHERNET_HEADER_BYTES;
  for (let tags = 0; tags < MAX_TAGS; tags++) {
    if (type !== ETHERTYPE_VLAN && type !== ETHERTYPE_QINQ) break;
    if (frameBytes < ipOffset + VLAN_TAG_BYTES) return into;
    ipOffset += VLAN_TAG_BYTES;
    type = readU16(buffer, offset + ipOffset - 2);
  }
  into.tagBytes = ipOffset - ETHERNET_HEADER_BYTES;
  into.ipOffset = ipOffset;
  if (type === ETHERTYPE_IPV4) parseIpv4(into, buffer, offset + ipOffset, frameBytes - ipOffset);
  else if (type === ETHERTYPE_IPV6) {
    parseIpv6(into, buffer, offset + ipOffset, frameBytes - ipOffset);
  }
  return into;
}

/** The version field is not checked, as the original does not. */
function parseIpv4(into: FrameInfo, buffer: Uint8Array, at: number, bytes: number): void {
  if (bytes < 20) return;
  const headerBytes = ((buffer[at] as number) & 0x0f) * 4;
  // Segmentation offload leaves 0 in the length field.
  const totalBytes = readU16(buffer, at + 2) || bytes;
  if (totalBytes < 20 || headerBytes < 20 || headerBytes > totalBytes || headerBytes > bytes) {
    return;
  }
  if (!optionsWellFormed(buffer, at + 20, headerBytes - 20)) return;
  into.kind = FrameKind.ipv4;
  into.ipHeaderBytes = headerBytes;
  into.ipTotalBytes = totalBytes;
  into.df = ((buffer[at + 6] as number) & 0x40) !== 0;
}

function optionsWellFormed(buffer: Uint8Array, start: number, bytes: number): boolean {
  let at = start;
  const end = start + bytes;
  while (at < end) {
    const type = buffer[at] as number;
    if (type === 0) return true;
    if (type === 1) {
      at += 1;
      continue;
    }
    if (at + 1 >= end) return false;
    const optionBytes = buffer[at + 1] as number;
    if (optionBytes < 2 || optionBytes > end - at) return false;
    at += optionBytes;
  }
  return true;
}

function parseIpv6(into: FrameInfo, buffer: Uint8Array, at: number, bytes: number): void {
  if (bytes < 40 || readU32(buffer, at) >>> 28 !== 6) return;
  into.kind = FrameKind.ipv6;
  into.ipHeaderBytes = 40;
  into.ipTotalBytes = Math.min(bytes, 40 + (readU16(buffer, at + 4) || bytes - 40));
}
