/**
 * The reverse of split: consecutive TCP segments of one flow become one large frame for the TAP
 * device, so that the bridge and the workload's stack run once for all of them. Nothing is copied
 * but the first header: the frame is given as a list of pieces. Frames that do not fit the flow in
 * hand end it, so the order of frames never changes.
 *
 * Only segments whose checksum is right are joined, since the kernel takes a joined frame's word
 * for it. Source: segmentation-offloads.rst of the kernel; the conditions are those of its own
 * receive offload.
 */
import {
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  foldSum,
  GSO_TCPV4,
  GSO_TCPV6,
  IPV6_HEADER_BYTES,
  NEEDS_CHECKSUM,
  PROTOCOL_TCP,
  sumWords,
  TCP_ACK,
  TCP_PSH,
  VNET_HEADER_BYTES,
  VnetField,
} from './vnet-header.js';

const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;
const DF = 0x4000;
/** The IP packet's length field is the limit. */
const MAX_PACKET_BYTES = 65535;
export const MAX_JOINED = 64;
/** Ethernet, IPv6 and the longest TCP header. */
const MAX_HEADER_BYTES = 14 + 40 + 60;

/** What is to be written, valid during the call. */
export interface JoinedFrame {
  /** Vnet header, then the frame's headers. */
  readonly header: Uint8Array;
  readonly headerBytes: number;
  /** Payload pieces as offsets in the source buffer. */
  readonly pieceOffsets: Int32Array;
  readonly pieceBytes: Int32Array;
  readonly pieceCount: number;
}

export interface JoinSink {
  /** @returns false if the frame was not taken. */
  writeSingle(buffer: Uint8Array, offset: number, frameBytes: number): boolean;
  writeJoined(buffer: Uint8Array, frame: JoinedFrame): boolean;
}

export class FrameJoiner {
  readonly #sink: JoinSink;
  readonly #header = new Uint8Array(VNET_HEADER_BYTES + MAX_HEADER_BYTES);
  readonly #headerView = new DataView(this.#header.buffer);
  readonly #pieceOffsets = new Int32Array(MAX_JOINED);
  readonly #pieceBytes = new Int32Array(MAX_JOINED);
  // The buffer that frames wait in, and the flow in hand; count 0 means none.
  #buffer: Uint8Array | null = null;
  #view: DataView = new DataView(new ArrayBuffer(0));
  #count = 0;
  #firstAt = 0;
  #frameBytes = 0;
  #headerBytes = 0;
  #tcp = 0;
  #isIpv6 = false;
  #segmentBytes = 0;
  #nextSequence = 0;
  #flags = 0;
  #firstVerified = false;

  constructor(sink: JoinSink) {
    this.#sink = sink;
  }

  /**
   * Frames in this buffer stay in place until `flush`; those of other buffers are written at once.
   */
  setStableBuffer(buffer: Uint8Array): void {
    this.#buffer = buffer;
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  }

