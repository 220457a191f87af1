/**
 * Deletes interfaces while other work goes on. The kernel takes some milliseconds for it, however
 * many they are: what comes while it is busy waits for the next deletion, and is deleted together.
 */
import { randomInt } from 'node:crypto';
import { Errno } from '../../../sys/libc.js';
import { failedWith } from '../../../sys/netlink.js';
import type { RouteNetlink } from '../../../sys/rtnetlink.js';

/** What it needs of a netlink socket in the namespace of the interfaces. */
export type RemovalNetlink = Pick<RouteNetlink, 'setGroup' | 'deleteGroup' | 'close'>;

/** Of an interface that nobody has put into a group. */
const NO_GROUP = 0;
const GROUPS_END = 2 ** 31;

export class LinkRemoval {
  /** Used by this object alone. */
  readonly #netlink: RemovalNetlink;
  /** For the next deletion. BOUNDED by the interfaces of the host. */
  #waiting = new Set<number>();
  #next: Promise<void> | null = null;
  #running: Promise<void> = Promise.resolve();

  /** @param netlink belongs to the new object. */
  constructor(netlink: RemovalNetlink) {
    this.#netlink = netlink;
  }

  /** Resolves when it is gone, by this or by somebody else. @throws {SysError} */
  async remove(index: number): Promise<void> {
    this.#waiting.add(index);
    if (this.#next === null) {
      this.#next = this.#running.then(() => this.#removeWaiting());
      // Those who wait are told of a failure; it does not concern the next ones.
      this.#running = this.#next.catch(() => {});
    }
    await this.#next;
  }

  /** Nothing may be removed any more. */
  async close(): Promise<void> {
    await this.#running;
    this.#netlink.close();
  }

  async #removeWaiting(): Promise<void> {
    const indexes = this.#waiting;
    this.#waiting = new Set();
    this.#next = null;
    // A new one each time: what a failure leaves in a group must not go with the next.
    const group = randomInt(NO_GROUP + 1, GROUPS_END);
    for (const index of indexes) ifThere(() => this.#netlink.setGroup(index, group));
    try {
      await this.#netlink.deleteGroup(group);
    } catch (error) {
      if (!failedWith(error, Errno.ENODEV)) throw error;
    }
  }
}

/** The namespace of the other end may take an interface along at any moment. */
function ifThere(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!failedWith(error, Errno.ENODEV)) throw error;
  }
}
