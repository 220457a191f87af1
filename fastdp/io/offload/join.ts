/**
 * The reverse of split: consecutive TCP segments of one flow become one large frame for the TAP
 * device, so that the bridge and the workload's stack run once for all of them. Nothing is copied
 * but the first header: the frame is given as a list of pieces. Frames that do not fit the flow in
 * hand end it, so the order of frames never changes.
 *
 * Only segments whose checksum is right, or open, are joined, since the kernel takes a joined frame's word
 * for it. Source: segmentation-offloads.rst of the kernel; the conditions are those of its own
 * receive offload.
 */
import { foldSum, sumWords } from '../../checksum.js';
import {
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  GSO_TCPV4,
  GSO_TCPV6,
  IPV6_HEADER_BYTES,
  NEEDS_CHECKSUM,
  PROTOCOL_TCP,
  TCP_ACK,
  TCP_PSH,
  VNET_HEADER_BYTES,
  VnetField,
} from './vnet-header.js';

const ETHERNET_BYTES = 14;
const IPV4_BYTES = 20;
const DF = 0x4000;
/** Of TCP. */
const CHECKSUM_FIELD = 16;
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
  writeSingle(buffer: Uint8Array, offset: number, frameBytes: number, mayBeOpen: boolean): boolean;
  writeJoined(buffer: Uint8Array, frame: JoinedFrame): boolean;
}

