/** Medians and percentiles of small samples. Empty samples give null, never NaN. */

/** Lower middle of an even count, so that the value is one that was measured. */
export function median(values: readonly number[]): number | null {
  return percentile(values, 50);
}

/** Nearest rank. @param percent 0 to 100. */
export function percentile(values: readonly number[], percent: number): number | null {
  if (values.length === 0) return null;
  const sorted = [...values].sort((a, b) => a - b);
  const rank = Math.ceil((percent / 100) * sorted.length);
  return sorted[Math.max(0, rank - 1)] as number;
}

/** Those that are numbers. */
export function present(values: readonly (number | null)[]): number[] {
  return values.filter((value): value is number => value !== null && Number.isFinite(value));
}
