/**
 * Third stage inwards: what to do with each record of an opened datagram. Messages between the
 * routers go to the forwarder, frames for others on towards them, the rest to the bridge.
 * Source: reference/wire-protocol.md 10.3 steps 3 to 6, 10.11, 12.2.
 */
import { ETHERNET_HEADER_BYTES } from '../../core/limits.js';
import type { PeerName } from '../../core/peer-name.js';
import { DropReason } from '../drop-reason.js';
import { FrameInfo, parseFrame } from '../frame.js';
import type { Link } from '../link.js';
import type { Routes } from '../routes.js';
import {
  FRAGMENTATION_TEST_FRAME_BYTES,
  HEARTBEAT_FRAME_BYTES,
  type RecordSink,
  readU32,
  recordDestination,
  recordSource,
} from '../wire.js';
import { FlowRun } from './flow-run.js';
import { type WriteModules, writeFrame, writeNext } from './write.js';

export interface RelayOptions {
  readonly localPeer: PeerName;
  /** Unencrypted frames count only if they come from the neighbour's address (note C13). */
  readonly strictSource: boolean;
}

export interface RelayModules extends WriteModules {
  readonly routes: Routes;
}

export class RecordRelay implements RecordSink {
  readonly #options: RelayOptions;
  readonly #modules: RelayModules;
  readonly #info = new FrameInfo();
  /** The datagram in hand. */
  #link: Link | null = null;
  #sourceIp = 0;
  #sourcePort = 0;
  #nowMs = 0;
  readonly #run = new FlowRun();
  /** The forwarder of the datagram in hand was told something and may want to act. */
  #toldForwarder = false;

  constructor(options: RelayOptions, modules: RelayModules) {
    this.#options = options;
    this.#modules = modules;
  }

  /** To be called before the records of a datagram are handed over. */
  begin(link: Link, sourceIp: number, sourcePort: number, nowMs: number): void {
    this.#link = link;
    this.#sourceIp = sourceIp;
    this.#sourcePort = sourcePort;
    this.#nowMs = nowMs;
    this.#toldForwarder = false;
  }

  get toldForwarder(): boolean {
    return this.#toldForwarder;
  }

  /** What is known about peers and addresses may change now. */
  endRun(): void {
    this.#run.end();
  }

  handleRecord(buffer: Uint8Array, offset: number, frameBytes: number): void {
    const { counters, macs } = this.#modules;
    const link = this.#link as Link;
    const { changes } = macs;
    const run = this.#run;
    if (run.continues(buffer, offset, frameBytes, link, this.#sourceIp, this.#nowMs, changes)) {
      link.traffic.framesReceived += 1;
      link.traffic.bytesReceived += frameBytes;
      writeNext(this.#modules, buffer, offset, frameBytes, link.openChecksums);
      return;
    }
    run.end();
    counters.drop(this.#handle(buffer, offset, frameBytes));
  }

  /** An answer this router made, treated like a frame received for or towards its sender. */
  handleAnswer(
    buffer: Uint8Array,
    frameBytes: number,
    source: PeerName,
    destination: PeerName,
    nowMs: number,
  ): void {
    const info = parseFrame(new FrameInfo(), buffer, 0, frameBytes);
    const { localPeer } = this.#options;
    if (destination === localPeer) {
      writeFrame(this.#modules, localPeer, info, buffer, 0, frameBytes, source, null, nowMs);
    } else {
      // Small and without DF or IPv6 within 1280 bytes: it is never answered itself.
      const { forwarding } = this.#modules;
      forwarding.unicast(info, buffer, 0, frameBytes, source, destination, null);
    }
  }

  #handle(buffer: Uint8Array, offset: number, frameBytes: number): DropReason {
    if (frameBytes < ETHERNET_HEADER_BYTES) return DropReason.frameTooShort;
    const source = recordSource(buffer, offset);
    const destination = recordDestination(buffer, offset);
    const link = this.#link as Link;
    const { localPeer, strictSource } = this.#options;
    const info = parseFrame(this.#info, buffer, offset, frameBytes);
    info.mayBeOpen = link.openChecksums;
    if (info.special) {
      if (source !== link.remotePeer || destination !== localPeer) {
        return DropReason.specialMisdirected;
      }
      if (frameBytes === HEARTBEAT_FRAME_BYTES) return this.#handleHeartbeat(link, buffer, offset);
    }
    if (strictSource && !link.encrypted && this.#sourceIp !== link.forwarder.remoteIp) {
      return DropReason.foreignSource;
    }
    if (info.special) return this.#handleTest(link, buffer, offset, frameBytes);
    const { routes, forwarding } = this.#modules;
    if (!routes.isKnown(source) || !routes.isKnown(destination)) return DropReason.unknownPeer;
    if (source === localPeer) return DropReason.sourceIsSelf;
    link.traffic.framesReceived += 1;
    link.traffic.bytesReceived += frameBytes;
    if (destination === localPeer) {
      const nowMs = this.#nowMs;
      const modules = this.#modules;
      if (writeFrame(modules, localPeer, info, buffer, offset, frameBytes, source, link, nowMs)) {
        this.#run.begin(buffer, offset, link, this.#sourceIp, nowMs, modules.macs.changes);
      }
    } else {
      // The forwarding stage counts what it drops.
      forwarding.unicast(info, buffer, offset, frameBytes, source, destination, link);
    }
    return DropReason.none;
  }

  #handleHeartbeat(link: Link, buffer: Uint8Array, offset: number): DropReason {
    this.#toldForwarder = true;
    const isOurs = link.forwarder.handleHeartbeat(
      readU32(buffer, offset + 14),
      readU32(buffer, offset + 18),
      this.#sourceIp,
      this.#sourcePort,
      this.#nowMs,
    );
    return isOurs ? DropReason.none : DropReason.heartbeatMismatch;
  }

  #handleTest(link: Link, buffer: Uint8Array, offset: number, frameBytes: number): DropReason {
    this.#toldForwarder = true;
    const { forwarder } = link;
    if (frameBytes !== FRAGMENTATION_TEST_FRAME_BYTES) {
      const mtu = frameBytes - ETHERNET_HEADER_BYTES;
      return forwarder.handleMtuTest(mtu, this.#nowMs) ? DropReason.none : DropReason.testFlood;
    }
    // A path that garbles fragments fails the test; it is not an error of the connection.
    for (let i = offset; i < offset + frameBytes; i++) {
      if (buffer[i] !== 0) return DropReason.none;
    }
    return forwarder.handleFragmentationTest(this.#nowMs) ? DropReason.none : DropReason.testFlood;
  }
}
