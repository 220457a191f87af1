/**
 * The TAP device as the loop sees it: captured frames out, injected frames in, and its troubles
 * (set down, deleted) told once each. A deleted device is made anew. The device has offloads, so
 * large TCP frames are split after reading and segments joined before writing.
 */
import { errorCode } from '../../core/errors.js';
import { Errno, errnoName } from '../../sys/libc.js';
import { AddressCache, Memory } from '../../sys/memory.js';
import { Tap } from '../../sys/tap.js';
import { OpenChecksum } from '../open-checksum.js';
import type { TapPort } from '../ports.js';
import type { DeviceEvent } from './messages.js';
import { FrameJoiner, type JoinedFrame, type JoinSink } from './offload/join.js';
import { type FrameSink, FrameSplitter, type LargeFrameSink } from './offload/split.js';
import { NEEDS_CHECKSUM, VNET_HEADER_BYTES, VnetField } from './offload/vnet-header.js';
import type { Offloads } from './offloads.js';
import { TapWriter, type WriteRing } from './tap-writer.js';

/** Vnet header and the largest frame: an IP packet of 65 535 bytes, Ethernet header, VLAN tags. */
export const CAPTURE_BYTES = VNET_HEADER_BYTES + 65535 + 14 + 8;
const REOPEN_MS = 1000;

export interface TapDeviceOptions {
  readonly name: string;
  readonly persist: boolean;
  /** What the device may do of `tap-checksum`, `tap-segmentation` and `tap-join`. */
  readonly offloads: Offloads;
  /** For writing many frames by one call; the device closes it. */
  readonly ring?: WriteRing | null;
  /** One of several queues, see Tap.open. Default false. */
  readonly multiQueue?: boolean;
  /** Another thread has made the device, or may have made it anew. Default false. */
  readonly shared?: boolean;
}

export class TapDevice implements TapPort {
  /** Frames as the kernel gave and took them, joined ones counted once. */
  reads = 0;
  writes = 0;
  writeFailures = 0;
  reopens = 0;
  /** Frames whose vnet header contradicts them; dropped. */
  malformed = 0;
  readonly #options: TapDeviceOptions;
  readonly #onEvent: (event: DeviceEvent) => void;
  readonly #memory: Memory;
  readonly #splitter = new FrameSplitter();
  readonly #joiner: FrameJoiner;
  readonly #addresses = new AddressCache();
  readonly #noHeader = new Memory(VNET_HEADER_BYTES);
  /** For a frame of its own with an open checksum. */
  readonly #openHeader = new Memory(VNET_HEADER_BYTES);
  readonly #writer: TapWriter;
  /** Frames in it stay in place until `flush`. */
  #stableBuffer: Uint8Array | null = null;
  readonly #open = new OpenChecksum();
  /** 0 if frames are plain. */
  readonly #vnetBytes: number;
  readonly #joins: boolean;
  #tap: Tap | null;
  #isDown = false;
  /** Only while there is no device. */
  #reopenAtMs = 0;
  #lostCode = '';

