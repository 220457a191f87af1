/**
 * Fourth stage outwards: collects frames for one hop and DF class into datagrams and seals them.
 * Source: reference/wire-protocol.md 10.2, 10.4, 10.8.
 *
 * Frames wait only until the end of the batch they came in. A frame that nearly fills a datagram
 * goes straight into the port's arena; smaller ones are gathered in a builder of their hop and
 * class, of which a fixed number exist. The sealer owns the builders; the arena is the port's.
 */

import { MAX_DATAGRAM_BYTES } from '../../core/limits.js';
import type { PeerName } from '../../core/peer-name.js';
import { Copier } from '../copier.js';
import type { Counters } from '../counters.js';
import { DropReason } from '../drop-reason.js';
import type { LargeFrame } from '../large-frame.js';
import { type Link, NONCE_SEQUENCE_OFFSET } from '../link.js';
import { type DatagramPort, MAX_GROUP, type Secretbox } from '../ports.js';
import {
  BOX_OFFSET,
  RECORD_HEADER_BYTES,
  SEQUENCE_OFFSET,
  writeRecordHeader,
  writeU32,
} from '../wire.js';
import { transmit } from './transmit.js';

const BUILDER_COUNT = 16;
/** What all of them take together. */
export const BUILDER_BYTES = BUILDER_COUNT * MAX_DATAGRAM_BYTES;
/** If less than this is left, no further frame is expected to fit: record header and ARP. */
const LEAST_RECORD_BYTES = RECORD_HEADER_BYTES + 42;
/** While the path MTU is unknown, gathering frames must not make a datagram any link refuses. */
const CAUTIOUS_PAYLOAD_BYTES = 1200;
/** From here on a lost DF datagram may be a matter of size; every link carries less. */
const LARGE_RECORD_BYTES = 512;
const DF_BIT = 0x8000_0000;

/** Records that wait to become a datagram. */
interface Builder {
  readonly records: Uint8Array;
  recordBytes: number;
  link: Link | null;
  df: boolean;
}

export interface SealerModules {
  readonly datagrams: DatagramPort;
  readonly secretbox: Secretbox;
  readonly counters: Counters;
}

export class Sealer {
  readonly #localPeer: PeerName;
  readonly #datagrams: DatagramPort;
  readonly #secretbox: Secretbox;
  readonly #counters: Counters;
  readonly #arenaView: DataView;
  /** Our name as a datagram begins with it, in two parts. */
  readonly #localHigh: number;
  readonly #localLow: number;
  /** Record header of the large frame in hand, and the same as words. */
  readonly #names = new Uint8Array(16);
  readonly #nameWords = new Int32Array(this.#names.buffer);
  readonly #copier: Copier;
  /** Those with records come first, oldest first. BOUNDED by BUILDER_COUNT. */
  readonly #builders: Builder[] = [];
  #openCount = 0;

  constructor(options: { readonly localPeer: PeerName }, modules: SealerModules) {
    this.#localPeer = options.localPeer;
    this.#localHigh = Math.floor(options.localPeer / 0x1_0000_0000);
    this.#localLow = options.localPeer | 0;
    this.#datagrams = modules.datagrams;
    this.#secretbox = modules.secretbox;
    this.#counters = modules.counters;
    const { arena } = modules.datagrams;
    this.#arenaView = new DataView(arena.buffer, arena.byteOffset, arena.byteLength);
    this.#copier = new Copier(arena);
    const room = modules.datagrams.scratch ?? new Uint8Array(BUILDER_BYTES);
    for (let i = 0; i < BUILDER_COUNT; i++) {
      const start = i * MAX_DATAGRAM_BYTES;
      const records = room.subarray(start, start + MAX_DATAGRAM_BYTES);
      this.#builders.push({ records, recordBytes: 0, link: null, df: false });
    }
  }

