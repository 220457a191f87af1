/** A counter in the kernel that wakes a thread out of poll. Source: eventfd(2). */
import { check, libc } from './libc.js';
import { Memory } from './memory.js';

const EFD_NONBLOCK = 0x800;
const EFD_CLOEXEC = 0x80000;

/** One end per thread: both may wrap the same descriptor. */
export class EventFd {
  readonly fd: number;
  readonly #memory = new Memory(16);

  /** @param fd a descriptor that already is an eventfd. */
  constructor(fd: number) {
    this.fd = fd;
    this.#memory.setWord(0, 1);
  }

  /** @throws {SysError} */
  static create(): EventFd {
    return new EventFd(check(libc.eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), 'eventfd'));
  }

  /** Wakes the waiter. A counter that is full has woken it already, so failure needs no answer. */
  signal(): void {
    libc.write(this.fd, this.#memory.address, 8);
  }

  /** Makes it not ready again. */
  clear(): void {
    libc.read(this.fd, this.#memory.address + 8, 8);
  }

  close(): void {
    libc.close(this.fd);
  }
}