  /**
   * @param memory frames are read into, CAPTURE_BYTES long; the device's own from now on.
   * @throws {SysError} see Tap.open.
   */
  constructor(
    options: TapDeviceOptions,
    onEvent: (event: DeviceEvent) => void,
    memory = new Memory(CAPTURE_BYTES),
  ) {
    this.#memory = memory;
    this.#options = options;
    this.#onEvent = onEvent;
    this.#vnetBytes = options.offloads.enabled('tap-checksum') ? VNET_HEADER_BYTES : 0;
    this.#joins = options.offloads.enabled('tap-join');
    this.#openHeader.bytes[VnetField.flags] = NEEDS_CHECKSUM;
    this.#tap = openTap(options);
    const sink: JoinSink = {
      writeSingle: (buffer, offset, frameBytes, mayBeOpen) =>
        this.#writeSingle(buffer, offset, frameBytes, mayBeOpen),
      writeJoined: (buffer, frame) => this.#writeJoined(buffer, frame),
    };
    this.#joiner = new FrameJoiner(sink);
    this.#writer = new TapWriter({
      ring: options.ring ?? null,
      onResult: (result) => this.#handleWritten(result),
      onRingLost: (reason) => options.offloads.fail('io-uring', reason),
    });
    this.#writer.setDevice(this.#tap.writeFd);
  }

  /** Calls of io_uring that wrote several frames each. */
  get writeBatches(): number {
    return this.#writer.batches;
  }

  /** As the kernel has it. */
  get name(): string {
    return this.#tap?.name ?? this.#options.name;
  }

  /** −1 while there is no device. */
  get fd(): number {
    return this.#tap?.fd ?? -1;
  }

  /** When `reopen` wants to be called; null while there is a device. */
  get reopenAtMs(): number | null {
    return this.#tap === null ? this.#reopenAtMs : null;
  }

  /**
   * Frames written from this buffer stay in place until `flush`, and may wait until then to be
   * joined, or written together.
   */
  setStableBuffer(buffer: Uint8Array): void {
    this.#stableBuffer = buffer;
    this.#joiner.setStableBuffer(buffer);
  }

  /**
   * Hands on what waits: about `limit` frames, as a large one is not interrupted.
   * @returns true if more may wait.
   */
  drain(limit: number, onFrame: FrameSink, onLarge: LargeFrameSink, nowMs: number): boolean {
    for (let count = 0; count < limit; ) {
      if (this.#tap === null) return false;
      // Without a vnet header its place before the frame stays zero, which is a header too.
      const skipped = VNET_HEADER_BYTES - this.#vnetBytes;
      const read = this.#tap.read(this.#memory.address + skipped, CAPTURE_BYTES - skipped);
      const bytes = read > 0 ? read + skipped : read;
      if (bytes <= 0) {
        if (bytes !== -Errno.EAGAIN && bytes !== -Errno.EINTR) this.#fail(-bytes, nowMs);
        return false;
      }
      this.reads++;
      const { bytes: buffer, view } = this.#memory;
      const frames = this.#splitter.split(buffer, view, bytes, onFrame, onLarge);
      if (frames < 0) this.malformed++;
      count += Math.max(1, frames);
    }
    return true;
  }

  /** @returns true also for a frame that waits; `flush` writes it. */
  write(buffer: Uint8Array, offset: number, frameBytes: number, mayBeOpen: boolean): boolean {
    if (this.#tap === null || offset < 0 || offset + frameBytes > buffer.length) return false;
    if (!this.#joins) return this.#writeSingle(buffer, offset, frameBytes, mayBeOpen);
    return this.#joiner.write(buffer, offset, frameBytes, mayBeOpen);
  }

  /** Writes what waits. */
  flush(): void {
    this.#joiner.flush();
    this.#writer.flush();
  }

  /** Tries to make the device anew if it is lost. */
  reopen(nowMs: number): void {
    if (this.#tap !== null || nowMs < this.#reopenAtMs) return;
    try {
      this.#tap = openTap({ ...this.#options, shared: this.#options.multiQueue === true });
      this.#writer.setDevice(this.#tap.writeFd);
      this.reopens++;
      this.#isDown = false;
      this.#lostCode = '';
      this.#onEvent({ type: 'tap-opened', name: this.#tap.name });
    } catch (error) {
      this.#lose(errorCode(error), nowMs);
    }
  }

  close(): void {
    this.#writer.close();
    this.#tap?.close();
    this.#tap = null;
    this.#reopenAtMs = Number.POSITIVE_INFINITY;
  }

  /** Reading fails for good only when the interface has been deleted under us. */
  #fail(errorNumber: number, nowMs: number): void {
    this.#writer.setDevice(-1);
    this.#tap?.close();
    this.#tap = null;
    this.#lose(errnoName(errorNumber), nowMs);
  }

  /** Told again only if the reason changes. */
  #lose(code: string, nowMs: number): void {
    this.#reopenAtMs = nowMs + REOPEN_MS;
    if (code === this.#lostCode) return;
    this.#lostCode = code;
    this.#onEvent({ type: 'tap-lost', code });
  }

  #writeSingle(
    buffer: Uint8Array,
    offset: number,
    frameBytes: number,
    mayBeOpen: boolean,
  ): boolean {
    let header = this.#noHeader;
    if (mayBeOpen) {
      if (this.#vnetBytes === 0) this.#open.complete(buffer, offset, frameBytes);
      else if (this.#open.find(buffer, offset, frameBytes)) header = this.#describeOpen();
    }
    this.#writer.begin(header.bytes, this.#vnetBytes);
    this.#writer.add(this.#addresses.of(buffer) + offset, frameBytes);
    return this.#writer.end(buffer === this.#stableBuffer);
  }

  /** The header of a frame whose open checksum has just been found. */
  #describeOpen(): Memory {
    const header = this.#openHeader;
    header.setShort(VnetField.checksumStart, this.#open.transport);
    header.setShort(VnetField.checksumOffset, this.#open.field);
    return header;
  }

  #writeJoined(buffer: Uint8Array, frame: JoinedFrame): boolean {
    const base = this.#addresses.of(buffer);
    this.#writer.begin(frame.header, frame.headerBytes);
    for (let i = 0; i < frame.pieceCount; i++) {
      const address = base + (frame.pieceOffsets[i] as number);
      this.#writer.add(address, frame.pieceBytes[i] as number);
    }
    return this.#writer.end(true);
  }

  /** @param written bytes of a frame, or a negative error number. */
  #handleWritten(written: number): void {
    if (written >= 0) {
      this.writes++;
      if (this.#isDown) this.#setDown(false);
      return;
    }
    this.writeFailures++;
    // A deleted device is noticed by the next read, which poll asks for.
    if (written === -Errno.EIO || written === -Errno.ENETDOWN) this.#setDown(true);
  }

  #setDown(isDown: boolean): void {
    if (this.#isDown === isDown) return;
    this.#isDown = isDown;
    this.#onEvent({ type: isDown ? 'tap-down' : 'tap-up' });
  }
}

function openTap({ name, persist, offloads, multiQueue, shared }: TapDeviceOptions): Tap {
  return Tap.open({
    name,
    persist,
    offloads: offloads.enabled('tap-checksum'),
    segmentation: offloads.enabled('tap-segmentation'),
    multiQueue: multiQueue === true,
    shared: shared === true,
  });
}
