/** Nanoseconds per packet of a piece of code, as the median of many short runs. */
import type { StageCost } from '../micro.js';
import { median } from '../statistics.js';

export interface Stage {
  readonly name: string;
  /** Packets that one call of `run` handles. */
  readonly packets: number;
  /** Not timed; before each call of `run`. */
  readonly prepare?: () => void;
  readonly run: () => void;
}

const WARM_UP_MS = 200;
const SAMPLES = 31;
/** Longer than the clock's grain, shorter than what the scheduler interrupts every time. */
const SAMPLE_NS = 2_000_000n;

function sample(stage: Stage): number {
  let spent = 0n;
  let packets = 0;
  while (spent < SAMPLE_NS) {
    stage.prepare?.();
    const began = process.hrtime.bigint();
    stage.run();
    spent += process.hrtime.bigint() - began;
    packets += stage.packets;
  }
  return Number(spent) / packets;
}

export function costOf(stage: Stage): StageCost {
  const endMs = performance.now() + WARM_UP_MS;
  while (performance.now() < endMs) {
    stage.prepare?.();
    stage.run();
  }
  const nanoseconds = median(Array.from({ length: SAMPLES }, () => sample(stage))) as number;
  return { stage: stage.name, nanoseconds };
}
