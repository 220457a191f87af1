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

export interface Change {
  /** Second of the stream that it fell into. */
  readonly second: number;
  readonly changes: number;
  /** Throughput of the slowest second around it, in Mbit/s. */
  readonly slowest: number;
  /** Median and slowest of the seconds before and after those. */
  readonly neighbours: { readonly median: number; readonly slowest: number };
}

const BEFORE = 1;
const AFTER = 2;
const NEIGHBOURS = 10;
/** Issue: no dip over 10 %. */
const MAX_DIP = 0.1;

/** @param megabits of each second of the stream. */
export function findChanges(
  samples: readonly RekeySample[],
  megabits: readonly number[],
): Change[] {
  const found: Change[] = [];
  for (let i = 1; i < samples.length; i++) {
    const [before, now] = [samples[i - 1] as RekeySample, samples[i] as RekeySample];
    const changes = now.keyChanges - before.keyChanges;
    if (changes <= 0) continue;
    const second = Math.floor(before.seconds);
    const last = found.at(-1);
    // Both ends change within moments of each other.
    const joins = last !== undefined && second - last.second <= AFTER;
    if (joins) found.pop();
    const start = joins ? last.second : second;
    const from = Math.max(0, start - BEFORE);
    const to = Math.floor(now.seconds) + AFTER + 1;
    const around = megabits.slice(from, to);
    const others = [
      ...megabits.slice(Math.max(0, from - NEIGHBOURS), from),
      ...megabits.slice(to, to + NEIGHBOURS),
    ];
    if (around.length === 0 || others.length === 0) continue;
    found.push({
      second: start,
      changes: changes + (joins ? last.changes : 0),
      slowest: Math.min(...around),
      neighbours: { median: median(others), slowest: Math.min(...others) },
    });
  }
  return found;
}

export function judgeRekey(changes: readonly Change[], ways: readonly WayCounts[]): Finding[] {
  const total = changes.reduce((sum, change) => sum + change.changes, 0);
  const happened: Finding = {
    what: 'keys changed under load at both ends',
    ok: total >= 2,
    detail: `${total} changes`,
  };
  return [happened, ...changes.map(judgeDip), ...ways.flatMap(judgeWay)];
}

/** A dip counts unless seconds without a change dip as deep: then the machine is that uneven. */
function judgeDip({ second, slowest, neighbours }: Change): Finding {
  const dip = 1 - slowest / neighbours.median;
  const noise = 1 - neighbours.slowest / neighbours.median;
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  return {
    what: `throughput at the change in second ${second}`,
    ok: dip <= Math.max(MAX_DIP, noise),
    detail:
      `slowest ${slowest.toFixed(0)}, neighbours ${neighbours.median.toFixed(0)} Mbit/s: ` +
      `dip ${percent(dip)}, without a change up to ${percent(noise)}`,
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
