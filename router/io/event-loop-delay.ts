/** Measures how late the event loop of this thread runs. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { EventLoopDelay } from '../metrics.js';

const RESOLUTION_MS = 20;
const NANOSECONDS = 1e9;

/** The measuring itself does not keep the process alive. */
export function startEventLoopDelay(): EventLoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  // The histogram holds whole periods; what exceeds the resolution is delay.
  const seconds = (nanoseconds: number): number =>
    Number.isFinite(nanoseconds)
      ? Math.max(0, nanoseconds / NANOSECONDS - RESOLUTION_MS / 1000)
      : 0;
  return {
    read: () => {
      const reading = {
        p50: seconds(histogram.percentile(50)),
        p99: seconds(histogram.percentile(99)),
        max: seconds(histogram.max),
      };
      histogram.reset();
      return reading;
    },
  };
}
