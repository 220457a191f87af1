/**
 * What the project promises, as ratios within one run, since absolute figures drift with the
 * machine. Each ratio is the median over the rounds of that round's ratio.
 */
import type { MeasureKey, Sample } from './sample.js';
import { median, present } from './statistics.js';

/** The userspace overlays that ours is compared with. */
export const FIELD = ['tinc', 'openvpn', 'nebula', 'wireguard-go'] as const;

export interface Target {
  readonly what: string;
  /** e.g. `at least 0.42`. */
  readonly wanted: string;
  /** null: not measured in this run. */
  readonly value: number | null;
  readonly digits: number;
  readonly reached: boolean | null;
}

/** What is measured besides the systems; null where it was not. */
export interface MicroFigures {
  readonly heapMbPerMillionFrames: number | null;
  readonly residentMbHundredPeers: number | null;
}

type Denominator = (round: readonly Sample[], key: MeasureKey) => number | null;

const figureOf = (round: readonly Sample[], system: string, key: MeasureKey): number | null =>
  round.find((sample) => sample.system === system)?.values[key] ?? null;

const of =
  (system: string): Denominator =>
  (round, key) =>
    figureOf(round, system, key);

/** Largest or smallest value of the field, whichever is better. */
const bestOfField =
  (better: 'more' | 'less'): Denominator =>
  (round, key) => {
    const values = present(FIELD.map((system) => figureOf(round, system, key)));
    if (values.length === 0) return null;
    return better === 'more' ? Math.max(...values) : Math.min(...values);
  };

/** Median of the rounds' ratios; null if no round has both. */
export function medianRatio(
  samples: readonly Sample[],
  system: string,
  key: MeasureKey,
  denominator: Denominator,
): number | null {
  const rounds = [...new Set(samples.map((sample) => sample.round))];
  const ratios = rounds.map((number) => {
    const round = samples.filter((sample) => sample.round === number);
    const [top, bottom] = [figureOf(round, system, key), denominator(round, key)];
    return top === null || bottom === null || bottom === 0 ? null : top / bottom;
  });
  return median(present(ratios));
}

export const ratioToVxlan = (samples: readonly Sample[], system: string, key: MeasureKey) =>
  medianRatio(samples, system, key, of('vxlan'));
export const ratioToField = (
  samples: readonly Sample[],
  system: string,
  key: MeasureKey,
  better: 'more' | 'less',
) => medianRatio(samples, system, key, bestOfField(better));

const atLeast = (what: string, limit: number, value: number | null): Target => ({
  ...{ what, value, digits: 2 },
  wanted: `at least ${limit}`,
  reached: value === null ? null : value >= limit,
});

const below = (what: string, limit: number, value: number | null, digits: number): Target => ({
  ...{ what, value, digits },
  wanted: `below ${limit}`,
  reached: value === null ? null : value < limit,
});

/** The worst router of ours counts. */
function worstOfOurs(samples: readonly Sample[], key: MeasureKey): number | null {
  const ours = [...new Set(samples.map(({ system }) => system))].filter((system) =>
    system.startsWith('ours'),
  );
  const medians = ours.map((system) =>
    median(present(samples.filter((s) => s.system === system).map((s) => s.values[key]))),
  );
  const values = present(medians);
  return values.length === 0 ? null : Math.max(...values);
}

export function targetsOf(samples: readonly Sample[], micro: MicroFigures): Target[] {
  const flood = ratioToField(samples, 'ours-aes', 'floodMeanMs', 'less');
  const toField = (system: string, key: MeasureKey) => ratioToField(samples, system, key, 'more');
  return [
    atLeast('AES, TCP 1 stream / VXLAN', 0.42, ratioToVxlan(samples, 'ours-aes', 'tcp1Mbps')),
    atLeast('AES, TCP 1 stream / best of field', 4.5, toField('ours-aes', 'tcp1Mbps')),
    atLeast('plain, TCP 1 stream / VXLAN', 0.65, ratioToVxlan(samples, 'ours-plain', 'tcp1Mbps')),
    atLeast(
      'NaCl, TCP 1 stream / tinc',
      2.5,
      medianRatio(samples, 'ours-nacl', 'tcp1Mbps', of('tinc')),
    ),
    atLeast('AES, 64-byte frames/s / best of field', 2, toField('ours-aes', 'smallFps')),
    {
      ...{ what: 'AES, flood ping mean / best of field', value: flood, digits: 2 },
      wanted: 'at most 1',
      // Judged as printed, with two digits.
      reached: flood === null ? null : Math.round(flood * 100) <= 100,
    },
    below('loop delay p99 at full load, ms', 20, worstOfOurs(samples, 'loopDelayP99Ms'), 1),
    below('heap per million frames, MB', 1, micro.heapMbPerMillionFrames, 2),
    below('resident memory, 1 peer, MB', 110, worstOfOurs(samples, 'residentIdleMb'), 1),
    below('resident memory, 100 peers, MB', 140, micro.residentMbHundredPeers, 1),
  ];
}
