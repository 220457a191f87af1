/** Keeps connections of the API free for those who only want to know why the others wait. */
import { RequestError } from '../../core/errors.js';

/** Below the connections that a listener takes (io/listen.ts). */
const MAX_WAITING = 192;

export class WaitingRoom {
  #count = 0;

  /** @throws {RequestError} `too-many-waiting`, before any work begins. */
  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#count >= MAX_WAITING) {
      throw new RequestError(
        'too-many-waiting',
        `${MAX_WAITING} requests wait for addresses already; "weave ipam check" says why`,
        503,
      );
    }
    this.#count += 1;
    try {
      return await work();
    } finally {
      this.#count -= 1;
    }
  }
}
