/**
 * Holds a thread that is ready to go on until another one lets it: the data plane's thread starts
 * while the bridge is still being set up, and opens its devices after that.
 */
const SHUT = 0;
const OPEN = 1;
const CANCELLED = 2;
const STATE = 0;
const ARRIVED = 1;

export class Gate {
  readonly buffer: SharedArrayBuffer;
  readonly #state: Int32Array;

  /** @param buffer of the other thread's gate. */
  constructor(buffer = new SharedArrayBuffer(8)) {
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

  /** Whether the other thread has come so far that it only waits, or did. */
  get arrived(): boolean {
    return Atomics.load(this.#state, ARRIVED) !== 0;
  }

  /** Blocks this thread; not for the main one. @returns false if there is nothing to wait for. */
  pass(): boolean {
    Atomics.store(this.#state, ARRIVED, 1);
    Atomics.wait(this.#state, STATE, SHUT);
    return Atomics.load(this.#state, STATE) === OPEN;
  }

  #set(state: number): void {
    Atomics.store(this.#state, STATE, state);
    Atomics.notify(this.#state, STATE);
  }
}
