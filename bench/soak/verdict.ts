/**
 * Whether a router stayed healthy under load: samples in, findings out. Memory counts as flat if
 * its line of best fit rises by no more than noise explains, or by little in all.
 */

export interface SoakSample {
  /** Since the load began. */
  readonly seconds: number;
  readonly residentMb: number;
  readonly descriptors: number;
  /** Of the data plane's thread. */
  readonly rounds: number;
  readonly tapReads: number;
  readonly tapWrites: number;
  readonly tapWriteBatches: number;
  readonly datagramsReceived: number;
  /** Counters that must stay at zero, by name. */
  readonly faults: Readonly<Record<string, number>>;
  /** Established connections. */
  readonly established: number;
}

export interface Finding {
  readonly what: string;
  readonly ok: boolean;
  readonly detail: string;
}

/** Of the run, while heaps grow to their working size and code is compiled. */
const WARM_UP_SHARE = 0.3;
/** Growth that is borne in any case: in short runs the warm-up is hardly over. */
const LONG_RUN_SECONDS = 600;
const GROWTH_MB = { short: 24, long: 8 };
/** Standard errors of the slope that still are noise. */
const NOISE = 3;
const MIN_SAMPLES = 6;
/** Counters that stand still between two samples mean a stuck loop or ring. */
const MOVING = ['rounds', 'tapReads', 'tapWrites', 'datagramsReceived'] as const;

/** @param usesRing frames are written by io_uring. */
export function judge(samples: readonly SoakSample[], usesRing: boolean): Finding[] {
  if (samples.length < MIN_SAMPLES) {
    const detail = `${samples.length} of ${MIN_SAMPLES} at least`;
    return [{ what: 'samples', ok: false, detail }];
  }
  const total = (samples.at(-1) as SoakSample).seconds;
  const warm = samples.filter(({ seconds }) => seconds >= total * WARM_UP_SHARE);
  return [
    judgeMemory(warm, total < LONG_RUN_SECONDS ? GROWTH_MB.short : GROWTH_MB.long),
    judgeDescriptors(warm),
    judgeMovement(samples, usesRing ? [...MOVING, 'tapWriteBatches'] : MOVING),
    judgeFaults(samples.at(-1) as SoakSample),
    judgeConnections(samples),
  ];
}

/**
 * @param samples after the warm-up, three at least.
 * @param borneMb growth that is no fault even if noise does not explain it.
 */
export function judgeMemory(
  samples: readonly Pick<SoakSample, 'seconds' | 'residentMb'>[],
  borneMb: number,
): Finding {
  const fit = fitLine(samples.map(({ seconds, residentMb }) => [seconds, residentMb] as const));
  const span = (samples.at(-1)?.seconds ?? 0) - (samples[0]?.seconds ?? 0);
  const growth = fit.slope * span;
  const noise = NOISE * fit.slopeError * span;
  const rate = (fit.slope * 3600).toFixed(1);
  return {
    what: 'memory is flat',
    ok: growth <= Math.max(noise, borneMb),
    detail: `${growth.toFixed(1)} MB (noise ${noise.toFixed(1)}) in ${span.toFixed(0)} s, ${rate} MB/h`,
  };
}

/** The least of each half: a request of the API or a reconnection may hold some for a moment. */
function judgeDescriptors(warm: readonly SoakSample[]): Finding {
  const middle = warm.length >> 1;
  const least = (part: readonly SoakSample[]): number =>
    Math.min(...part.map(({ descriptors }) => descriptors));
  const [first, last] = [least(warm.slice(0, middle)), least(warm.slice(middle))];
  return { what: 'no descriptor leaks', ok: last <= first, detail: `${first} → ${last}` };
}

function judgeMovement(
  samples: readonly SoakSample[],
  counters: readonly ((typeof MOVING)[number] | 'tapWriteBatches')[],
): Finding {
  for (let i = 1; i < samples.length; i++) {
    const [before, after] = [samples[i - 1] as SoakSample, samples[i] as SoakSample];
    const stuck = counters.find((counter) => after[counter] <= before[counter]);
    if (stuck !== undefined) {
      const detail = `${stuck} stood still at ${after.seconds.toFixed(0)} s`;
      return { what: 'nothing is stuck', ok: false, detail };
    }
  }
  const last = samples.at(-1) as SoakSample;
  const detail = `${last.rounds} rounds, ${last.tapReads} reads, ${last.tapWrites} writes`;
  return { what: 'nothing is stuck', ok: true, detail };
}

function judgeFaults(last: SoakSample): Finding {
  const found = Object.entries(last.faults).filter(([, count]) => count > 0);
  const detail = found.map(([name, count]) => `${name} ${count}`).join(', ') || 'none';
  return { what: 'no faults', ok: found.length === 0, detail };
}

function judgeConnections(samples: readonly SoakSample[]): Finding {
  const lost = samples.filter(({ established }) => established === 0).length;
  return { what: 'the connection lasts', ok: lost === 0, detail: `${lost} samples without` };
}

/** Least squares. @param points x and y; at least three of different x. */
export function fitLine(points: readonly (readonly [number, number])[]): {
  readonly slope: number;
  readonly slopeError: number;
} {
  const count = points.length;
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / count;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / count;
  let xx = 0;
  let xy = 0;
  for (const [x, y] of points) {
    xx += (x - meanX) ** 2;
    xy += (x - meanX) * (y - meanY);
  }
  const slope = xy / xx;
  let rest = 0;
  for (const [x, y] of points) rest += (y - meanY - slope * (x - meanX)) ** 2;
  return { slope, slopeError: Math.sqrt(rest / (count - 2) / xx) };
}
