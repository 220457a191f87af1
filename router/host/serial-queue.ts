/**
 * Runs jobs one after the other. Changes to bridge and rules are read-modify-write over external
 * programs, so two of them must never overlap.
 */
import { RequestError } from '../../core/errors.js';

export class SerialQueue {
  readonly #limit: number;
  #tail: Promise<unknown> = Promise.resolve();
  /** BOUNDED by the limit: callers beyond it are refused. */
  #waiting = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @throws {RequestError} `host-busy` (503) when too many jobs wait; and what the job throws. */
  run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#waiting >= this.#limit) {
      const text = 'too many changes to the host network are waiting';
      return Promise.reject(new RequestError('host-busy', text, 503));
    }
    this.#waiting += 1;
    const result = this.#tail.then(job).finally(() => {
      this.#waiting -= 1;
    });
    // The next job runs whether or not this one failed; its caller gets the error.
    this.#tail = result.catch(() => {});
    return result;
  }
}
