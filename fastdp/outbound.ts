/**
 * The way of a frame out: capture → forward → fragment → seal → transmit. This file runs the
 * stages over one captured frame; frames that are relayed join at the forwarding stage.
 * Source: reference/wire-protocol.md 12.1.
 */
import type { PeerName } from '../core/peer-name.js';
import type { Counters } from './counters.js';
import { DropReason } from './drop-reason.js';
import { FrameInfo, parseFrame } from './frame.js';
import type { LargeFrame } from './large-frame.js';
import type { MacTable } from './mac-table.js';
import { AddressRun } from './outbound/address-run.js';
import { captureFrame } from './outbound/capture.js';
import { Flow, type FrameForwarding } from './outbound/forward.js';

export interface OutboundModules {
  readonly macs: MacTable;
  readonly forwarding: FrameForwarding;
  readonly counters: Counters;
}

export class Outbound {
  readonly #localPeer: PeerName;
  readonly #macs: MacTable;
  readonly #forwarding: FrameForwarding;
  readonly #counters: Counters;
  readonly #info = new FrameInfo();
  readonly #run = new AddressRun();
  /** Of the run. */
  readonly #flow = new Flow();

  constructor(options: { readonly localPeer: PeerName }, modules: OutboundModules) {
    this.#localPeer = options.localPeer;
    this.#flow.source = options.localPeer;
    this.#macs = modules.macs;
    this.#forwarding = modules.forwarding;
    this.#counters = modules.counters;
  }

  /** What is known about peers and addresses may change now. */
  endRun(): void {
    this.#run.end();
  }

  /** @returns `none` if the frame went on its way to at least one neighbour. */
  handleFrame(buffer: Uint8Array, offset: number, frameBytes: number, nowMs: number): DropReason {
    const info = this.#info;
    const flow = this.#flow;
    this.#counters.framesCaptured += 1;
    if (this.#run.continues(buffer, offset, frameBytes, nowMs, this.#macs.changes)) {
      parseFrame(info, buffer, offset, frameBytes);
      info.mayBeOpen = true;
      return this.#forwarding.sendAlong(flow, info, buffer, offset, frameBytes);
    }
    this.#run.end();
    const reason = captureFrame(info, buffer, offset, frameBytes, this.#macs, nowMs);
    if (reason !== DropReason.none) return this.#counters.drop(reason);
    const local = this.#localPeer;
    const peer = this.#macs.lookup(info.destinationMac);
    if (peer === local) return this.#counters.drop(DropReason.localDestination);
    if (peer !== -1) {
      flow.destination = peer as PeerName;
      flow.link = this.#forwarding.linkTo(flow.destination);
      if (flow.link === null) {
        return this.#forwarding.unicast(
          info,
          buffer,
          offset,
          frameBytes,
          local,
          flow.destination,
          null,
        );
      }
      this.#run.begin(buffer, offset, nowMs, this.#macs.changes);
      return this.#forwarding.sendAlong(flow, info, buffer, offset, frameBytes);
    }
    const sent = this.#forwarding.broadcast(info, buffer, offset, frameBytes, local, null);
    // The stage counts per neighbour; having none at all is counted here.
    if (sent === DropReason.noRoute) this.#counters.drop(sent);
    return sent;
  }

  /**
   * Segments of one flow, looked at once for all of them.
   * @returns false if they are to be handed in one by one, since something is unusual about them.
   */
  handleLarge(frame: LargeFrame, nowMs: number): boolean {
    const info = this.#info;
    const { buffer, offset, headerBytes, segmentBytes, payloadBytes } = frame;
    const frameBytes = headerBytes + Math.min(segmentBytes, payloadBytes);
    const flow = this.#flow;
    if (this.#run.continues(buffer, offset, frameBytes, nowMs, this.#macs.changes)) {
      parseFrame(info, buffer, offset, frameBytes);
      info.mayBeOpen = true;
    } else {
      this.#run.end();
      const reason = captureFrame(info, buffer, offset, frameBytes, this.#macs, nowMs);
      if (reason !== DropReason.none) return false;
      const peer = this.#macs.lookup(info.destinationMac);
      if (peer === this.#localPeer || peer === -1) return false;
      flow.destination = peer as PeerName;
      flow.link = this.#forwarding.linkTo(flow.destination);
      if (flow.link === null) return false;
      this.#run.begin(buffer, offset, nowMs, this.#macs.changes);
    }
    if (!this.#forwarding.sendLargeAlong(flow, info, frame)) return false;
    this.#counters.framesCaptured += frame.count;
    return true;
  }
}
