/** Waiting for several descriptors at once, without an allocation per wait. Source: poll(2). */
import { check, Errno, errno, libc } from './libc.js';
import { Memory } from './memory.js';

export const POLLIN = 1;
export const POLLOUT = 4;
export const POLLERR = 8;
export const POLLHUP = 16;
const ENTRY_BYTES = 8;

/** A fixed number of slots, each watching one descriptor for reading, or none (−1). */
export class PollSet {
  readonly #memory: Memory;
  readonly #count: number;

  constructor(fds: readonly number[]) {
    this.#count = fds.length;
    this.#memory = new Memory(fds.length * ENTRY_BYTES);
    for (let slot = 0; slot < fds.length; slot++) this.watch(slot, fds[slot] as number);
  }

  /** @param fd −1 leaves the slot out. */
  watch(slot: number, fd: number, events: number = POLLIN): void {
    this.#memory.setInt(slot * ENTRY_BYTES, fd);
    this.#memory.setShort(slot * ENTRY_BYTES + 4, events);
    this.#memory.setShort(slot * ENTRY_BYTES + 6, 0);
  }

  /**
   * @param timeoutMs whole milliseconds; −1 waits for ever.
   * @returns how many slots are ready; 0 also after a signal. @throws {SysError}
   */
  wait(timeoutMs: number): number {
    const ready = libc.poll(this.#memory.address, this.#count, timeoutMs);
    if (ready >= 0) return ready;
    if (errno() !== Errno.EINTR) check(ready, 'poll');
    for (let slot = 0; slot < this.#count; slot++) {
      this.#memory.setShort(slot * ENTRY_BYTES + 6, 0);
    }
    return 0;
  }

  /** The bits that the last wait found, 0 if none. */
  ready(slot: number): number {
    return this.#memory.getShort(slot * ENTRY_BYTES + 6);
  }
}
