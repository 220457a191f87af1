/** The results as text: one row per system, columns of figures, ratios and targets. */
import { MEASURES, type MeasureKey, mediansOf, type Sample } from './sample.js';
import type { System } from './system.js';
import { ratioToField, ratioToVxlan, type Target } from './targets.js';

const PERFORMANCE: readonly MeasureKey[] = [
  ...(['tcp1Mbps', 'tcp4Mbps', 'smallFps', 'largeFps'] as const),
  ...(['smallLossPercent', 'largeLossPercent'] as const),
];
const COST: readonly MeasureKey[] = [
  ...(['floodMeanMs', 'pingP50Ms', 'pingP99Ms', 'cpuPerGb', 'overlayCpuPerGb'] as const),
  ...(['residentIdleMb', 'residentLoadedMb', 'loopDelayP99Ms'] as const),
];

export function formatValue(value: number | null, digits: number): string {
  return value === null ? '–' : value.toFixed(digits);
}

/** Columns as wide as their widest cell; the first to the left, the others to the right. */
export function alignColumns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ')
      .trimEnd();
  return rows.map(line).join('\n');
}

type Labelled = Pick<System, 'id' | 'label'>;

function figures(
  samples: readonly Sample[],
  systems: readonly Labelled[],
  keys: readonly MeasureKey[],
): string {
  const rows = systems.map(({ id, label }) => {
    const medians = mediansOf(samples, id);
    return [label, ...keys.map((key) => formatValue(medians[key], MEASURES[key].digits))];
  });
  const heads = ['median of the rounds', ...keys.map((key) => MEASURES[key].label)];
  const units = ['', ...keys.map((key) => MEASURES[key].unit)];
  return alignColumns([heads, units, ...rows]);
}

/** One stream and small frames as multiples, which is what lasts when machines change. */
function ratios(samples: readonly Sample[], systems: readonly Labelled[]): string {
  const rows = systems.map(({ id, label }) => [
    label,
    formatValue(ratioToVxlan(samples, id, 'tcp1Mbps'), 2),
    formatValue(ratioToField(samples, id, 'tcp1Mbps', 'more'), 2),
    formatValue(ratioToVxlan(samples, id, 'smallFps'), 2),
    formatValue(ratioToField(samples, id, 'smallFps', 'more'), 2),
    formatValue(ratioToField(samples, id, 'floodMeanMs', 'less'), 2),
  ]);
  const heads = ['ratio', 'TCP / VXLAN', 'TCP / field', '64 B / VXLAN', '64 B / field'];
  return alignColumns([[...heads, 'ping / field'], ...rows]);
}

export function formatTargets(targets: readonly Target[]): string {
  const verdict = { true: 'reached', false: 'NOT REACHED', null: 'not measured' } as const;
  const rows = targets.map(({ what, wanted, value, digits, reached }) => [
    what,
    wanted,
    formatValue(value, digits),
    verdict[`${reached}`],
  ]);
  return alignColumns([['target', 'wanted', 'is', 'verdict'], ...rows]);
}

export function formatResults(
  samples: readonly Sample[],
  systems: readonly Labelled[],
  targets: readonly Target[],
): string {
  const measured = systems.filter(({ id }) => samples.some(({ system }) => system === id));
  const parts = [formatTargets(targets)];
  if (measured.length > 0) {
    parts.unshift(
      figures(samples, measured, PERFORMANCE),
      figures(samples, measured, COST),
      ratios(samples, measured),
    );
  }
  return parts.join('\n\n');
}
