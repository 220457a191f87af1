/**
 * Gives memory back after busy times. V8 collects when a heap has grown far enough, so what a
 * hundred joining peers leave behind would stay for hours in a router that then has little to do.
 * Here the main thread's heap is collected, and compacted, once it has grown and rests again.
 */
import { performance } from 'node:perf_hooks';
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { keepHeapsSmall } from '../../core/io/small-heap.js';

const CHECK_INTERVAL_MS = 3_000;
/** Share of an interval that the event loop may have been busy for it to count as rest. */
const REST_UTILIZATION = 0.1;
/** Growth since the last collection that is worth the next. */
const WORTH_BYTES = 3 * 1024 * 1024;
/** Collecting 64 MB takes a tenth of a second. V8 minds larger heaps better than small ones. */
const MAX_HEAP_BYTES = 64 * 1024 * 1024;
/** From this version of V8 on, `gc` takes what is to be done as an object. */
const V8_WITH_FLAVOURS = 12;

export interface HeapModules {
  /** Share of the time since the last call that the event loop was busy, 0 to 1. */
  readonly utilization: () => number;
  /** Bytes that the heap holds from the system. */
  readonly heapBytes: () => number;
  readonly collect: () => void;
  /** Heaps may grow as V8 likes, which makes collections of much garbage several times cheaper. */
  readonly allowGrowth: (allowed: boolean) => void;
}

export class QuietCollection {
  readonly #modules: HeapModules;
  #timer: NodeJS.Timeout | null = null;
  /** What the heap held after the last collection; 0: before the first. */
  #collectedBytes = 0;

  constructor(modules: HeapModules = systemHeap()) {
    this.#modules = modules;
  }

  start(): void {
    this.#timer ??= setInterval(() => this.check(), CHECK_INTERVAL_MS).unref();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  /** To be called at each interval. */
  check(): void {
    const { utilization, heapBytes, collect, allowGrowth } = this.#modules;
    // Asked every time, as it tells about the time since it was asked last.
    const resting = utilization() < REST_UTILIZATION;
    const bytes = heapBytes();
    const large = bytes > MAX_HEAP_BYTES;
    allowGrowth(large);
    if (!resting || large) return;
    if (bytes < this.#collectedBytes + WORTH_BYTES) return;
    collect();
    this.#collectedBytes = heapBytes();
  }
}

function systemHeap(): HeapModules {
  let before = performance.eventLoopUtilization();
  return {
    utilization() {
      const now = performance.eventLoopUtilization();
      const { utilization } = performance.eventLoopUtilization(now, before);
      before = now;
      return utilization;
    },
    heapBytes: () => getHeapStatistics().total_heap_size,
    collect: makeCollector(),
    allowGrowth: (allowed) => keepHeapsSmall(!allowed),
  };
}

/** V8's own `gc`, which only contexts made under this option have; ours stay as they are. */
export function makeCollector(): () => void {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as (options?: { type: string; flavor: string }) => void;
  setFlagsFromString('--no-expose-gc');
  const [version = ''] = process.versions.v8.split('.');
  if (Number(version) < V8_WITH_FLAVOURS) {
    return () => {
      // What the first frees is swept at leisure, and given back by the second.
      gc();
      gc();
    };
  }
  // Without a flavour the young generation would keep its size and pages their gaps.
  return () => gc({ type: 'major', flavor: 'last-resort' });
}
