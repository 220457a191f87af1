/**
 * Loaded before a router's program, this makes time of its main thread pass faster, so that a test
 * sees in seconds what the router does after minutes. The data plane's threads keep real time, and
 * so does what people read. Threads that must tell a sign of life by the main thread's time would
 * seem silent: run such a router without names.
 *
 *   node --import 'file:///…/fast-clock.js?rate=10' router
 */
import { isMainThread } from 'node:worker_threads';

/** How long external programs of the host's network may take (run-program.ts): they do not hurry. */
const PROGRAM_LIMIT_MS = 20_000;

/** For the environment of a router. */
export function fasterClock(rate: number): Record<string, string> {
  return { NODE_OPTIONS: `--import=${import.meta.url}?rate=${rate}` };
}

function speedUp(rate: number): void {
  const realNow = performance.now.bind(performance);
  const startMs = realNow();
  performance.now = () => startMs + (realNow() - startMs) * rate;
  const { setTimeout: realTimeout, setInterval: realInterval } = globalThis;
  const scaled = (ms = 0): number => (ms === PROGRAM_LIMIT_MS ? ms : ms / rate);
  // The originals carry a symbol for promisify, which the rest of the program never asks for.
  globalThis.setTimeout = ((run: () => void, ms?: number, ...args: []) =>
    realTimeout(run, scaled(ms), ...args)) as typeof setTimeout;
  globalThis.setInterval = ((run: () => void, ms?: number, ...args: []) =>
    realInterval(run, scaled(ms), ...args)) as typeof setInterval;
}

const rate = Number(new URL(import.meta.url).searchParams.get('rate'));
if (rate > 0 && isMainThread) speedUp(rate);
