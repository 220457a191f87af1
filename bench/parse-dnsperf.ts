/** What dnsperf prints: its totals, and with `-v` a line for each query. */

import { percentile } from './statistics.js';

export interface DnsperfResult {
  readonly perSecond: number;
  /** 0 to 1. */
  readonly lostShare: number;
  /** NaN without `-v`. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** @throws Error if the totals are missing. */
export function parseDnsperf(text: string): DnsperfResult {
  const perSecond = Number(/Queries per second:\s+([\d.]+)/.exec(text)?.[1] ?? Number.NaN);
  const lost = /Queries lost:\s+(\d+)/.exec(text)?.[1];
  const sent = /Queries sent:\s+(\d+)/.exec(text)?.[1];
  if (Number.isNaN(perSecond) || lost === undefined || sent === undefined) {
    throw new Error(`dnsperf printed no totals: ${text.slice(-500)}`);
  }
  const lines = text.matchAll(/^> \w+ \S+ \S+ ([\d.]+)$/gm);
  const latencies = [...lines].map(([, s]) => Number(s) * 1000);
  const at = (percent: number): number => percentile(latencies, percent) ?? Number.NaN;
  return { perSecond, lostShare: Number(lost) / Number(sent), p50Ms: at(50), p99Ms: at(99) };
}
