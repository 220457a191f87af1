/** The metrics of this router, loaded only where somebody scrapes them. */
import { createEventLoopDelay } from './io/event-loop-delay.js';
import type { RouterMetrics } from './metrics.js';

/**
 * Made at the first scrape: the library weighs some megabytes, and nothing is counted in it, since
 * all values come from the report.
 */
export function lazyMetrics(): () => Promise<RouterMetrics> {
  const eventLoopDelay = createEventLoopDelay();
  let metrics: Promise<RouterMetrics> | null = null;
  return () => {
    metrics ??= import('./metrics.js').then(
      ({ RouterMetrics }) =>
        new RouterMetrics({ eventLoopDelay, processMetrics: { usedBefore: process.cpuUsage() } }),
    );
    return metrics;
  };
}
