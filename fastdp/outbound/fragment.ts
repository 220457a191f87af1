/**
 * Third stage outwards: decides how a frame fits the path to the next hop, and cuts IPv4 packets
 * that do not. Source: reference/wire-protocol.md 10.8, 10.10, notes C22 to C24.
 *
 * Where the original leaves all frames that are not plain IPv4 to UDP fragmentation, this stage
 * answers oversized unicast IPv6 packets, and VLAN-tagged IPv4 packets with the don't-fragment
 * bit, like DF IPv4: their senders can adapt, and fragments are slow and often filtered. IPv6
 * packets up to 1280 bytes are always carried, as no sender goes below that.
 */
import { ETHERNET_HEADER_BYTES } from '../../core/limits.js';
import { checksumAdd, checksumFinish } from '../checksum.js';
import { type FrameInfo, FrameKind } from '../frame.js';
import { IPV6_MIN_MTU } from '../icmp.js';
import { copyBytes, readU16, writeU16 } from '../wire.js';

const MIN_FRAME_BYTES = 60;
const MORE_FRAGMENTS = 0x2000;
const OFFSET_MASK = 0x1fff;

export const Fit = {
  /** Whole, in a datagram with DF set. */
  df: 0,
  /** Whole; the underlay's IP stack may fragment the datagram. */
  nonDf: 1,
  /** As several IPv4 fragments, each in a datagram with DF set. */
  fragment: 2,
  /** Not at all, and its sender is told. */
  answer: 3,
  /** Not at all: it is on a broadcast route, where answers would multiply. */
  drop: 4,
} as const;
export type Fit = (typeof Fit)[keyof typeof Fit];

/**
 * @param mtu overlay MTU of the next hop.
 * @param trusted the IP stack's fragmentation works all the way to the next hop.
 */
export function fitFrame(
  info: FrameInfo,
  frameBytes: number,
  mtu: number,
  trusted: boolean,
  isBroadcast: boolean,
): Fit {
  const tooBig = frameBytes > mtu + ETHERNET_HEADER_BYTES;
  if (info.kind === FrameKind.ipv4 && info.tagBytes === 0) {
    if (info.df) {
      if (!tooBig) return Fit.df;
      return isBroadcast ? Fit.drop : Fit.answer;
    }
    if (trusted) return Fit.nonDf;
    return tooBig ? Fit.fragment : Fit.df;
  }
  if (!tooBig || isBroadcast) return Fit.nonDf;
  if (info.kind === FrameKind.ipv4) return info.df ? Fit.answer : Fit.nonDf;
  if (info.kind === FrameKind.ipv6) {
    return frameBytes - info.ipOffset > IPV6_MIN_MTU ? Fit.answer : Fit.nonDf;
  }
  return Fit.nonDf;
}

/**
 * Gets each fragment as a whole frame at `buffer[0]`, valid during the call.
 * @returns false to stop: the rest is not made.
 */
export interface FragmentSink {
  handleFragment(buffer: Uint8Array, frameBytes: number): boolean;
}

/**
 * Cuts an untagged IPv4 frame into fragments of at most `mtu` bytes of IP packet. All options are
 * copied to every fragment, as the original does.
 * @param scratch at least `mtu + 14` and 60 bytes.
 * @returns false, with nothing emitted, if the frame holds less than its header promises or the
 *   MTU leaves no room for payload.
 */
export function fragmentFrame(
  info: FrameInfo,
  buffer: Uint8Array,
  offset: number,
  frameBytes: number,
  mtu: number,
  scratch: Uint8Array,
  sink: FragmentSink,
): boolean {
  const headerBytes = info.ipHeaderBytes;
  const payloadBytes = info.ipTotalBytes - headerBytes;
  const pieceBytes = (mtu - headerBytes) & ~7;
  if (info.ipTotalBytes > frameBytes - info.ipOffset || pieceBytes < 8) return false;
  const ip = info.ipOffset;
  const fragmentField = readU16(buffer, offset + ip + 6);
  const firstOffset = fragmentField & OFFSET_MASK;
  // The offset counts 8-byte units in 13 bits; a piece beyond it cannot be expressed.
  if (firstOffset + ((payloadBytes - 1) >>> 3) > OFFSET_MASK) return false;
  copyBytes(buffer, offset, scratch, 0, ip + headerBytes);
  for (let done = 0; done < payloadBytes; done += pieceBytes) {
    const bytes = Math.min(pieceBytes, payloadBytes - done);
    const isLast = done + bytes >= payloadBytes;
    const flags = (fragmentField & ~OFFSET_MASK) | (isLast ? 0 : MORE_FRAGMENTS);
    writeU16(scratch, ip + 2, headerBytes + bytes);
    writeU16(scratch, ip + 6, flags | (firstOffset + (done >>> 3)));
    writeU16(scratch, ip + 10, 0);
    writeU16(scratch, ip + 10, checksumFinish(checksumAdd(0, scratch, ip, headerBytes)));
    copyBytes(buffer, offset + ip + headerBytes + done, scratch, ip + headerBytes, bytes);
    let total = ip + headerBytes + bytes;
    if (total < MIN_FRAME_BYTES) {
      scratch.fill(0, total, MIN_FRAME_BYTES);
      total = MIN_FRAME_BYTES;
    }
    if (!sink.handleFragment(scratch, total)) return true;
  }
  return true;
}
