/**
 * Holds a thread that is ready to go on until another one lets it: the data plane's thread starts
 * while the bridge is still being set up, and opens its devices after that.
 */
const SHUT = 0;
const OPEN = 1;
const CANCELLED = 2;

export class Gate {
  readonly buffer: SharedArrayBuffer;
  readonly #state: Int32Array;

  /** @param buffer of the other thread's gate. */
  constructor(buffer = new SharedArrayBuffer(4)) {
    this.buffer = buffer;
    this.#state = new Int32Array(buffer);
  }

  open(): void {
    this.#set(OPEN);
  }

  /** Whoever waits shall give up. */
  cancel(): void {
    this.#set(CANCELLED);
  }

  /** Blocks this thread; not for the main one. @returns false if there is nothing to wait for. */
  pass(): boolean {
    Atomics.wait(this.#state, 0, SHUT);
    return Atomics.load(this.#state, 0) === OPEN;
  }

  #set(state: number): void {
    Atomics.store(this.#state, 0, state);
    Atomics.notify(this.#state, 0);
  }
}
