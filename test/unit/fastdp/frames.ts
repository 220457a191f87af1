/** Builds the frames that the tests send. Addresses are of documentation ranges. */

import { concatBytes } from '../../../core/bytes.js';
import { checksumAdd, checksumFinish } from '../../../fastdp/checksum.js';
import { writeU16, writeU48 } from '../../../fastdp/wire.js';

export const MAC_A = 0x0200_0000_0001;
export const MAC_B = 0x0200_0000_0002;
export const MAC_C = 0x0200_0000_0003;
export const MAC_ALL = 0xffff_ffff_ffff;

export function ethernet(
  type: number,
  payload: Uint8Array,
  sourceMac = MAC_A,
  destinationMac = MAC_B,
): Uint8Array {
  const frame = new Uint8Array(14 + payload.length);
  writeU48(frame, 0, destinationMac);
  writeU48(frame, 6, sourceMac);
  writeU16(frame, 12, type);
  frame.set(payload, 14);
  return frame;
}

export function tagged(tags: number, type: number, payload: Uint8Array): Uint8Array {
  let body = payload;
  let outer = type;
  for (let i = 0; i < tags; i++) {
    const tag = new Uint8Array(4);
    writeU16(tag, 0, 100 + i);
    writeU16(tag, 2, outer);
    body = concatBytes(tag, body);
    outer = i === tags - 1 && tags > 1 ? 0x88a8 : 0x8100;
  }
  return ethernet(outer, body);
}

export interface Ipv4Shape {
  readonly payloadBytes: number;
  readonly df: boolean;
  readonly options?: readonly number[];
  readonly protocol?: number;
  readonly fragmentOffset?: number;
}

/** From 192.0.2.1 to 192.0.2.2, payload counting up. */
export function ipv4Packet(shape: Ipv4Shape): Uint8Array {
  const options = shape.options ?? [];
  const headerBytes = 20 + options.length;
  const packet = new Uint8Array(headerBytes + shape.payloadBytes);
  packet[0] = 0x40 | (headerBytes / 4);
  writeU16(packet, 2, packet.length);
  writeU16(packet, 4, 0x1234);
  writeU16(packet, 6, (shape.df ? 0x4000 : 0) | (shape.fragmentOffset ?? 0));
  packet[8] = 64;
  packet[9] = shape.protocol ?? 17;
  packet.set([192, 0, 2, 1, 192, 0, 2, 2], 12);
  packet.set(options, 20);
  writeU16(packet, 10, checksumFinish(checksumAdd(0, packet, 0, headerBytes)));
  for (let i = headerBytes; i < packet.length; i++) packet[i] = i;
  return packet;
}

/** From 2001:db8::1 to 2001:db8::2. */
export function ipv6Packet(payloadBytes: number, nextHeader = 17): Uint8Array {
  const packet = new Uint8Array(40 + payloadBytes);
  packet[0] = 0x60;
  writeU16(packet, 4, payloadBytes);
  packet[6] = nextHeader;
  packet[7] = 64;
  packet.set([0x20, 0x01, 0x0d, 0xb8], 8);
  packet[23] = 1;
  packet.set([0x20, 0x01, 0x0d, 0xb8], 24);
  packet[39] = 2;
  for (let i = 40; i < packet.length; i++) packet[i] = i;
  return packet;
}
