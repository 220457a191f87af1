/**
 * What the self-test sends and how it judges what arrives, without the devices: every frame and
 * datagram has to come out as it would have without any offload, byte for byte.
 */
import { checksumAdd, checksumFinish, foldSum } from '../checksum.js';
import { writeU16, writeU32 } from '../wire.js';
import type { Offloads } from './offloads.js';

const PASSED = 'passed the test at start';
const PROTOCOL_TCP = 6;
const PROTOCOL_UDP = 17;
const TCP_ACK = 0x10;
const TCP_PSH = 0x08;
/** No multiple of anything, so that shifted or repeated bytes differ. */
const PATTERN_STEP = 7;
const SEGMENTS = 20;
const SEGMENT_BYTES = 1201;
const LAST_SEGMENT_BYTES = 333;

/** Source of all frames of the test; others, such as the kernel's own reports, do not count. */
export const TEST_MAC: readonly number[] = [0x02, 0x77, 0x65, 0x61, 0x76, 0x65];

/** One thing to be sent, complete as it must arrive. */
export type Bytes = Uint8Array;

/** @returns what arrived for what was sent. */
export type Exchange = (sent: readonly Bytes[]) => readonly Bytes[];

export interface UdpExchanges {
  /** Sent in groups, to a socket that wants each datagram by itself: the kernel cuts. */
  readonly cut: Exchange;
  /** To a socket that wants them joined. @param grouped sent in groups. */
  readonly joined: (sent: readonly Bytes[], grouped: boolean) => readonly Bytes[];
}

/** Segments are joined by us before they are written. */
export interface TapExchanges {
  /** To a device without offloads: the kernel cuts and completes. */
  readonly toPlain: Exchange;
  /** To a device with offloads, where we do. */
  readonly toCutting: Exchange;
}

export function judgeUdp(offloads: Offloads, exchanges: UdpExchanges): void {
  const sent = makeDatagrams();
  if (offloads.enabled('udp-segment')) {
    const fault = compare(sent, exchanges.cut(sent));
    if (fault === null) offloads.confirm('udp-segment', PASSED);
    else offloads.fail('udp-segment', `at start, ${fault}`);
  }
  if (offloads.enabled('udp-gro')) {
    const fault = compare(sent, exchanges.joined(sent, offloads.enabled('udp-segment')));
    if (fault === null) offloads.confirm('udp-gro', PASSED);
    else offloads.fail('udp-gro', `at start, ${fault}`);
  }
}

export function judgeTap(offloads: Offloads, exchanges: TapExchanges): void {
  if (!offloads.enabled('tap-checksum')) return;
  for (const isIpv6 of [false, true]) {
    const family = isIpv6 ? 'IPv6' : 'IPv4';
    const open = [makeUdpFrame(isIpv6, true)];
    const fault = compare([makeUdpFrame(isIpv6)], exchanges.toPlain(open));
    if (fault !== null) offloads.fail('tap-checksum', `at start over ${family}, ${fault}`);
    if (!offloads.enabled('tap-checksum')) return;
    const segments = makeSegments(isIpv6);
    const joinFault = compare(segments, exchanges.toPlain(segments));
    if (joinFault !== null) {
      offloads.fail('tap-join', `at start over ${family}, ${joinFault}`);
      // Without large frames to read there is nothing to be said about cutting them.
      continue;
    }
    if (!offloads.enabled('tap-segmentation')) continue;
    const cutFault = compare(segments, exchanges.toCutting(segments));
    if (cutFault !== null)
      offloads.fail('tap-segmentation', `at start over ${family}, ${cutFault}`);
  }
  for (const name of ['tap-checksum', 'tap-join', 'tap-segmentation'] as const) {
    offloads.confirm(name, PASSED);
  }
}

/** @returns the first difference in words, or null. */
export function compare(sent: readonly Bytes[], arrived: readonly Bytes[]): string | null {
  if (arrived.length !== sent.length) return `${arrived.length} of ${sent.length} arrived`;
  for (const [i, expected] of sent.entries()) {
    const got = arrived[i] as Bytes;
    if (got.length !== expected.length) {
      return `number ${i} arrived with ${got.length} of ${expected.length} bytes`;
    }
    const at = expected.findIndex((byte, offset) => byte !== got[offset]);
    if (at >= 0) return `number ${i} arrived changed at byte ${at}`;
  }
  return null;
}

