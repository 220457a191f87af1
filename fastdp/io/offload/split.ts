/**
 * Makes plain frames of what a TAP device with offloads delivers: fills in open checksums, and
 * cuts large TCP frames into segments as the sender's interface would have. The segments are made
 * in place, each header written over the payload that has been handed on already.
 * Source: RFC 9293 section 3.1, RFC 8200 section 8.1,
 * Documentation/networking/segmentation-offloads.rst of the kernel.
 */
import {
  foldSum,
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  NEEDS_CHECKSUM,
  networkOffset,
  PROTOCOL_TCP,
  sumWords,
  TCP_CWR,
  TCP_FIN,
  TCP_PSH,
  VNET_HEADER_BYTES,
  VnetField,
} from './vnet-header.js';

/** @returns false if the rest of the same large frame is not wanted. */
export type FrameSink = (buffer: Uint8Array, offset: number, frameBytes: number) => boolean;

/** Two VLAN tags, IPv6 and the longest TCP header take 122 bytes; extension headers some more. */
const MAX_HEADER_BYTES = 256;

export class FrameSplitter {
  readonly #header = new Uint8Array(MAX_HEADER_BYTES);

  /**
   * @param bytes vnet header and frame together, at the start of the buffer; changed in place.
   * @returns frames handed on, or −1 if the description does not fit the frame (nothing done).
   */
  split(buffer: Uint8Array, view: DataView, bytes: number, sink: FrameSink): number {
    const frameBytes = bytes - VNET_HEADER_BYTES;
    if (frameBytes < 14) return -1;
    const gsoType = view.getUint8(VnetField.gsoType) & ~GSO_ECN;
    if (gsoType !== GSO_NONE) return this.#segment(buffer, view, gsoType, frameBytes, sink);
    if ((view.getUint8(VnetField.flags) & NEEDS_CHECKSUM) !== 0) {
      if (!completeChecksum(view, frameBytes)) return -1;
    }
    sink(buffer, VNET_HEADER_BYTES, frameBytes);
    return 1;
  }

  #segment(
    buffer: Uint8Array,
    view: DataView,
    gsoType: number,
    frameBytes: number,
    sink: FrameSink,
  ): number {
    if (gsoType !== GSO_TCPV4 && gsoType !== GSO_TCPV6) return -1;
    const isIpv6 = gsoType === GSO_TCPV6;
    const frameAt = VNET_HEADER_BYTES;
    const segmentBytes = view.getUint16(VnetField.gsoSize, true);
    const tcp = view.getUint16(VnetField.checksumStart, true);
    const ip = networkOffset(view, frameAt, frameBytes);
    if (tcp + 20 > frameBytes || tcp < ip + (isIpv6 ? 40 : 20) || segmentBytes === 0) return -1;
    const headerBytes = tcp + (view.getUint8(frameAt + tcp + 12) >>> 4) * 4;
    if (headerBytes < tcp + 20 || headerBytes > MAX_HEADER_BYTES) return -1;
    const end = frameAt + frameBytes;
    const payloadAt = frameAt + headerBytes;
    if (payloadAt > end) return -1;

    // Everything that does not change from segment to segment is summed once.
    const header = this.#header;
    view.setUint16(frameAt + tcp + 16, 0);
    for (let i = 0; i < headerBytes; i++) header[i] = buffer[frameAt + i] as number;
    const sequence = view.getUint32(frameAt + tcp + 4);
    const id = isIpv6 ? 0 : view.getUint16(frameAt + ip + 4);
    const flags = view.getUint8(frameAt + tcp + 13);
    let ipBase = 0;
    if (!isIpv6) {
      view.setUint16(frameAt + ip + 2, 0);
      view.setUint16(frameAt + ip + 4, 0);
      view.setUint16(frameAt + ip + 10, 0);
      ipBase = sumWords(view, frameAt + ip, tcp - ip);
    }
    const addresses = frameAt + ip + (isIpv6 ? 8 : 12);
    const tcpBase = PROTOCOL_TCP + sumWords(view, addresses, isIpv6 ? 32 : 8);
    let count = 0;
    for (let at = payloadAt; at < end || count === 0; at += segmentBytes) {
      const payload = Math.min(segmentBytes, end - at);
      const start = at - headerBytes;
      const isFirst = count === 0;
      const isLast = at + payload >= end;
      for (let i = 0; i < headerBytes; i++) buffer[start + i] = header[i] as number;
      const ipBytes = headerBytes - ip + payload;
      if (isIpv6) {
        view.setUint16(start + ip + 4, ipBytes - 40);
      } else {
        const segmentId = (id + count) & 0xffff;
        view.setUint16(start + ip + 2, ipBytes);
        view.setUint16(start + ip + 4, segmentId);
        view.setUint16(start + ip + 10, ~foldSum(ipBase + ipBytes + segmentId) & 0xffff);
      }
      view.setUint32(start + tcp + 4, (sequence + at - payloadAt) >>> 0);
      let segmentFlags = flags;
      if (!isFirst) segmentFlags &= ~TCP_CWR;
      if (!isLast) segmentFlags &= ~(TCP_FIN | TCP_PSH);
      view.setUint8(start + tcp + 13, segmentFlags);
      const tcpBytes = headerBytes - tcp + payload;
      const sum = tcpBase + tcpBytes + sumWords(view, start + tcp, tcpBytes);
      view.setUint16(start + tcp + 16, ~foldSum(sum) & 0xffff || 0xffff);
      count++;
      if (!sink(buffer, start, headerBytes + payload)) break;
    }
    return count;
  }
}

/** @returns false if the fields point outside the frame. */
function completeChecksum(view: DataView, frameBytes: number): boolean {
  const start = view.getUint16(VnetField.checksumStart, true);
  const offset = view.getUint16(VnetField.checksumOffset, true);
  if (start + offset + 2 > frameBytes) return false;
  const at = VNET_HEADER_BYTES + start;
  const sum = sumWords(view, at, frameBytes - start);
  // Zero means "none" in UDP; its equal in ones' complement is always right.
  view.setUint16(at + offset, ~sum & 0xffff || 0xffff);
  return true;
}
