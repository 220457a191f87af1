/**
 * Runs one fuzz target in a thread of its own, so that the runner survives a hang or an exhausted
 * heap and still knows which input did it.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { parentPort, workerData } from 'node:worker_threads';
import { loadTargets } from './load-targets.js';
import { Mutator } from './mutator.js';

/** A slower input is run again. Only if each run is slow was it the input and not the collector. */
const SUSPECT_MS = 5;
const SLOW_REPEATS = 3;
const MEMORY_SAMPLES = 20;

export interface FuzzJob {
  readonly target: string;
  readonly firstSeed: number;
  readonly inputs: number;
  /** Number of inputs begun (Int32 at 0), bytes of the present one (at 4), then the input. */
  readonly shared: SharedArrayBuffer;
}

export interface FuzzResult {
  readonly inputs: number;
  readonly slowestMs: number;
  readonly slowestSeed: number;
  /** Live bytes after a full collection, early in the run and at its end. */
  readonly memory: readonly number[];
  readonly crash: { readonly seed: number; readonly error: string; readonly hex: string } | null;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function liveBytes(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function timeOf(run: () => void): number {
  const startedMs = performance.now();
  run();
  return performance.now() - startedMs;
}

async function work(job: FuzzJob): Promise<FuzzResult> {
  const target = (await loadTargets()).find(({ name }) => name === job.target);
  if (target === undefined) throw new Error(`no target ${job.target}`);
  const progress = new Int32Array(job.shared, 0, 2);
  const present = new Uint8Array(job.shared, 8);
  const mutator = new Mutator(target.seeds);
  const sampleEvery = Math.max(1, Math.floor(job.inputs / MEMORY_SAMPLES));
  const memory: number[] = [];
  let slowestMs = 0;
  let slowestSeed = job.firstSeed;
  for (let count = 0; count < job.inputs; count += 1) {
    const seed = job.firstSeed + count;
    const input = mutator.make(seed);
    present.set(input);
    progress[1] = input.length;
    Atomics.store(progress, 0, count + 1);
    // Targets may work in place, so each run gets a copy of its own.
    const once = (): void => target.run(input.slice());
    try {
      let ms = timeOf(once);
      for (let again = 0; ms > SUSPECT_MS && again < SLOW_REPEATS; again += 1) {
        ms = Math.min(ms, timeOf(once));
      }
      if (ms > slowestMs) {
        slowestMs = ms;
        slowestSeed = seed;
      }
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      const crash = { seed, error: text, hex: Buffer.from(input).toString('hex') };
      return { inputs: count + 1, slowestMs, slowestSeed, memory, crash };
    }
    if ((count + 1) % sampleEvery === 0) memory.push(liveBytes());
  }
  return { inputs: job.inputs, slowestMs, slowestSeed, memory, crash: null };
}

parentPort?.postMessage(await work(workerData as FuzzJob));
