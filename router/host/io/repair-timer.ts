/** Calls `reconcile` of the host network again and again, so that damage lasts seconds at most. */
import { errorCode, errorText } from '../../../core/errors.js';
import type { Logger } from '../../../core/log.js';

/** Half of the ten seconds within which rules must be back. */
export const REPAIR_INTERVAL_MS = 5000;

export class RepairTimer {
  readonly #reconcile: () => Promise<unknown>;
  readonly #log: Logger;
  #timer: NodeJS.Timeout | null = null;
  #lastError = '';

  constructor(reconcile: () => Promise<unknown>, log: Logger) {
    this.#reconcile = reconcile;
    this.#log = log;
  }

  start(intervalMs = REPAIR_INTERVAL_MS): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(async () => {
      this.#timer = null;
      const stopped = this.#stopped;
      await this.#runOnce();
      if (stopped === this.#stopped) this.start(intervalMs);
    }, intervalMs);
    this.#timer.unref();
  }

  /** Counts the stops, so that a run which overlaps one does not start the timer again. */
  #stopped = 0;

  stop(): void {
    this.#stopped += 1;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** A fault that stays is logged once, not every few seconds. */
  async #runOnce(): Promise<void> {
    try {
      await this.#reconcile();
      this.#lastError = '';
    } catch (error) {
      const text = errorText(error);
      if (text === this.#lastError) return;
      this.#lastError = text;
      this.#log.error('The host network could not be checked', {
        code: errorCode(error),
        error: text,
      });
    }
  }
}
