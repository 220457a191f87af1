/**
 * The TAP device as the loop sees it: frames out by address, frames in as TapPort, and its troubles
 * (set down, deleted) told once each. A deleted device is made anew.
 */
import { errorCode } from '../../core/errors.js';
import { Errno, errnoName } from '../../sys/libc.js';
import { AddressCache, Memory } from '../../sys/memory.js';
import { Tap } from '../../sys/tap.js';
import type { TapPort } from '../ports.js';
import type { DeviceEvent } from './messages.js';

/** The largest frame of a device whose MTU is 65 535, with Ethernet header and VLAN tags. */
const FRAME_SPACE = 65535 + 14 + 8 + 7;
const REOPEN_MS = 1000;

export interface TapDeviceOptions {
  readonly name: string;
  readonly persist: boolean;
}

/** Takes a captured frame; the buffer is reused by the next. */
export type FrameHandler = (buffer: Uint8Array, frameBytes: number) => void;

export class TapDevice implements TapPort {
  reads = 0;
  writes = 0;
  writeFailures = 0;
  reopens = 0;
  readonly #options: TapDeviceOptions;
  readonly #onEvent: (event: DeviceEvent) => void;
  readonly #memory = new Memory(FRAME_SPACE);
  readonly #addresses = new AddressCache();
  #tap: Tap | null;
  #isDown = false;
  /** Only while there is no device. */
  #reopenAtMs = 0;

  /** @throws {SysError} see Tap.open. */
  constructor(options: TapDeviceOptions, onEvent: (event: DeviceEvent) => void) {
    this.#options = options;
    this.#onEvent = onEvent;
    this.#tap = openTap(options);
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
   * Hands on what waits, `limit` frames at most.
   * @returns frames handed on: fewer than the limit means that none waits any more.
   */
  drain(limit: number, onFrame: FrameHandler, nowMs: number): number {
    for (let count = 0; count < limit; count++) {
      if (this.#tap === null) return count;
      const bytes = this.#tap.read(this.#memory.address, FRAME_SPACE);
      if (bytes > 0) {
        this.reads++;
        onFrame(this.#memory.bytes, bytes);
      } else {
        if (bytes !== -Errno.EAGAIN && bytes !== -Errno.EINTR) this.#fail(-bytes, nowMs);
        return count;
      }
    }
    return limit;
  }

  write(buffer: Uint8Array, offset: number, frameBytes: number): boolean {
    const tap = this.#tap;
    if (tap === null || frameBytes > buffer.length - offset) return false;
    const written = tap.write(this.#addresses.of(buffer) + offset, frameBytes);
    if (written >= 0) {
      this.writes++;
      if (this.#isDown) this.#setDown(false);
      return true;
    }
    this.writeFailures++;
    // A deleted device is noticed by the next read, which poll asks for.
    if (written === -Errno.EIO || written === -Errno.ENETDOWN) this.#setDown(true);
    return false;
  }

  /** Tries to make the device anew if it is lost. */
  reopen(nowMs: number): void {
    if (this.#tap !== null || nowMs < this.#reopenAtMs) return;
    try {
      this.#tap = openTap(this.#options);
      this.reopens++;
      this.#isDown = false;
      this.#onEvent({ type: 'tap-opened', name: this.#tap.name });
    } catch (error) {
      this.#reopenAtMs = nowMs + REOPEN_MS;
      this.#onEvent({ type: 'tap-lost', code: errorCode(error) });
    }
  }

  close(): void {
    this.#tap?.close();
    this.#tap = null;
    this.#reopenAtMs = Number.POSITIVE_INFINITY;
  }

  /** Reading fails for good only when the interface has been deleted under us. */
  #fail(errorNumber: number, nowMs: number): void {
    this.#tap?.close();
    this.#tap = null;
    this.#reopenAtMs = nowMs + REOPEN_MS;
    this.#onEvent({ type: 'tap-lost', code: errnoName(errorNumber) });
  }

  #setDown(isDown: boolean): void {
    if (this.#isDown === isDown) return;
    this.#isDown = isDown;
    this.#onEvent({ type: isDown ? 'tap-down' : 'tap-up' });
  }
}

function openTap(options: TapDeviceOptions): Tap {
  return Tap.open({ name: options.name, persist: options.persist });
}