  /**
   * Takes one frame. It leaves at the latest with `sealAll`, in order within its hop and class.
   * @returns `none`, or `exceedsDatagram`. The caller has checked that the address is known.
   */
  append(
    link: Link,
    df: boolean,
    source: PeerName,
    destination: PeerName,
    buffer: Uint8Array,
    offset: number,
    frameBytes: number,
  ): DropReason {
    const recordBytes = RECORD_HEADER_BYTES + frameBytes;
    const maxPayload = link.forwarder.maxPayloadBytes;
    const hardLimit = (df ? maxPayload : MAX_DATAGRAM_BYTES) - link.overheadBytes;
    if (recordBytes > hardLimit) return DropReason.exceedsDatagram;
    const gatherLimit =
      (link.forwarder.mtuKnown ? maxPayload : CAUTIOUS_PAYLOAD_BYTES) - link.overheadBytes;
    let builder = this.#findOpen(link, df);
    if (builder !== null && builder.recordBytes + recordBytes > gatherLimit) {
      this.#seal(builder);
      builder = null;
    }
    link.traffic.framesSent += 1;
    link.traffic.bytesSent += frameBytes;
    if (builder === null) {
      if (recordBytes + LEAST_RECORD_BYTES > gatherLimit) {
        const at = this.#reserve(link, recordBytes);
        const frameAt = writeRecordHeader(
          this.#datagrams.arena,
          at + link.headerBytes,
          source,
          destination,
          frameBytes,
        );
        this.#copier.copy(buffer, offset, this.#datagrams.arena, frameAt, frameBytes);
        this.#finish(link, df, at, recordBytes);
        noteSize(link, recordBytes);
        return DropReason.none;
      }
      builder = this.#open(link, df);
    }
    const records = builder.records;
    const at = writeRecordHeader(records, builder.recordBytes, source, destination, frameBytes);
    this.#copier.copy(buffer, offset, records, at, frameBytes);
    builder.recordBytes += recordBytes;
    return DropReason.none;
  }

  /**
   * Takes the segments of a large frame, each for a datagram of its own.
   * @returns false if they do not fit, or several fit one datagram; nothing has been done then.
   */
  appendLarge(
    link: Link,
    df: boolean,
    source: PeerName,
    destination: PeerName,
    frame: LargeFrame,
  ): boolean {
    const { headerBytes, segmentBytes, count } = frame;
    const fullBytes = RECORD_HEADER_BYTES + headerBytes + segmentBytes;
    const maxPayload = link.forwarder.maxPayloadBytes;
    const hardLimit = (df ? maxPayload : MAX_DATAGRAM_BYTES) - link.overheadBytes;
    if (fullBytes > hardLimit || 2 * fullBytes <= maxPayload - link.overheadBytes) return false;
    const waiting = this.#findOpen(link, df);
    if (waiting !== null) this.#seal(waiting);
    const datagramBytes = link.overheadBytes + fullBytes;
    const perGroup = Math.min(MAX_GROUP, Math.floor(MAX_DATAGRAM_BYTES / datagramBytes));
    writeRecordHeader(this.#names, 0, source, destination, 0);
    for (let first = 0; first < count; first += perGroup) {
      const group = Math.min(perGroup, count - first);
      const start = this.#datagrams.reserve(group * datagramBytes);
      const end = this.#buildSegments(link, df, frame, first, first + group, start);
      transmit(this.#datagrams, link, end - start, datagramBytes, df);
    }
    link.traffic.framesSent += count;
    link.traffic.bytesSent += count * headerBytes + frame.payloadBytes;
    noteSize(link, fullBytes);
    return true;
  }

  /**
   * Makes sealed datagrams of the segments from `first` to before `last`, one behind the other.
   * @param start where, in the arena. The records' names are in `#names`. @returns their end.
   */
  #buildSegments(
    link: Link,
    df: boolean,
    frame: LargeFrame,
    first: number,
    last: number,
    start: number,
  ): number {
    const { arena } = this.#datagrams;
    const view = this.#arenaView;
    const names = this.#nameWords;
    const { headerBytes } = frame;
    let at = start;
    for (let index = first; index < last; index++) {
      const payload = frame.payloadBytesOf(index);
      const record = at + link.headerBytes;
      view.setInt32(record, names[0] as number, true);
      view.setInt32(record + 4, names[1] as number, true);
      view.setInt32(record + 8, names[2] as number, true);
      view.setUint16(record + 12, headerBytes + payload);
      const frameAt = record + RECORD_HEADER_BYTES;
      frame.writeHeader(view, frameAt, index, payload);
      const from = frame.payloadOffsetOf(index);
      this.#copier.copy(frame.buffer, from, arena, frameAt + headerBytes, payload);
      if (!link.openChecksums) frame.complete(view, frameAt, payload);
      const recordBytes = RECORD_HEADER_BYTES + headerBytes + payload;
      this.#sealInPlace(link, df, at, recordBytes);
      at += link.overheadBytes + recordBytes;
    }
    return at;
  }

  /**
   * Sends a frame of zeros to the neighbour itself, in a datagram of its own.
   * @param uidHigh, uidLow bytes 14 to 21 of the frame, if it is long enough.
   */
  sendSpecial(link: Link, df: boolean, frameBytes: number, uidHigh: number, uidLow: number): void {
    const recordBytes = RECORD_HEADER_BYTES + frameBytes;
    const arena = this.#datagrams.arena;
    // On its own: virtual links let a group of datagrams pass that are too large one by one, so a
    // test in a group would prove nothing.
    this.#datagrams.flush();
    const at = this.#reserve(link, recordBytes);
    const records = at + link.headerBytes;
    const frameAt = writeRecordHeader(arena, records, this.#localPeer, link.remotePeer, frameBytes);
    arena.fill(0, frameAt, frameAt + frameBytes);
    if (frameBytes >= 22) {
      writeU32(arena, frameAt + 14, uidHigh);
      writeU32(arena, frameAt + 18, uidLow);
    }
    this.#finish(link, df, at, recordBytes);
    this.#datagrams.flush();
  }

  /** Sends a datagram without records, in which there is nothing but that it is genuine. */
  sendEmpty(link: Link): void {
    this.#finish(link, true, this.#reserve(link, 0), 0);
  }

  /** The end of a batch: everything that waits becomes datagrams. */
  sealAll(): void {
    while (this.#openCount > 0) this.#seal(this.#builders[0] as Builder);
  }

  /** The connection is over; its waiting frames are lost. */
  discard(link: Link): void {
    for (let i = this.#openCount - 1; i >= 0; i--) {
      const builder = this.#builders[i] as Builder;
      if (builder.link === link) this.#release(i, builder);
    }
  }

  #findOpen(link: Link, df: boolean): Builder | null {
    for (let i = 0; i < this.#openCount; i++) {
      const builder = this.#builders[i] as Builder;
      if (builder.link === link && builder.df === df) return builder;
    }
    return null;
  }

  #open(link: Link, df: boolean): Builder {
    if (this.#openCount === BUILDER_COUNT) this.#seal(this.#builders[0] as Builder);
    const builder = this.#builders[this.#openCount] as Builder;
    this.#openCount += 1;
    builder.link = link;
    builder.df = df;
    return builder;
  }

  #seal(builder: Builder): void {
    const { df, recordBytes, records } = builder;
    const link = builder.link as Link;
    // Given back first: should the port throw, the records are lost rather than tried for ever.
    this.#release(this.#builders.indexOf(builder), builder);
    const at = this.#reserve(link, recordBytes);
    this.#copier.copy(records, 0, this.#datagrams.arena, at + link.headerBytes, recordBytes);
    this.#finish(link, df, at, recordBytes);
    noteSize(link, recordBytes);
  }

  #release(index: number, builder: Builder): void {
    builder.link = null;
    builder.recordBytes = 0;
    this.#openCount -= 1;
    // By hand, since `splice` makes an array.
    const builders = this.#builders;
    for (let i = index; i + 1 < BUILDER_COUNT; i++) builders[i] = builders[i + 1] as Builder;
    builders[BUILDER_COUNT - 1] = builder;
  }

