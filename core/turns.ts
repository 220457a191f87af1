/** Asynchronous work that must not mix: calls for one key follow each other. */
export class Turns {
  /** The last call of each key. BOUNDED by the calls that run or wait. */
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs `work` when all earlier work for `key` has ended, well or not. */
  async run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const call = before.then(work, work);
    this.#last.set(key, call);
    try {
      return await call;
    } finally {
      if (this.#last.get(key) === call) this.#last.delete(key);
    }
  }
}
