/** Options of the data plane that need more than a table entry. */
import { KEY_LIMITS } from '../fastdp/key-schedule.js';

/**
 * A receiver follows one change of keys at a time, and gives a silent neighbour up after 60 s; it
 * also opens what came late under the previous key for as long. Twice that is the least.
 */
export const MIN_REKEY_INTERVAL_MS = 2 * 60_000;
/** Longer, and a key might be in use for over an hour; see KEY_LIMITS. */
export const MAX_REKEY_INTERVAL_MS = KEY_LIMITS.intervalMs;
export const DEFAULT_REKEY_INTERVAL = `${MAX_REKEY_INTERVAL_MS / 60_000}m`;

const UNITS_MS: Readonly<Record<string, number>> = { s: 1000, m: 60_000 };

/** `150s`, `10m`. @returns milliseconds. @throws {Error} with what is expected. */
export function parseRekeyInterval(text: string): number {
  const match = /^(\d{1,5})([sm])$/.exec(text);
  const ms = Number(match?.[1]) * (UNITS_MS[match?.[2] ?? ''] ?? Number.NaN);
  if (ms >= MIN_REKEY_INTERVAL_MS && ms <= MAX_REKEY_INTERVAL_MS) return ms;
  throw new Error(`expected a time from 2m to 30m, like 10m or 150s, got "${text.slice(0, 64)}"`);
}
