/**
 * Writes frames to the TAP device: those that may wait are collected and handed to the kernel by
 * one call of io_uring, the others by a call each. Either way they arrive in the order they were
 * given. A frame is a list of pieces, the first of which may be copied.
 *
 * Memory: per frame an iovec array and a place for a copied header:
 *
 *   +0 iovecs (16 bytes each)   +PIECES × 16 header (160)
 */
import { Errno, errno, libc } from '../../sys/libc.js';
import { Memory } from '../../sys/memory.js';
import type { Uring } from '../../sys/uring.js';

/** Frames collected between two calls; more gain nothing. */
export const RING_ENTRIES = 64;
/** Below this a call for each is cheaper than one of io_uring. */
const MIN_BATCH = 4;
const MAX_PIECES = 66;
const IOVEC_BYTES = 16;
export const MAX_HEADER_BYTES = 160;
const SLOT_BYTES = MAX_PIECES * IOVEC_BYTES + MAX_HEADER_BYTES;
/** Writing to a TAP device never waits; a ring that takes longer than this is broken. */
const STUCK_AFTER_MS = 200;
const WAIT_STEP_MS = 20;

/** What the writer needs of a ring. */
export type WriteRing = Pick<
  Uring,
  'prepareWritev' | 'submit' | 'discard' | 'reap' | 'wait' | 'inFlight' | 'close'
>;

export interface TapWriterModules {
  /** null: a call for each frame. The writer closes it. */
  readonly ring: WriteRing | null;
  /** Told of each frame: its bytes, or a negative error number. */
  readonly onResult: (result: number) => void;
  /** The ring does not do what it should and is not used any more. */
  readonly onRingLost: (reason: string) => void;
}

export class TapWriter {
  /** Calls of io_uring, each for several frames. */
  batches = 0;
  readonly #modules: TapWriterModules;
  readonly #memory = new Memory((RING_ENTRIES + 1) * SLOT_BYTES);
  readonly #pieceCounts = new Int32Array(RING_ENTRIES + 1);
  readonly #onCompletion = (slot: number, result: number): void => {
    if (result !== -Errno.EOPNOTSUPP) this.#modules.onResult(result);
    else this.#refused.push(slot);
  };
  /** Slots that the ring cannot write without waiting. BOUNDED by RING_ENTRIES. */
  readonly #refused: number[] = [];
  #ring: WriteRing | null;
  #fd = -1;
  /** Frames collected; the one in hand is put together in the slot behind them. */
  #count = 0;
  #pieces = 0;

  constructor(modules: TapWriterModules) {
    this.#modules = modules;
    this.#ring = modules.ring;
  }

  /** Whether frames are collected at all. */
  get collects(): boolean {
    return this.#ring !== null;
  }

  /** @param fd −1 while there is no device: frames fail with −EBADFD then. */
  setDevice(fd: number): void {
    this.flush();
    this.#fd = fd;
  }

  /** Copies the first piece of a frame. @param bytes at most MAX_HEADER_BYTES; 0 for none. */
  begin(header: Uint8Array, bytes: number): void {
    this.#pieces = 0;
    if (bytes === 0) return;
    const at = this.#count * SLOT_BYTES + MAX_PIECES * IOVEC_BYTES;
    const memory = this.#memory.bytes;
    for (let i = 0; i < bytes; i++) memory[at + i] = header[i] as number;
    this.add(this.#memory.address + at, bytes);
  }

  /** A piece that stays in place until the frame is written. At most 65 after the header. */
  add(address: number, bytes: number): void {
    const at = this.#count * SLOT_BYTES + this.#pieces * IOVEC_BYTES;
    this.#memory.setWord(at, address);
    this.#memory.setWord(at + 8, bytes);
    this.#pieces++;
  }

  /**
   * The frame is complete.
   * @param mayWait its pieces stay in place until `flush`.
   * @returns false if it was refused at once.
   */
  end(mayWait: boolean): boolean {
    this.#pieceCounts[this.#count] = this.#pieces;
    if (this.#ring !== null && mayWait) {
      this.#count++;
      if (this.#count === RING_ENTRIES) this.flush();
      return true;
    }
    const slot = this.#count;
    this.flush();
    return this.#writeNow(slot);
  }

  /** Writes what was collected. */
  flush(): void {
    const count = this.#count;
    if (count === 0) return;
    this.#count = 0;
    const done = this.#ring !== null && count >= MIN_BATCH ? this.#submit(this.#ring, count) : 0;
    for (let slot = done; slot < count; slot++) this.#writeNow(slot);
  }

  close(): void {
    this.setDevice(-1);
    this.#ring?.close();
    this.#ring = null;
  }

  /** @returns how many of the first frames the ring took. */
  #submit(ring: WriteRing, count: number): number {
    const { address } = this.#memory;
    for (let slot = 0; slot < count; slot++) {
      const pieces = this.#pieceCounts[slot] as number;
      ring.prepareWritev(this.#fd, address + slot * SLOT_BYTES, pieces, slot, true);
    }
    let started = 0;
    while (started < count) {
      const result = ring.submit();
      if (result <= 0) break;
      started += result;
    }
    ring.discard();
    this.batches++;
    ring.reap(this.#onCompletion);
    if (ring.inFlight > 0) this.#await(ring);
    if (this.#refused.length > 0) this.#writeRefused(ring);
    return started;
  }

  /** All of a batch, since they went to one device; so their order is kept. */
  #writeRefused(ring: WriteRing): void {
    for (const slot of this.#refused.splice(0)) this.#writeNow(slot);
    if (this.#ring === null) return;
    this.#ring = null;
    ring.close();
    this.#modules.onRingLost('a TAP device of this kernel may wait');
  }

  #await(ring: WriteRing): void {
    for (let waitedMs = 0; waitedMs < STUCK_AFTER_MS; waitedMs += WAIT_STEP_MS) {
      ring.wait(WAIT_STEP_MS);
      ring.reap(this.#onCompletion);
      if (ring.inFlight === 0) return;
    }
    // Left open: closing it would free memory that the kernel may still use.
    this.#ring = null;
    this.#modules.onRingLost(`${ring.inFlight} writes did not complete`);
  }

  #writeNow(slot: number): boolean {
    const pieces = this.#pieceCounts[slot] as number;
    const { address } = this.#memory;
    let result: number = -Errno.EBADFD;
    if (this.#fd >= 0) {
      result = libc.writev(this.#fd, address + slot * SLOT_BYTES, pieces);
      // Should errno be lost between the call and here, "try again" is the harmless reading.
      if (result < 0) result = -(errno() || Errno.EAGAIN);
    }
    this.#modules.onResult(result);
    return result >= 0;
  }
}
