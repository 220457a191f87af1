/**
 * What the threads of a router tell each other, as messages in rings: the followers hand to the
 * primary what only it can do, and all tell each other where MAC addresses are.
 *
 *   0  kind u8 | 1 DF u8 | 2 port u16
 *   4  connection or address u32
 *   8  source name, path MTU or MAC address, f64 | 16 destination name or peer, f64
 *   24 frame or datagram
 */
import { Copier } from './copier.js';
import type { FrameRing } from './frame-ring.js';

const Kind = { record: 1, datagram: 2, tooBig: 3, address: 4 } as const;
const HEADER_BYTES = 24;

/** Takes what the other thread sent. Buffers are valid during the call. */
export interface CrossingSink {
  /** A frame for a neighbour that this thread alone can seal for. */
  handleHandedRecord(
    connId: number,
    df: boolean,
    source: number,
    destination: number,
    buffer: Uint8Array,
    frameBytes: number,
  ): void;
  /** A datagram that arrived at the other thread's socket. */
  handleHandedDatagram(buffer: Uint8Array, bytes: number, ip: number, port: number): void;
  handleTooBig(connId: number, pathMtuBytes: number): void;
  /** @param from index of the thread that has seen it. */
  handleToldAddress(mac: number, peer: number, from: number): void;
}

/** The writing end. Each method returns false if the ring is full: the message is lost then. */
export class Outbox {
  readonly #ring: FrameRing;
  readonly #copier: Copier;
  /** Something was written since the reader was woken last. */
  #unsignalled = false;

  constructor(ring: FrameRing) {
    this.#ring = ring;
    this.#copier = new Copier(ring.bytes);
  }

  record(
    connId: number,
    df: boolean,
    source: number,
    destination: number,
    buffer: Uint8Array,
    offset: number,
    frameBytes: number,
  ): boolean {
    const at = this.#begin(Kind.record, frameBytes);
    if (at < 0) return false;
    const { view, bytes } = this.#ring;
    view.setUint8(at + 1, df ? 1 : 0);
    view.setUint32(at + 4, connId, true);
    view.setFloat64(at + 8, source, true);
    view.setFloat64(at + 16, destination, true);
    this.#copier.copy(buffer, offset, bytes, at + HEADER_BYTES, frameBytes);
    return this.#end();
  }

  datagram(
    buffer: Uint8Array,
    offset: number,
    byteLength: number,
    ip: number,
    port: number,
  ): boolean {
    const at = this.#begin(Kind.datagram, byteLength);
    if (at < 0) return false;
    const { view, bytes } = this.#ring;
    view.setUint16(at + 2, port, true);
    view.setUint32(at + 4, ip, true);
    this.#copier.copy(buffer, offset, bytes, at + HEADER_BYTES, byteLength);
    return this.#end();
  }

  tooBig(connId: number, pathMtuBytes: number): boolean {
    const at = this.#begin(Kind.tooBig, 0);
    if (at < 0) return false;
    this.#ring.view.setUint32(at + 4, connId, true);
    this.#ring.view.setFloat64(at + 8, pathMtuBytes, true);
    return this.#end();
  }

  address(mac: number, peer: number): boolean {
    const at = this.#begin(Kind.address, 0);
    if (at < 0) return false;
    this.#ring.view.setFloat64(at + 8, mac, true);
    this.#ring.view.setFloat64(at + 16, peer, true);
    return this.#end();
  }

  /** Whether the reader has to be woken; asked once a round. */
  takeSignal(): boolean {
    const wanted = this.#unsignalled;
    this.#unsignalled = false;
    return wanted;
  }

  #begin(kind: number, payloadBytes: number): number {
    const at = this.#ring.reserve(HEADER_BYTES + payloadBytes);
    if (at >= 0) this.#ring.view.setUint8(at, kind);
    return at;
  }

  #end(): boolean {
    this.#ring.commit();
    this.#unsignalled = true;
    return true;
  }
}

/** The reading end. */
export class Inbox {
  readonly #ring: FrameRing;
  /** Frames and datagrams are taken out of shared memory before anybody works on them. */
  readonly #scratch: Uint8Array;
  readonly #copier: Copier;
  readonly #from: number;

  /**
   * @param from index of the thread that writes.
   * @param scratch 65 535 bytes; several inboxes of a thread may share it.
   */
  constructor(ring: FrameRing, from: number, scratch: Uint8Array) {
    this.#from = from;
    this.#ring = ring;
    this.#scratch = scratch;
    this.#copier = new Copier(scratch);
  }

  /** Hands on at most `limit` messages. @returns true if more may wait. */
  drain(limit: number, sink: CrossingSink): boolean {
    for (let i = 0; i < limit; i++) {
      const at = this.#ring.peek();
      if (at < 0) return false;
      const kind = this.#ring.view.getUint8(at);
      const payload = this.#ring.lengthAt(at) - HEADER_BYTES;
      this.#copier.copy(this.#ring.bytes, at + HEADER_BYTES, this.#scratch, 0, payload);
      try {
        this.#hand(kind, at, payload, sink);
      } finally {
        this.#ring.release();
      }
    }
    return true;
  }

  #hand(kind: number, at: number, payloadBytes: number, sink: CrossingSink): void {
    const { view } = this.#ring;
    const id = view.getUint32(at + 4, true);
    const first = view.getFloat64(at + 8, true);
    const second = view.getFloat64(at + 16, true);
    switch (kind) {
      case Kind.record: {
        const df = view.getUint8(at + 1) === 1;
        sink.handleHandedRecord(id, df, first, second, this.#scratch, payloadBytes);
        return;
      }
      case Kind.datagram:
        sink.handleHandedDatagram(this.#scratch, payloadBytes, id, view.getUint16(at + 2, true));
        return;
      case Kind.tooBig:
        sink.handleTooBig(id, first);
        return;
      case Kind.address:
        sink.handleToldAddress(first, second, this.#from);
    }
  }
}
