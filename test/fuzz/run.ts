#!/usr/bin/env node
/**
 * Fuzzes every decoder that reads bytes from outside. Fails on a crash, on an input that takes
 * longer than 50 ms, and on memory that grows; the seed printed with a crash repeats it.
 *
 *   node dist/test/fuzz/run.js [--inputs 1000000] [--seed 1] [--target TEXT] [--list]
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
import type { FuzzJob, FuzzResult } from './fuzz.worker.js';
import { loadTargets } from './load-targets.js';
import { MAX_INPUT_BYTES } from './mutator.js';

const HANG_LIMIT_MS = 50;
/** After so long without progress an input counts as an endless loop. */
const STUCK_LIMIT_MS = 10_000;
const WATCH_INTERVAL_MS = 1_000;
/** More than caches and compiled code need; a leak of a few bytes an input exceeds it soon. */
const ALLOWED_GROWTH_BYTES = 6 * 1024 * 1024;
const WORKER_HEAP_MB = 512;

const { values: options } = parseArgs({
  options: {
    inputs: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    target: { type: 'string', default: '' },
    list: { type: 'boolean', default: false },
  },
});

function positive(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value > 0) return value;
  console.error(`--${name}: expected a whole number above 0, got "${text}"`);
  process.exit(2);
}

interface Outcome {
  readonly target: string;
  readonly result: FuzzResult | null;
  /** Why the target failed; empty if it did not. */
  readonly failures: readonly string[];
}

const megabytes = (bytes: number): string => (bytes / 1024 / 1024).toFixed(1);

/** Live memory once warm, against that at the end. */
function memoryGrowth(memory: readonly number[]): number {
  const warm = memory[Math.floor(memory.length / 4)] ?? 0;
  return (memory.at(-1) ?? 0) - warm;
}

function judge(result: FuzzResult): string[] {
  const failures: string[] = [];
  if (result.crash !== null) {
    const { seed, error, hex } = result.crash;
    failures.push(`crash at seed ${seed}: ${error}\n  input ${hex}`);
  }
  if (result.slowestMs > HANG_LIMIT_MS) {
    failures.push(`seed ${result.slowestSeed} took ${result.slowestMs.toFixed(1)} ms`);
  }
  const growth = memoryGrowth(result.memory);
  if (growth > ALLOWED_GROWTH_BYTES) {
    const course = result.memory.map(megabytes).join(' ');
    failures.push(`memory grew by ${megabytes(growth)} MB: ${course}`);
  }
  return failures;
}

function fuzz(target: string, firstSeed: number, inputs: number): Promise<Outcome> {
  const shared = new SharedArrayBuffer(8 + MAX_INPUT_BYTES);
  const progress = new Int32Array(shared, 0, 2);
  const job: FuzzJob = { target, firstSeed, inputs, shared };
  const worker = new Worker(new URL('./fuzz.worker.js', import.meta.url), {
    workerData: job,
    resourceLimits: { maxOldGenerationSizeMb: WORKER_HEAP_MB },
  });
  return new Promise((resolve) => {
    let seen = -1;
    let stuckMs = 0;
    const finish = (result: FuzzResult | null, failures: readonly string[]): void => {
      clearInterval(watch);
      resolve({ target, result, failures });
      void worker.terminate();
    };
    const present = (): string => {
      const input = Buffer.from(new Uint8Array(shared, 8, Atomics.load(progress, 1)));
      return `seed ${firstSeed + Atomics.load(progress, 0) - 1}\n  input ${input.toString('hex')}`;
    };
    const watch = setInterval(() => {
      const now = Atomics.load(progress, 0);
      stuckMs = now === seen ? stuckMs + WATCH_INTERVAL_MS : 0;
      seen = now;
      if (stuckMs >= STUCK_LIMIT_MS) finish(null, [`no end of ${present()}`]);
    }, WATCH_INTERVAL_MS);
    worker.on('message', (result: FuzzResult) => finish(result, judge(result)));
    worker.on('error', (error) => finish(null, [`${error} at ${present()}`]));
  });
}

function report({ target, result, failures }: Outcome): void {
  const verdict = failures.length === 0 ? 'ok  ' : 'FAIL';
  const facts =
    result === null
      ? ''
      : `${String(result.inputs).padStart(9)} inputs, slowest ${result.slowestMs.toFixed(2)} ms, ` +
        `memory ${megabytes(memoryGrowth(result.memory))} MB`;
  console.log(`${verdict} ${target.padEnd(32)} ${facts}`);
  for (const failure of failures) console.log(`     ${failure}`);
}

const inputs = positive('inputs', options.inputs);
const seed = positive('seed', options.seed);
const names = (await loadTargets())
  .map(({ name }) => name)
  .filter((name) => name.includes(options.target));
if (options.list || names.length === 0) {
  console.log(names.length === 0 ? `no fuzz target matches "${options.target}"` : names.join('\n'));
  process.exit(names.length === 0 ? 2 : 0);
}

const startedMs = performance.now();
const share = Math.ceil(inputs / names.length);
const waiting = [...names];
const outcomes: Outcome[] = [];
async function takeTurns(): Promise<void> {
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    const outcome = await fuzz(name, seed, share);
    report(outcome);
    outcomes.push(outcome);
  }
}
await Promise.all(Array.from({ length: availableParallelism() }, takeTurns));

const failed = outcomes.filter(({ failures }) => failures.length > 0).length;
const total = outcomes.reduce((sum, { result }) => sum + (result?.inputs ?? 0), 0);
const slowest = Math.max(0, ...outcomes.map(({ result }) => result?.slowestMs ?? 0));
const seconds = ((performance.now() - startedMs) / 1000).toFixed(0);
console.log(
  `${total} inputs over ${names.length} targets in ${seconds} s, seed ${seed}: ${failed} failed, ` +
    `slowest input ${slowest.toFixed(2)} ms`,
);
process.exitCode = failed > 0 ? 1 : 0;
