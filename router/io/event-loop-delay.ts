/** How late the main thread's event loop runs, from Node's own histogram. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { EventLoopDelay } from '../metrics.js';

/** Each sample wakes the process, which an idle host and packets on their way both feel. */
const RESOLUTION_MS = 50;

/** Starts measuring. The samples hold the timer's own period, which is taken off. */
export function createEventLoopDelay(): EventLoopDelay {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  const seconds = (nanoseconds: number): number =>
    Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1e3);
  return {
    read() {
      if (histogram.count === 0) return { p50: 0, p99: 0, max: 0 };
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
