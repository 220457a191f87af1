/** Cutting a large TCP frame of the device into segments, and joining them again. */
import { checksumAdd, checksumFinish } from '../../fastdp/checksum.js';
import { FrameJoiner, type JoinSink } from '../../fastdp/io/offload/join.js';
import { FrameSplitter } from '../../fastdp/io/offload/split.js';
import {
  GSO_TCPV4,
  NEEDS_CHECKSUM,
  TCP_ACK,
  VNET_HEADER_BYTES,
  VnetField,
} from '../../fastdp/io/offload/vnet-header.js';
import { writeU16 } from '../../fastdp/wire.js';
import { FRAME_BYTES, makeFrame } from './rig.js';
import type { Stage } from './timing.js';

const HEADER_BYTES = 14 + 20 + 20;
const SEGMENT_BYTES = FRAME_BYTES - HEADER_BYTES;
const SEGMENTS = 40;
const TCP_AT = 34;
const CHECKSUM_AT = 16;

/** As a TAP device gives it: vnet header, headers, the payload of many segments. */
function makeLargeFrame(): Uint8Array {
  const frame = makeFrame(HEADER_BYTES + SEGMENTS * SEGMENT_BYTES);
  frame[TCP_AT + 12] = 5 << 4;
  frame[TCP_AT + 13] = TCP_ACK;
  const tcpBytes = frame.length - TCP_AT;
  let pseudo = checksumAdd(0, frame, 26, 8);
  pseudo = checksumAdd(pseudo, new Uint8Array([0, 6, tcpBytes >>> 8, tcpBytes & 255]), 0, 4);
  // The field holds the sum that the device is to go on with, so not its complement.
  writeU16(frame, TCP_AT + CHECKSUM_AT, ~checksumFinish(pseudo) & 0xffff);
  const buffer = new Uint8Array(VNET_HEADER_BYTES + frame.length);
  const view = new DataView(buffer.buffer);
  view.setUint8(VnetField.flags, NEEDS_CHECKSUM);
  view.setUint8(VnetField.gsoType, GSO_TCPV4);
  view.setUint16(VnetField.headerBytes, HEADER_BYTES, true);
  view.setUint16(VnetField.gsoSize, SEGMENT_BYTES, true);
  view.setUint16(VnetField.checksumStart, TCP_AT, true);
  view.setUint16(VnetField.checksumOffset, CHECKSUM_AT, true);
  buffer.set(frame, VNET_HEADER_BYTES);
  return buffer;
}

export function offloadStages(): Stage[] {
  const original = makeLargeFrame();
  const large = original.slice();
  const view = new DataView(large.buffer);
  const splitter = new FrameSplitter();
  const segments = new Uint8Array(SEGMENTS * FRAME_BYTES);
  let count = 0;
  const keep = (buffer: Uint8Array, offset: number, bytes: number): boolean => {
    segments.set(buffer.subarray(offset, offset + bytes), count++ * FRAME_BYTES);
    return true;
  };
  splitter.split(large, view, large.length, keep);
  if (count !== SEGMENTS) throw new Error(`${count} segments`);
  const ignore = (): boolean => true;
  // Splitting writes each header over payload already handed on; the first one must come back.
  const prepare = (): void => large.set(original);
  const split = (): void => {
    splitter.split(large, view, large.length, ignore);
  };
  let joined = 0;
  const sink: JoinSink = {
    writeSingle: () => true,
    writeJoined: (_buffer, { pieceCount }) => {
      joined += pieceCount;
      return true;
    },
  };
  const joiner = new FrameJoiner(sink);
  joiner.setStableBuffer(segments);
  const join = (): void => {
    for (let i = 0; i < SEGMENTS; i++) joiner.write(segments, i * FRAME_BYTES, FRAME_BYTES, true);
    joiner.flush();
  };
  join();
  if (joined !== SEGMENTS) throw new Error(`${joined} of ${SEGMENTS} segments were joined`);
  return [
    { name: 'split, each segment', packets: SEGMENTS, prepare, run: split },
    { name: 'join, each segment', packets: SEGMENTS, run: join },
  ];
}
