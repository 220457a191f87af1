/**
 * A TCP frame larger than its segments, as a device with segmentation offload delivers it: one
 * header, the payload of many segments. Each segment gets the header that the sender's interface
 * would have given it, with an open checksum (see open-checksum.ts).
 * Source: RFC 9293 section 3.1, RFC 8200 section 8.1,
 * Documentation/networking/segmentation-offloads.rst of the kernel.
 */
import { completeChecksum, foldSum, sumWords } from './checksum.js';

const TCP_FIN = 0x01;
const TCP_PSH = 0x08;
const TCP_CWR = 0x80;
const PROTOCOL_TCP = 6;
const CHECKSUM_FIELD = 16;
/** Two VLAN tags, IPv6 and the longest TCP header take 122 bytes; extension headers some more. */
const MAX_HEADER_BYTES = 256;
const EMPTY = new Uint8Array(0);

/** Filled by `describe`; the payload stays in the buffer. */
export class LargeFrame {
  buffer: Uint8Array = EMPTY;
  /** Of the frame in the buffer. */
  offset = 0;
  /** Of a segment's headers, Ethernet included. */
  headerBytes = 0;
  /** Payload of each segment but the last. */
  segmentBytes = 0;
  payloadBytes = 0;
  count = 0;
  readonly #header = new Uint8Array(MAX_HEADER_BYTES);
  readonly #headerView = new DataView(this.#header.buffer);
  /** The same in the machine's order, little-endian. */
  readonly #headerWords = new Int32Array(this.#header.buffer);
  #ip = 0;
  #tcp = 0;
  #isIpv6 = false;
  #sequence = 0;
  #id = 0;
  #flags = 0;
  /** Sums of what all segments share. */
  #ipSum = 0;
  #pseudoSum = 0;

  /**
   * Takes the header of the frame; the buffer is not changed.
   * @param ip, tcp offsets of the headers from the frame's first byte.
   * @returns false if the description does not fit the frame.
   */
  describe(
    buffer: Uint8Array,
    view: DataView,
    offset: number,
    frameBytes: number,
    ip: number,
    tcp: number,
    segmentBytes: number,
    isIpv6: boolean,
  ): boolean {
    if (tcp + 20 > frameBytes || tcp < ip + (isIpv6 ? 40 : 20) || segmentBytes === 0) return false;
    const headerBytes = tcp + (view.getUint8(offset + tcp + 12) >>> 4) * 4;
    if (headerBytes < tcp + 20 || headerBytes > MAX_HEADER_BYTES) return false;
    if (headerBytes > frameBytes) return false;
    this.buffer = buffer;
    this.offset = offset;
    this.headerBytes = headerBytes;
    this.segmentBytes = segmentBytes;
    this.payloadBytes = frameBytes - headerBytes;
    this.count = Math.max(1, Math.ceil(this.payloadBytes / segmentBytes));
    this.#ip = ip;
    this.#tcp = tcp;
    this.#isIpv6 = isIpv6;
    const header = this.#header;
    for (let i = 0; i < headerBytes; i++) header[i] = buffer[offset + i] as number;
    this.#prepare();
    return true;
  }

  /** Payload of one segment, 0 to count − 1. */
  payloadBytesOf(index: number): number {
    return Math.min(this.segmentBytes, this.payloadBytes - index * this.segmentBytes);
  }

  /** Where a segment's payload lies in the buffer. */
  payloadOffsetOf(index: number): number {
    return this.offset + this.headerBytes + index * this.segmentBytes;
  }

  /** Writes a segment's header, `headerBytes` long, its checksum open. */
  writeHeader(view: DataView, at: number, index: number, payloadBytes: number): void {
    const { headerBytes } = this;
    const words = this.#headerWords;
    const count = headerBytes >>> 2;
    for (let i = 0; i < count; i++) view.setInt32(at + i * 4, words[i] as number, true);
    for (let i = headerBytes & ~3; i < headerBytes; i++) {
      view.setUint8(at + i, this.#header[i] as number);
    }
    const ip = at + this.#ip;
    const tcp = at + this.#tcp;
    const ipBytes = headerBytes - this.#ip + payloadBytes;
    if (this.#isIpv6) {
      view.setUint16(ip + 4, ipBytes - 40);
    } else {
      const id = (this.#id + index) & 0xffff;
      view.setUint16(ip + 2, ipBytes);
      view.setUint16(ip + 4, id);
      view.setUint16(ip + 10, ~foldSum(this.#ipSum + ipBytes + id) & 0xffff);
    }
    view.setUint32(tcp + 4, (this.#sequence + index * this.segmentBytes) >>> 0);
    let flags = this.#flags;
    if (index !== 0) flags &= ~TCP_CWR;
    if (index !== this.count - 1) flags &= ~(TCP_FIN | TCP_PSH);
    view.setUint8(tcp + 13, flags);
    const tcpBytes = headerBytes - this.#tcp + payloadBytes;
    view.setUint16(tcp + CHECKSUM_FIELD, foldSum(this.#pseudoSum + tcpBytes));
  }

  /** Completes the checksum of a segment whose header and payload are in place. */
  complete(view: DataView, at: number, payloadBytes: number): void {
    const tcpBytes = this.headerBytes - this.#tcp + payloadBytes;
    completeChecksum(view, at + this.#tcp, tcpBytes, CHECKSUM_FIELD);
  }

  /** Everything that does not change from segment to segment is read and summed once. */
  #prepare(): void {
    const view = this.#headerView;
    const ip = this.#ip;
    const tcp = this.#tcp;
    this.#sequence = view.getUint32(tcp + 4);
    this.#flags = view.getUint8(tcp + 13);
    if (this.#isIpv6) {
      this.#pseudoSum = PROTOCOL_TCP + sumWords(view, ip + 8, 32);
      return;
    }
    this.#id = view.getUint16(ip + 4);
    view.setUint16(ip + 2, 0);
    view.setUint16(ip + 4, 0);
    view.setUint16(ip + 10, 0);
    this.#ipSum = sumWords(view, ip, tcp - ip);
    this.#pseudoSum = PROTOCOL_TCP + sumWords(view, ip + 12, 8);
  }
}