export function makeDatagrams(): Bytes[] {
  return Array.from({ length: SEGMENTS }, (_, i) =>
    pattern(i, i === SEGMENTS - 1 ? LAST_SEGMENT_BYTES : SEGMENT_BYTES),
  );
}

/** One TCP flow of full segments and a last one with PSH, checksums complete. */
export function makeSegments(isIpv6: boolean): Bytes[] {
  let sequence = 0xffff_f000;
  return Array.from({ length: SEGMENTS }, (_, i) => {
    const isLast = i === SEGMENTS - 1;
    const payload = pattern(i, isLast ? LAST_SEGMENT_BYTES : SEGMENT_BYTES);
    const tcp = new Uint8Array(20 + payload.length);
    writeU16(tcp, 0, 4001);
    writeU16(tcp, 2, 4002);
    writeU32(tcp, 4, sequence);
    writeU32(tcp, 8, 99);
    tcp[12] = 5 << 4;
    tcp[13] = isLast ? TCP_ACK | TCP_PSH : TCP_ACK;
    writeU16(tcp, 14, 1000);
    tcp.set(payload, 20);
    sequence = (sequence + payload.length) >>> 0;
    return makeFrame(isIpv6, PROTOCOL_TCP, tcp, 16, i);
  });
}

/** @param isOpen the checksum covers the pseudo header alone. */
export function makeUdpFrame(isIpv6: boolean, isOpen = false): Bytes {
  const payload = pattern(3, 501);
  const udp = new Uint8Array(8 + payload.length);
  writeU16(udp, 0, 4001);
  writeU16(udp, 2, 4002);
  writeU16(udp, 4, udp.length);
  udp.set(payload, 8);
  return makeFrame(isIpv6, PROTOCOL_UDP, udp, 6, 1, isOpen);
}

function pattern(seed: number, bytes: number): Bytes {
  const out = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) out[i] = (seed * 31 + i * PATTERN_STEP + (i >> 8)) & 0xff;
  return out;
}

/** Ethernet, IP with the don't-fragment bit, and the transport with its checksum filled in. */
function makeFrame(
  isIpv6: boolean,
  protocol: number,
  transport: Bytes,
  checksumField: number,
  id: number,
  isOpen = false,
): Bytes {
  const ip = 14;
  const at = ip + (isIpv6 ? 40 : 20);
  const frame = new Uint8Array(at + transport.length);
  frame.set([0x02, 0x77, 0x65, 0x61, 0x76, 0x66, ...TEST_MAC]);
  frame.set(transport, at);
  if (isIpv6) {
    writeU16(frame, 12, 0x86dd);
    writeU32(frame, ip, 0x6000_0000);
    writeU16(frame, ip + 4, transport.length);
    frame[ip + 6] = protocol;
    frame[ip + 7] = 64;
    // fd00::1 and fd00::2, which nobody has.
    frame[ip + 8] = frame[ip + 24] = 0xfd;
    frame[ip + 23] = 1;
    frame[ip + 39] = 2;
  } else {
    writeU16(frame, 12, 0x0800);
    frame[ip] = 0x45;
    writeU16(frame, ip + 2, frame.length - ip);
    writeU16(frame, ip + 4, 0x1000 + id);
    writeU16(frame, ip + 6, 0x4000);
    frame[ip + 8] = 64;
    frame[ip + 9] = protocol;
    frame.set([192, 0, 2, 1, 192, 0, 2, 2], ip + 12);
    writeU16(frame, ip + 10, checksumFinish(checksumAdd(0, frame, ip, 20)));
  }
  const addresses = isIpv6 ? checksumAdd(0, frame, ip + 8, 32) : checksumAdd(0, frame, ip + 12, 8);
  const pseudo = addresses + protocol + transport.length;
  const sum = isOpen ? foldSum(pseudo) : checksumAdd(pseudo, frame, at, transport.length);
  writeU16(frame, at + checksumField, isOpen ? sum : checksumFinish(sum));
  return frame;
}
