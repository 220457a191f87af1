/** What is measured of one system in one round, and what a whole run writes to latest.json. */
import { median, present } from './statistics.js';

export const MEASURES = {
  tcp1Mbps: { label: 'TCP 1 stream', unit: 'Mbit/s', digits: 0, better: 'more' },
  tcp4Mbps: { label: 'TCP 4 streams', unit: 'Mbit/s', digits: 0, better: 'more' },
  smallFps: { label: 'UDP 64 B', unit: 'frames/s', digits: 0, better: 'more' },
  largeFps: { label: 'UDP 1400 B', unit: 'frames/s', digits: 0, better: 'more' },
  smallLossPercent: { label: '64 B loss, 80 %', unit: '%', digits: 2, better: 'less' },
  largeLossPercent: { label: '1400 B loss, 80 %', unit: '%', digits: 2, better: 'less' },
  floodMeanMs: { label: 'flood ping', unit: 'ms mean', digits: 3, better: 'less' },
  pingP50Ms: { label: 'ping p50', unit: 'ms', digits: 3, better: 'less' },
  pingP99Ms: { label: 'ping p99', unit: 'ms', digits: 3, better: 'less' },
  cpuPerGb: { label: 'CPU, machine', unit: 's/GB', digits: 2, better: 'less' },
  overlayCpuPerGb: { label: 'CPU, overlay', unit: 's/GB', digits: 2, better: 'less' },
  residentIdleMb: { label: 'RSS idle', unit: 'MB/host', digits: 1, better: 'less' },
  residentLoadedMb: { label: 'RSS loaded', unit: 'MB/host', digits: 1, better: 'less' },
  loopDelayP99Ms: { label: 'loop delay p99', unit: 'ms', digits: 1, better: 'less' },
} as const satisfies Record<
  string,
  { label: string; unit: string; digits: number; better: 'more' | 'less' }
>;

export type MeasureKey = keyof typeof MEASURES;
export const MEASURE_KEYS = Object.keys(MEASURES) as MeasureKey[];

/** null: does not apply, or failed; `notes` of the sample tell which. */
export type Values = Record<MeasureKey, number | null>;

export function noValues(): Values {
  return Object.fromEntries(MEASURE_KEYS.map((key) => [key, null])) as Values;
}

export interface Sample {
  readonly system: string;
  /** Counts from 1. */
  readonly round: number;
  readonly values: Values;
  /** Share of the machine, 0 to 1, that other work took just before the measurement. */
  readonly busyBefore: number;
  /** Measures that failed, and what the system itself says it does. */
  readonly notes: readonly string[];
}

export interface Machine {
  readonly cpu: string;
  readonly processors: number;
  readonly kernel: string;
  readonly node: string;
  readonly memoryMb: number;
  /** One-minute load when the run began; above 0.5 other work disturbed it. */
  readonly loadBefore: number;
}

export interface Skipped {
  readonly system: string;
  readonly reason: string;
}

/** Median over the rounds of each measure, per system. */
export function mediansOf(samples: readonly Sample[], system: string): Values {
  const own = samples.filter((sample) => sample.system === system);
  const values = noValues();
  for (const key of MEASURE_KEYS) {
    values[key] = median(present(own.map((sample) => sample.values[key])));
  }
  return values;
}