export class FrameJoiner {
  readonly #sink: JoinSink;
  readonly #header = new Uint8Array(VNET_HEADER_BYTES + MAX_HEADER_BYTES);
  readonly #headerView = new DataView(this.#header.buffer);
  readonly #pieceOffsets = new Int32Array(MAX_JOINED);
  readonly #pieceBytes = new Int32Array(MAX_JOINED);
  readonly #joined = {
    header: this.#header,
    headerBytes: 0,
    pieceOffsets: this.#pieceOffsets,
    pieceBytes: this.#pieceBytes,
    pieceCount: 0,
  };
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
  /** The first frame may have an open checksum. */
  #mayBeOpen = false;
  /** Of addresses and protocol. */
  #flowSum = 0;
  /** IPv4: of the header but for length, identification and checksum. */
  #ipSum = 0;

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
  write(buffer: Uint8Array, offset: number, frameBytes: number, mayBeOpen: boolean): boolean {
    if (buffer === this.#buffer) {
      if (this.#count > 0 && this.#append(offset, frameBytes, mayBeOpen)) return true;
      const tcp = this.#tcpOffset(offset, frameBytes);
      if (tcp > 0) {
        this.flush();
        this.#begin(offset, frameBytes, tcp, mayBeOpen);
        return true;
      }
    }
    this.flush();
    return this.#sink.writeSingle(buffer, offset, frameBytes, mayBeOpen);
  }

  /** Writes what waits. */
  flush(): void {
    const count = this.#count;
    if (count === 0) return;
    this.#count = 0;
    const buffer = this.#buffer as Uint8Array;
    if (count === 1) {
      this.#sink.writeSingle(buffer, this.#firstAt, this.#frameBytes, this.#mayBeOpen);
      return;
    }
    this.#finishHeader();
    const joined = this.#joined;
    joined.headerBytes = VNET_HEADER_BYTES + this.#headerBytes;
    joined.pieceCount = count;
    this.#sink.writeJoined(buffer, joined);
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

  #begin(at: number, frameBytes: number, tcp: number, mayBeOpen: boolean): void {
    const view = this.#view;
    this.#tcp = tcp;
    this.#isIpv6 = tcp !== ETHERNET_BYTES + IPV4_BYTES;
    this.#headerBytes = tcp + (view.getUint8(at + tcp + 12) >>> 4) * 4;
    this.#count = 1;
    this.#firstAt = at;
    this.#frameBytes = frameBytes;
    this.#segmentBytes = frameBytes - this.#headerBytes;
    this.#nextSequence = (view.getInt32(at + tcp + 4) + this.#segmentBytes) | 0;
    this.#flags = view.getUint8(at + tcp + 13);
    this.#firstVerified = false;
    this.#mayBeOpen = mayBeOpen;
    this.#pieceOffsets[0] = at + this.#headerBytes;
    this.#pieceBytes[0] = this.#segmentBytes;
  }

  /**
   * Whatever makes the first frame one that may be joined holds for all whose header is the same.
   * @returns false if the frame does not continue the flow in hand.
   */
  #append(at: number, frameBytes: number, mayBeOpen: boolean): boolean {
    const payload = frameBytes - this.#headerBytes;
    const last = this.#pieceBytes[this.#count - 1] as number;
    if (
      payload <= 0 ||
      payload > this.#segmentBytes ||
      last !== this.#segmentBytes ||
      this.#count === MAX_JOINED ||
      // A push ends the flow: the sender wants it delivered.
      (this.#flags & TCP_PSH) !== 0 ||
      this.#frameBytes + payload - ETHERNET_BYTES > MAX_PACKET_BYTES ||
      this.#view.getInt32(at + this.#tcp + 4) !== this.#nextSequence ||
      !this.#sameHeader(at, frameBytes)
    ) {
      return false;
    }
    if (!this.#firstVerified) {
      this.#sumFlow();
      const firstBytes = this.#headerBytes + this.#segmentBytes;
      if (!this.#checksumRight(this.#firstAt, firstBytes, this.#mayBeOpen)) return false;
      this.#firstVerified = true;
    }
    if (!this.#checksumRight(at, frameBytes, mayBeOpen)) return false;
    this.#pieceOffsets[this.#count] = at + this.#headerBytes;
    this.#pieceBytes[this.#count] = payload;
    this.#count++;
    this.#frameBytes += payload;
    this.#nextSequence = (this.#nextSequence + payload) | 0;
    this.#flags |= this.#view.getUint8(at + this.#tcp + 13);
    return true;
  }

  /**
   * Compares the headers but for identification, sequence number, PSH and checksums; the length
   * must be that of the frame.
   */
  #sameHeader(at: number, frameBytes: number): boolean {
    const view = this.#view;
    const first = this.#firstAt;
    const tcp = this.#tcp;
    // Addresses, type and the first two bytes of the IP header.
    if (!this.#sameWords(at, first, 0, 16)) return false;
    if (this.#isIpv6) {
      if (view.getUint16(at + 16) !== view.getUint16(first + 16)) return false;
      if (view.getUint16(at + 18) !== frameBytes - tcp) return false;
      if (view.getUint16(at + 20) !== view.getUint16(first + 20)) return false;
      if (!this.#sameWords(at, first, 22, 54)) return false;
    } else {
      if (view.getUint16(at + 16) !== frameBytes - ETHERNET_BYTES) return false;
      if (view.getInt32(at + 20) !== view.getInt32(first + 20)) return false;
      if (!this.#sameWords(at, first, 26, 34)) return false;
    }
    const flags = view.getInt32(at + tcp + 12) ^ view.getInt32(first + tcp + 12);
    return (
      view.getInt32(at + tcp) === view.getInt32(first + tcp) &&
      view.getInt32(at + tcp + 8) === view.getInt32(first + tcp + 8) &&
      (flags & ~(TCP_PSH << 16)) === 0 &&
      view.getUint16(at + tcp + 18) === view.getUint16(first + tcp + 18) &&
      this.#sameWords(at, first, tcp + 20, this.#headerBytes)
    );
  }

  /** Both start and end lie in the frame and are four bytes, or a multiple, apart. */
  #sameWords(at: number, first: number, from: number, to: number): boolean {
    const view = this.#view;
    for (let i = from; i < to; i += 4) {
      if (view.getInt32(at + i) !== view.getInt32(first + i)) return false;
    }
    return true;
  }

  /** An open checksum is right, as it will be made by whoever completes it. */
  #checksumRight(at: number, frameBytes: number, mayBeOpen: boolean): boolean {
    const view = this.#view;
    if (!this.#isIpv6) {
      // The kernel checks a joined frame's IPv4 header against the checksum we make anew.
      const own = view.getUint16(at + 16) + view.getUint16(at + 18) + view.getUint16(at + 24);
      if (foldSum(this.#ipSum + own) !== 0xffff) return false;
    }
    const tcp = at + this.#tcp;
    const tcpBytes = frameBytes - this.#tcp;
    const pseudo = this.#flowSum + tcpBytes;
    if (mayBeOpen && view.getUint16(tcp + CHECKSUM_FIELD) === foldSum(pseudo)) return true;
    return foldSum(pseudo + sumWords(view, tcp, tcpBytes)) === 0xffff;
  }

  /** What the checksums of all frames of the flow have in common. */
  #sumFlow(): void {
    const view = this.#view;
    const at = this.#firstAt;
    this.#flowSum = this.#pseudoSum(view, at);
    if (this.#isIpv6) return;
    this.#ipSum = view.getUint16(at + 14) + sumWords(view, at + 20, 4) + sumWords(view, at + 26, 8);
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
    for (let i = 0; i < this.#headerBytes; i++) {
      header[at + i] = source[this.#firstAt + i] as number;
    }
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
