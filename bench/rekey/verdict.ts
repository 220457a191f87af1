/**
 * Whether changes of keys cost throughput or datagrams: samples of every second in, findings out.
 * A second in which keys changed counts with the one before and the two after it, as the clocks of
 * iperf3 and of the samples agree to within a second.
 */
import type { Finding } from '../soak/verdict.js';

/** What both routers had counted at one moment. */
export interface RekeySample {
  /** Since the stream began. */
  readonly seconds: number;
  /** Of both ends together. */
  readonly keyChanges: number;
}

/** One direction, from before the load to after it. */
export interface WayCounts {
  readonly way: string;
  readonly sealed: number;
  readonly opened: number;
  /** Dropped by a kernel for want of room, at either end. */
  readonly kernelDrops: number;
  /** Refused when opened, by reason. */
  readonly refused: Readonly<Record<string, number>>;
}

/** Some seconds in a row, beside their neighbours. */
interface Stretch {
  /** Throughput of the slowest second, in Mbit/s. */
  readonly slowest: number;
  /** Median of the seconds before and after. */
  readonly usual: number;
}

export interface Change extends Stretch {
  /** Second of the stream that it fell into. */
  readonly second: number;
  readonly changes: number;
  /** Of the stretches without a change, the share that dips as deep. */
  readonly elsewhere: number;
}

const BEFORE = 1;
const AFTER = 2;
const NEIGHBOURS = 10;
/** Issue: no dip over 10 %. */
const MAX_DIP = 0.1;
/** So many stretches without a change dip as deep: then the machine is that uneven. */
const COMMON = 0.05;

/** @param megabits of each second of the stream. */
export function findChanges(
  samples: readonly RekeySample[],
  megabits: readonly number[],
): Change[] {
  const moments = findMoments(samples).filter(({ from }) => from < megabits.length);
  const isNear = (from: number): boolean =>
    moments.some((moment) => from < moment.to && from + BEFORE + AFTER + 1 > moment.from);
  const calm: number[] = [];
  for (let from = 0; from + BEFORE + AFTER + 1 <= megabits.length; from++) {
    if (!isNear(from)) calm.push(dipOf(stretch(megabits, from, from + BEFORE + AFTER + 1)));
  }
  return moments.map(({ second, changes, from, to }) => {
    const around = stretch(megabits, from, to);
    const asDeep = calm.filter((dip) => dip >= dipOf(around)).length;
    return { second, changes, ...around, elsewhere: asDeep / calm.length };
  });
}

interface Moment {
  readonly second: number;
  readonly changes: number;
  /** Seconds that may show it: from, and up to but not including. */
  readonly from: number;
  readonly to: number;
}

/** Both ends change within moments of each other, which counts as one. */
function findMoments(samples: readonly RekeySample[]): Moment[] {
  const found: Moment[] = [];
  for (let i = 1; i < samples.length; i++) {
    const [before, now] = [samples[i - 1] as RekeySample, samples[i] as RekeySample];
    const changes = now.keyChanges - before.keyChanges;
    if (changes <= 0) continue;
    const second = Math.floor(before.seconds);
    const last = found.at(-1);
    const joined = last !== undefined && second - last.second <= AFTER ? found.pop() : undefined;
    const start = joined?.second ?? second;
    found.push({
      second: start,
      changes: changes + (joined?.changes ?? 0),
      from: Math.max(0, start - BEFORE),
      to: Math.floor(now.seconds) + AFTER + 1,
    });
  }
  return found;
}

function stretch(megabits: readonly number[], from: number, to: number): Stretch {
  const others = [
    ...megabits.slice(Math.max(0, from - NEIGHBOURS), from),
    ...megabits.slice(to, to + NEIGHBOURS),
  ];
  return { slowest: Math.min(...megabits.slice(from, to)), usual: median(others) };
}

const dipOf = ({ slowest, usual }: Stretch): number => 1 - slowest / usual;

export function judgeRekey(changes: readonly Change[], ways: readonly WayCounts[]): Finding[] {
  const total = changes.reduce((sum, change) => sum + change.changes, 0);
  const happened: Finding = {
    what: 'keys changed under load at both ends',
    ok: total >= 2,
    detail: `${total} changes`,
  };
  return [happened, ...changes.map(judgeDip), ...ways.flatMap(judgeWay)];
}

/** A dip counts unless stretches without a change often dip as deep. */
function judgeDip(change: Change): Finding {
  const { second, slowest, usual, elsewhere } = change;
  const dip = dipOf(change);
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  return {
    what: `throughput at the change in second ${second}`,
    ok: dip <= MAX_DIP || elsewhere >= COMMON,
    detail:
      `slowest ${slowest.toFixed(0)}, neighbours ${usual.toFixed(0)} Mbit/s: dip ${percent(dip)}; ` +
      `${percent(elsewhere)} of the time without a change dips as deep`,
  };
}

function judgeWay({ way, sealed, opened, kernelDrops, refused }: WayCounts): Finding[] {
  const lost = sealed - opened - kernelDrops;
  const reasons = Object.entries(refused).filter(([, count]) => count > 0);
  return [
    {
      what: `${way}: no datagram lost`,
      ok: lost === 0,
      detail: `${sealed} sealed, ${opened} opened, ${kernelDrops} dropped by a kernel`,
    },
    {
      what: `${way}: none refused`,
      ok: reasons.length === 0,
      detail: reasons.map(([name, count]) => `${name} ${count}`).join(', ') || 'none',
    },
  ];
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
