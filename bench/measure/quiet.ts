/** Whether the machine does something else: that would be taken for a slow overlay. */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { parseBusySeconds } from '../parse.js';

const WINDOW_MS = 400;
/** What a machine at rest does besides. */
export const QUIET_SHARE = 0.1;

/** Share of all processors that is busy, 0 to 1, over a short while. */
async function busyShare(): Promise<number> {
  const read = (): number => parseBusySeconds(readFileSync('/proc/stat', 'utf8'));
  const beganMs = performance.now();
  const before = read();
  await delay(WINDOW_MS);
  const busySeconds = read() - before;
  const seconds = (performance.now() - beganMs) / 1000;
  return Math.min(1, Math.max(0, busySeconds / seconds / availableParallelism()));
}

/**
 * Waits for the machine to come to rest, but not longer than `limitMs`, as it may never.
 * To be called while nothing of the benchmark runs. @returns the share that was busy at the end.
 */
export async function waitQuiet(limitMs: number): Promise<number> {
  const endMs = performance.now() + limitMs;
  let share = await busyShare();
  while (share > QUIET_SHARE && performance.now() < endMs) share = await busyShare();
  return share;
}
