/**
 * Last stage inwards: a frame for this router goes to the bridge, and on to those neighbours that
 * get the source's broadcasts from us. Source: reference/wire-protocol.md 12.2 steps 2 to 4.
 */
import type { PeerName } from '../../core/peer-name.js';
import type { Counters } from '../counters.js';
import { DropReason } from '../drop-reason.js';
import type { FrameInfo } from '../frame.js';
import type { Link } from '../link.js';
import type { MacTable } from '../mac-table.js';
import type { FrameForwarding } from '../outbound/forward.js';
import type { TapPort } from '../ports.js';

export interface WriteModules {
  readonly macs: MacTable;
  readonly tap: TapPort;
  readonly forwarding: FrameForwarding;
  readonly counters: Counters;
}

/**
 * @param from link it came over; null for an answer this router made itself.
 * @returns true if the frame was for our bridge alone.
 */
export function writeFrame(
  modules: WriteModules,
  localPeer: PeerName,
  info: FrameInfo,
  buffer: Uint8Array,
  offset: number,
  frameBytes: number,
  source: PeerName,
  from: Link | null,
  nowMs: number,
): boolean {
  const { macs, tap, forwarding, counters } = modules;
  // Learnt before the bridge sees the frame, so that it is known as ours if it comes back.
  macs.learnRemote(info.sourceMac, source, nowMs);
  if (info.mayBeOpen && macs.lookup(info.destinationMac) !== localPeer) {
    // The frame may wait in place to be written while it goes on to others, some of whom need a
    // complete checksum: it is completed before it is described to the device.
    forwarding.completeChecksum(buffer, offset, frameBytes);
  }
  if (tap.write(buffer, offset, frameBytes, info.mayBeOpen)) counters.framesInjected += 1;
  else counters.drop(DropReason.tapRefused);
  if (macs.lookup(info.destinationMac) === localPeer) return true;
  forwarding.broadcast(info, buffer, offset, frameBytes, source, from);
  return false;
}

/** A further frame of a run for our bridge alone; its address has been learnt with the first. */
export function writeNext(
  { tap, counters }: WriteModules,
  buffer: Uint8Array,
  offset: number,
  frameBytes: number,
  mayBeOpen: boolean,
): void {
  if (tap.write(buffer, offset, frameBytes, mayBeOpen)) counters.framesInjected += 1;
  else counters.drop(DropReason.tapRefused);
}
