/** Round trips by ping: the mean while flooding, percentiles with one request in flight. */
import type { Lab } from '../../test/support/lab.js';
import { waitFor } from '../../test/support/wait.js';
import { parsePingMean, parsePingTimes } from '../parse.js';
import { percentile } from '../statistics.js';
import type { RunningSystem } from '../system.js';

const FIRST_ANSWER_MS = 20_000;
const PING_LIMIT_MS = 60_000;

/** Until the first answer: tunnels agree on keys by the first packets. */
export async function waitReachable(lab: Lab, { from, to }: RunningSystem): Promise<void> {
  const argv = ['ping', '-n', '-q', '-c', '1', '-W', '1', to.address];
  await waitFor(
    'answer through the overlay',
    FIRST_ANSWER_MS,
    async () => (await lab.exec(from.netns, argv)).code === 0,
  );
}

export interface LatencyMeasure {
  readonly floodMeanMs: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

export async function measureLatency(
  lab: Lab,
  { from, to }: RunningSystem,
  count: number,
): Promise<LatencyMeasure> {
  const ping = async (...flags: string[]): Promise<string> => {
    const argv = ['ping', '-n', '-c', `${count}`, ...flags, to.address];
    return (await lab.exec(from.netns, argv, { timeoutMs: PING_LIMIT_MS })).stdout;
  };
  const floodMeanMs = parsePingMean(await ping('-f', '-q'));
  // A flood prints no single times; the adaptive mode sends the next request upon each answer.
  const times = parsePingTimes(await ping('-A'));
  return { floodMeanMs, p50Ms: percentile(times, 50), p99Ms: percentile(times, 99) };
}
