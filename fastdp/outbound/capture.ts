/**
 * First stage outwards: what the bridge gave us, and whether it may leave this host.
 * Source: reference/wire-protocol.md 12.1 steps 1 to 3.
 */
import { ETHERNET_HEADER_BYTES } from '../../core/limits.js';
import { DropReason } from '../drop-reason.js';
import { type FrameInfo, parseFrame } from '../frame.js';
import type { MacTable } from '../mac-table.js';
import { MAX_FRAME_BYTES } from '../wire.js';

/** 01:80:c2:00:00:00 */
const SPANNING_TREE_MAC = 0x0180_c200_0000;

/**
 * Parses the frame into `info` and learns its source.
 * @returns `none` if it may be forwarded. A frame refused for its size has not been parsed.
 */
export function captureFrame(
  info: FrameInfo,
  buffer: Uint8Array,
  offset: number,
  frameBytes: number,
  macs: MacTable,
  nowMs: number,
): DropReason {
  if (frameBytes < ETHERNET_HEADER_BYTES) return DropReason.frameTooShort;
  if (frameBytes > MAX_FRAME_BYTES) return DropReason.frameTooLong;
  parseFrame(info, buffer, offset, frameBytes);
  info.mayBeOpen = true;
  if (!macs.learnLocal(info.sourceMac, nowMs)) return DropReason.macReflected;
  if (info.destinationMac === SPANNING_TREE_MAC) return DropReason.spanningTree;
  // A frame of zero addresses would be taken for a message between routers at the other end.
  if (info.special) return DropReason.specialMisdirected;
  return DropReason.none;
}