  /** @returns false if the frame was refused at once; true for one that waits. */
  write(buffer: Uint8Array, offset: number, frameBytes: number): boolean {
    if (buffer === this.#buffer) {
      const tcp = this.#tcpOffset(offset, frameBytes);
      if (tcp > 0) {
        if (this.#count > 0 && this.#append(offset, frameBytes, tcp)) return true;
        this.flush();
        this.#begin(offset, frameBytes, tcp);
        return true;
      }
    }
    this.flush();
    return this.#sink.writeSingle(buffer, offset, frameBytes);
  }

  /** Writes what waits. */
  flush(): void {
    const count = this.#count;
    if (count === 0) return;
    this.#count = 0;
    const buffer = this.#buffer as Uint8Array;
    if (count === 1) {
      this.#sink.writeSingle(buffer, this.#firstAt, this.#frameBytes);
      return;
    }
    this.#finishHeader();
    this.#sink.writeJoined(buffer, {
      header: this.#header,
      headerBytes: VNET_HEADER_BYTES + this.#headerBytes,
      pieceOffsets: this.#pieceOffsets,
      pieceBytes: this.#pieceBytes,
      pieceCount: count,
    });
  }

  /**
   * Where the TCP header starts in a frame that may be joined: untagged IPv4 with DF and without
   * options, or IPv6 without extension headers, unpadded, with payload and no flags but ACK and
   * PSH. 0 for all others.
   */
  #tcpOffset(at: number, frameBytes: number): number {
    const view = this.#view;
    if (frameBytes < ETHERNET_BYTES + IPV4_BYTES + 20 + 1) return 0;
    const type = view.getUint16(at + 12);
    const ip = at + ETHERNET_BYTES;
    let tcp: number;
    if (type === ETHERTYPE_IPV4) {
      if (view.getUint8(ip) !== 0x45 || view.getUint8(ip + 9) !== PROTOCOL_TCP) return 0;
      if (view.getUint16(ip + 6) !== DF) return 0;
      if (view.getUint16(ip + 2) !== frameBytes - ETHERNET_BYTES) return 0;
      tcp = ETHERNET_BYTES + IPV4_BYTES;
    } else if (type === ETHERTYPE_IPV6) {
      tcp = ETHERNET_BYTES + IPV6_HEADER_BYTES;
      if (frameBytes < tcp + 21 || view.getUint8(ip + 6) !== PROTOCOL_TCP) return 0;
      if (view.getUint8(ip) >>> 4 !== 6) return 0;
      if (view.getUint16(ip + 4) !== frameBytes - tcp) return 0;
    } else {
      return 0;
    }
    const flags = view.getUint8(at + tcp + 13);
    if ((flags & ~TCP_PSH) !== TCP_ACK) return 0;
    const headerBytes = (view.getUint8(at + tcp + 12) >>> 4) * 4;
    return headerBytes >= 20 && tcp + headerBytes < frameBytes ? tcp : 0;
  }

  #begin(at: number, frameBytes: number, tcp: number): void {
    const view = this.#view;
    this.#tcp = tcp;
    this.#isIpv6 = tcp !== ETHERNET_BYTES + IPV4_BYTES;
    this.#headerBytes = tcp + (view.getUint8(at + tcp + 12) >>> 4) * 4;
    this.#count = 1;
    this.#firstAt = at;
    this.#frameBytes = frameBytes;
    this.#segmentBytes = frameBytes - this.#headerBytes;
    this.#nextSequence = (view.getUint32(at + tcp + 4) + this.#segmentBytes) >>> 0;
    this.#flags = view.getUint8(at + tcp + 13);
    this.#firstVerified = false;
    this.#pieceOffsets[0] = at + this.#headerBytes;
    this.#pieceBytes[0] = this.#segmentBytes;
  }

  /** @returns false if the segment does not continue the flow in hand. */
  #append(at: number, frameBytes: number, tcp: number): boolean {
    const payload = frameBytes - this.#headerBytes;
    const last = this.#pieceBytes[this.#count - 1] as number;
    if (
      tcp !== this.#tcp ||
      this.#view.getUint32(at + tcp + 4) !== this.#nextSequence ||
      payload <= 0 ||
      payload > this.#segmentBytes ||
      last !== this.#segmentBytes ||
      this.#count === MAX_JOINED ||
      // A push ends the flow: the sender wants it delivered.
      (this.#flags & TCP_PSH) !== 0 ||
      this.#frameBytes + payload - ETHERNET_BYTES > MAX_PACKET_BYTES ||
      !this.#sameHeader(at)
    ) {
      return false;
    }
    if (!this.#firstVerified) {
      if (!this.#checksumRight(this.#firstAt, this.#headerBytes + this.#segmentBytes)) return false;
      this.#firstVerified = true;
    }
    if (!this.#checksumRight(at, frameBytes)) return false;
    this.#pieceOffsets[this.#count] = at + this.#headerBytes;
    this.#pieceBytes[this.#count] = payload;
    this.#count++;
    this.#frameBytes += payload;
    this.#nextSequence = (this.#nextSequence + payload) >>> 0;
    this.#flags |= this.#view.getUint8(at + tcp + 13);
    return true;
  }

  /** Compares all header words but lengths, identification, sequence number and checksums. */
  #sameHeader(at: number): boolean {
    const view = this.#view;
    const first = this.#firstAt;
    const tcp = this.#tcp;
    const end = this.#headerBytes;
    const ip = ETHERNET_BYTES;
    for (let i = 0; i < end; i += 2) {
      if (view.getUint16(at + i) === view.getUint16(first + i)) continue;
      const inIp = i - ip;
      const inTcp = i - tcp;
      if (inTcp === 4 || inTcp === 6 || inTcp === 16) continue;
      // Data offset and flags: only PSH may differ.
      if (inTcp === 12 && ((view.getUint16(at + i) ^ view.getUint16(first + i)) & ~TCP_PSH) === 0) {
        continue;
      }
      if (inTcp < 0 && (this.#isIpv6 ? inIp === 4 : inIp === 2 || inIp === 4 || inIp === 10)) {
        continue;
      }
      return false;
    }
    return true;
  }

  #checksumRight(at: number, frameBytes: number): boolean {
    const view = this.#view;
    const ip = at + ETHERNET_BYTES;
    // The kernel checks a joined frame's IPv4 header against the checksum we make anew.
    if (!this.#isIpv6 && sumWords(view, ip, IPV4_BYTES) !== 0xffff) return false;
    const tcpBytes = frameBytes - this.#tcp;
    const sum = this.#pseudoSum(view, at) + tcpBytes + sumWords(view, at + this.#tcp, tcpBytes);
    return foldSum(sum) === 0xffff;
  }

  /** Addresses and protocol, without the length. */
  #pseudoSum(view: DataView, at: number): number {
    const ip = at + ETHERNET_BYTES;
    return PROTOCOL_TCP + (this.#isIpv6 ? sumWords(view, ip + 8, 32) : sumWords(view, ip + 12, 8));
  }

  #finishHeader(): void {
    const header = this.#header;
    const view = this.#headerView;
    const source = this.#buffer as Uint8Array;
    const at = VNET_HEADER_BYTES;
    for (let i = 0; i < this.#headerBytes; i++)
      header[at + i] = source[this.#firstAt + i] as number;
    const tcp = at + this.#tcp;
    const ip = at + ETHERNET_BYTES;
    const tcpBytes = this.#frameBytes - this.#tcp;
    if (this.#isIpv6) {
      view.setUint16(ip + 4, tcpBytes);
    } else {
      view.setUint16(ip + 2, this.#frameBytes - ETHERNET_BYTES);
      view.setUint16(ip + 10, 0);
      view.setUint16(ip + 10, ~sumWords(view, ip, IPV4_BYTES) & 0xffff);
    }
    view.setUint8(tcp + 13, this.#flags);
    view.setUint16(tcp + 16, foldSum(this.#pseudoSum(view, at) + tcpBytes));
    view.setUint8(VnetField.flags, NEEDS_CHECKSUM);
    view.setUint8(VnetField.gsoType, this.#isIpv6 ? GSO_TCPV6 : GSO_TCPV4);
    view.setUint16(VnetField.headerBytes, this.#headerBytes, true);
    view.setUint16(VnetField.gsoSize, this.#segmentBytes, true);
    view.setUint16(VnetField.checksumStart, this.#tcp, true);
    view.setUint16(VnetField.checksumOffset, 16, true);
  }
}
