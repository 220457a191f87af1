/** Builds TCP frames and checks their checksums in the plainest way, for the tests of offloads. */
import { toHex } from '../../../../../core/bytes.js';

export interface TcpFrame {
  readonly ipv6?: boolean;
  /** VLAN tags in front of the network header; IPv4 only. */
  readonly tags?: number;
  /** Bytes of TCP options, a multiple of 4. */
  readonly optionBytes?: number;
  readonly sequence?: number;
  readonly id?: number;
  readonly flags?: number;
  readonly port?: number;
  readonly payload: Uint8Array;
}

export interface BuiltFrame {
  readonly bytes: Uint8Array;
  readonly ipAt: number;
  readonly tcpAt: number;
  readonly headerBytes: number;
}

/** Words of 16 bits in big-endian order, one at a time. */
export function plainSum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) {
    sum += ((bytes[i] as number) << 8) | (bytes[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 65536);
  return sum;
}

function pseudoHeader(frame: Uint8Array, ipAt: number, tcpAt: number): Uint8Array {
  const isIpv6 = (frame[ipAt] as number) >>> 4 === 6;
  const from = ipAt + (isIpv6 ? 8 : 12);
  const addresses = frame.subarray(from, from + (isIpv6 ? 32 : 8));
  const tcpBytes = frame.length - tcpAt;
  return Uint8Array.of(...addresses, 0, 6, tcpBytes >>> 8, tcpBytes & 255);
}

/** @returns the transport checksum over the frame as it is; 0 if the one inside is right. */
export function tcpChecksum(frame: Uint8Array, ipAt: number, tcpAt: number): number {
  const pseudo = plainSum(pseudoHeader(frame, ipAt, tcpAt));
  let sum = pseudo + plainSum(frame.subarray(tcpAt));
  if (sum > 0xffff) sum -= 0xffff;
  return ~sum & 0xffff;
}

/** Sum of the pseudo header, as it stands in a frame whose checksum is open. */
export function openChecksum(frame: Uint8Array, ipAt: number, tcpAt: number): number {
  return plainSum(pseudoHeader(frame, ipAt, tcpAt));
}

/** A whole frame with right checksums. */
export function tcpFrame(spec: TcpFrame): BuiltFrame {
  const tags = spec.tags ?? 0;
  const isIpv6 = spec.ipv6 === true;
  const ipAt = 14 + tags * 4;
  const tcpAt = ipAt + (isIpv6 ? 40 : 20);
  const headerBytes = tcpAt + 20 + (spec.optionBytes ?? 12);
  const bytes = new Uint8Array(headerBytes + spec.payload.length);
  const view = new DataView(bytes.buffer);
  bytes.set([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
  for (let i = 0; i < tags; i++) view.setUint32(12 + i * 4, 0x8100_0005);
  view.setUint16(ipAt - 2, isIpv6 ? 0x86dd : 0x0800);
  if (isIpv6) {
    view.setUint32(ipAt, 0x6000_0000);
    view.setUint16(ipAt + 4, bytes.length - tcpAt);
    view.setUint16(ipAt + 6, 0x0640);
    bytes.fill(0xfd, ipAt + 8, ipAt + 40);
  } else {
    view.setUint16(ipAt, 0x4500);
    view.setUint16(ipAt + 2, bytes.length - ipAt);
    view.setUint16(ipAt + 4, spec.id ?? 1);
    view.setUint16(ipAt + 6, 0x4000);
    view.setUint16(ipAt + 8, 0x4006);
    view.setUint32(ipAt + 12, 0x0a200001);
    view.setUint32(ipAt + 16, 0x0a200002);
    view.setUint16(ipAt + 10, ~plainSum(bytes.subarray(ipAt, tcpAt)) & 0xffff);
  }
  view.setUint16(tcpAt, spec.port ?? 4000);
  view.setUint16(tcpAt + 2, 5201);
  view.setUint32(tcpAt + 4, spec.sequence ?? 1);
  view.setUint32(tcpAt + 8, 77);
  view.setUint8(tcpAt + 12, ((headerBytes - tcpAt) / 4) << 4);
  view.setUint8(tcpAt + 13, spec.flags ?? 0x10);
  view.setUint16(tcpAt + 14, 500);
  bytes.fill(1, tcpAt + 20, headerBytes);
  bytes.set(spec.payload, headerBytes);
  // Zero and ffff mean the same here; the kernel's completion and ours write the latter.
  view.setUint16(tcpAt + 16, tcpChecksum(bytes, ipAt, tcpAt) || 0xffff);
  return { bytes, ipAt, tcpAt, headerBytes };
}

/** For messages of failed assertions. */
export function hexList(frames: readonly Uint8Array[]): string[] {
  return frames.map((frame) => toHex(frame));
}
