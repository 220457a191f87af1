/** Waiting in end-to-end tests: for a condition with a deadline, or for a stated time. */
import { setTimeout as delay } from 'node:timers/promises';
import { errorText } from '../../core/errors.js';

const POLL_INTERVAL_MS = 50;
/** For measuring how long something takes. */
export const FINE_INTERVAL_MS = 5;

/**
 * Asks `probe` until it gives something other than null, undefined and false.
 * @throws Error naming `what`, the time, and what the last probe said or threw.
 */
export async function waitFor<T>(
  what: string,
  deadlineMs: number,
  probe: () => Promise<T | null | undefined | false> | T | null | undefined | false,
  intervalMs = POLL_INTERVAL_MS,
): Promise<T> {
  const startedMs = performance.now();
  let last = 'nothing';
  while (performance.now() - startedMs < deadlineMs) {
    try {
      const value = await probe();
      if (value !== null && value !== undefined && value !== false) return value;
    } catch (error) {
      last = errorText(error);
    }
    await delay(intervalMs);
  }
  throw new Error(`no ${what} within ${deadlineMs} ms; last error: ${last}`);
}

/** Lets real time pass because the scenario itself has a length, e.g. a partition of a minute. */
export async function holdFor(ms: number): Promise<void> {
  await delay(ms);
}
