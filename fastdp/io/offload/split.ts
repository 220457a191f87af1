/**
 * Makes plain frames of what a TAP device with offloads delivers. A large TCP frame is offered as a
 * whole first; if nobody wants it so, it is cut into segments as the sender's interface would have
 * done. The segments are made in place, each header written over the payload that has been handed
 * on already. Open checksums of TCP and UDP stay open (see ../../open-checksum.ts), others are
 * completed. Source: Documentation/networking/segmentation-offloads.rst of the kernel.
 */
import { completeChecksum } from '../../checksum.js';
import { LargeFrame } from '../../large-frame.js';
import { OpenChecksum } from '../../open-checksum.js';
import {
  GSO_ECN,
  GSO_NONE,
  GSO_TCPV4,
  GSO_TCPV6,
  NEEDS_CHECKSUM,
  networkOffset,
  VNET_HEADER_BYTES,
  VnetField,
} from './vnet-header.js';

/** @returns false if the rest of the same large frame is not wanted. */
export type FrameSink = (buffer: Uint8Array, offset: number, frameBytes: number) => boolean;

/** Valid during the call. @returns false if it is to be cut. */
export type LargeFrameSink = (frame: LargeFrame) => boolean;

export class FrameSplitter {
  readonly #large = new LargeFrame();
  readonly #open = new OpenChecksum();

  /**
   * @param bytes vnet header and frame together, at the start of the buffer; changed in place.
   * @returns frames handed on, or −1 if the description does not fit the frame (nothing done).
   */
  split(
    buffer: Uint8Array,
    view: DataView,
    bytes: number,
    sink: FrameSink,
    onLarge?: LargeFrameSink,
  ): number {
    const frameBytes = bytes - VNET_HEADER_BYTES;
    if (frameBytes < 14) return -1;
    const gsoType = view.getUint8(VnetField.gsoType) & ~GSO_ECN;
    if (gsoType !== GSO_NONE) {
      if (!this.#describe(buffer, view, gsoType, frameBytes)) return -1;
      if (onLarge?.(this.#large) === true) return this.#large.count;
      return this.#cut(view, sink);
    }
    if ((view.getUint8(VnetField.flags) & NEEDS_CHECKSUM) !== 0) {
      if (!this.#checkOpen(buffer, view, frameBytes)) return -1;
    }
    sink(buffer, VNET_HEADER_BYTES, frameBytes);
    return 1;
  }

  #describe(buffer: Uint8Array, view: DataView, gsoType: number, frameBytes: number): boolean {
    if (gsoType !== GSO_TCPV4 && gsoType !== GSO_TCPV6) return false;
    const segmentBytes = view.getUint16(VnetField.gsoSize, true);
    const tcp = view.getUint16(VnetField.checksumStart, true);
    const ip = networkOffset(view, VNET_HEADER_BYTES, frameBytes);
    const isIpv6 = gsoType === GSO_TCPV6;
    const at = VNET_HEADER_BYTES;
    return this.#large.describe(buffer, view, at, frameBytes, ip, tcp, segmentBytes, isIpv6);
  }

  #cut(view: DataView, sink: FrameSink): number {
    const large = this.#large;
    const { buffer, headerBytes, count } = large;
    for (let index = 0; index < count; index++) {
      const payload = large.payloadBytesOf(index);
      const start = large.payloadOffsetOf(index) - headerBytes;
      large.writeHeader(view, start, index, payload);
      if (!sink(buffer, start, headerBytes + payload)) return index + 1;
    }
    return count;
  }

  /** @returns false if the fields point outside the frame. */
  #checkOpen(buffer: Uint8Array, view: DataView, frameBytes: number): boolean {
    const start = view.getUint16(VnetField.checksumStart, true);
    const field = view.getUint16(VnetField.checksumOffset, true);
    if (start + field + 2 > frameBytes) return false;
    const open = this.#open;
    if (open.find(buffer, VNET_HEADER_BYTES, frameBytes)) {
      if (open.transport === start && open.field === field) return true;
    }
    // Nobody after us would recognise this one, e.g. that of a packet inside a tunnel.
    completeChecksum(view, VNET_HEADER_BYTES + start, frameBytes - start, field);
    return true;
  }
}