  #reserve(link: Link, recordBytes: number): number {
    return this.#datagrams.reserve(link.overheadBytes + recordBytes);
  }

  /** Completes and queues the datagram at `at`, whose records are in place. */
  #finish(link: Link, df: boolean, at: number, recordBytes: number): void {
    this.#sealInPlace(link, df, at, recordBytes);
    const datagramBytes = link.overheadBytes + recordBytes;
    transmit(this.#datagrams, link, datagramBytes, datagramBytes, df);
  }

  #sealInPlace(link: Link, df: boolean, at: number, recordBytes: number): void {
    const arena = this.#datagrams.arena;
    this.#arenaView.setUint16(at, this.#localHigh);
    this.#arenaView.setInt32(at + 2, this.#localLow);
    if (link.sendKeys !== null) link.sendKeys.seal(arena, at, recordBytes);
    else if (link.key !== null) this.#sealBox(link, link.key, df, at, recordBytes);
    if (link.encrypted) this.#counters.datagramsSealed += 1;
  }

  #sealBox(link: Link, key: Uint8Array, df: boolean, at: number, recordBytes: number): void {
    const arena = this.#datagrams.arena;
    // The number is spent whether or not the system takes the datagram: a nonce never repeats.
    const sequence = link.sequences.next(df);
    const high = Math.floor(sequence / 0x1_0000_0000) | (df ? DF_BIT : 0);
    const nonce = link.sendNonce;
    writeU32(arena, at + SEQUENCE_OFFSET, high);
    writeU32(arena, at + SEQUENCE_OFFSET + 4, sequence >>> 0);
    writeU32(nonce, NONCE_SEQUENCE_OFFSET, high);
    writeU32(nonce, NONCE_SEQUENCE_OFFSET + 4, sequence >>> 0);
    this.#secretbox.seal(arena, at + BOX_OFFSET, recordBytes, nonce, key);
  }
}

/**
 * Frames of workloads only: if tests counted, they would keep themselves going. Those without DF
 * count, too, since a path that shrinks in silence swallows them as well.
 */
function noteSize(link: Link, recordBytes: number): void {
  if (recordBytes > LARGE_RECORD_BYTES) link.forwarder.noteLargeTraffic();
}
