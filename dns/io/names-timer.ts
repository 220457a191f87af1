/** Gives the machine of names its wake-ups: what it awaits comes from other sides, so it polls. */
import type { Clock } from '../../core/clock.js';
import type { Names } from '../names.js';

const TICK_MS = 500;

export class NamesTimer {
  readonly #names: Names;
  readonly #clock: Clock;
  #timer: NodeJS.Timeout | null = null;

  constructor(names: Names, clock: Clock) {
    this.#names = names;
    this.#clock = clock;
  }

  start(): void {
    this.#timer = setInterval(() => {
      const nowMs = this.#clock.nowMs();
      if (this.#names.nextTimeout().atMs <= nowMs) this.#names.handleTimeout(nowMs);
    }, TICK_MS);
    this.#timer.unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }
}
