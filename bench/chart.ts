/** Bar charts of the medians as one SVG file, without any library. */
import { MEASURES, type MeasureKey, mediansOf, type Sample } from './sample.js';
import type { System, SystemGroup } from './system.js';

const CHARTED: readonly MeasureKey[] = ['tcp1Mbps', 'smallFps', 'floodMeanMs', 'cpuPerGb'];
const WIDTH = 760;
const LABEL_WIDTH = 230;
const BAR_SPACE = WIDTH - LABEL_WIDTH - 110;
const ROW_HEIGHT = 20;
const TITLE_HEIGHT = 36;
const CAPTION_HEIGHT = 34;
const COLOURS: Readonly<Record<SystemGroup, string>> = {
  baseline: '#8a9099',
  field: '#4c78a8',
  ours: '#d9662c',
};

type Charted = Pick<System, 'id' | 'label' | 'group'>;

export function escapeXml(text: string): string {
  const names: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  return text.replaceAll(/[&<>"]/g, (character) => names[character] as string);
}

const text = (x: number, y: number, content: string, extra = ''): string =>
  `<text x="${x}" y="${y}"${extra}>${escapeXml(content)}</text>`;

function panel(
  samples: readonly Sample[],
  systems: readonly Charted[],
  key: MeasureKey,
  top: number,
): string {
  const { label, unit, digits, better } = MEASURES[key];
  const values = systems.map(({ id }) => mediansOf(samples, id)[key]);
  const largest = Math.max(...values.map((value) => value ?? 0), Number.MIN_VALUE);
  const title = `${label}, ${unit} (${better} is better)`;
  const parts = [text(0, top + 22, title, ' font-weight="bold"')];
  systems.forEach(({ label: name, group }, index) => {
    const y = top + TITLE_HEIGHT + index * ROW_HEIGHT;
    const value = values[index] ?? null;
    parts.push(text(LABEL_WIDTH - 8, y + 12, name, ' text-anchor="end"'));
    if (value === null) {
      parts.push(text(LABEL_WIDTH + 4, y + 12, 'not measured', ' fill="#8a9099"'));
      return;
    }
    const width = Math.max(1, (value / largest) * BAR_SPACE);
    const size = `width="${width.toFixed(1)}" height="${ROW_HEIGHT - 5}"`;
    parts.push(`<rect x="${LABEL_WIDTH}" y="${y}" ${size} fill="${COLOURS[group]}"/>`);
    parts.push(text(LABEL_WIDTH + width + 6, y + 12, value.toFixed(digits)));
  });
  return parts.join('\n');
}

/** @param caption one line below the charts: machine and date. */
export function drawChart(
  samples: readonly Sample[],
  systems: readonly Charted[],
  caption: string,
): string {
  const measured = systems.filter(({ id }) => samples.some(({ system }) => system === id));
  const panelHeight = TITLE_HEIGHT + measured.length * ROW_HEIGHT + 14;
  const height = CHARTED.length * panelHeight + CAPTION_HEIGHT;
  const panels = CHARTED.map((key, index) => panel(samples, measured, key, index * panelHeight));
  const font = 'font-family="system-ui, sans-serif" font-size="12" fill="#24292f"';
  const box = `viewBox="-12 0 ${WIDTH + 24} ${height}" width="${WIDTH + 24}" height="${height}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${box} ${font}>`,
    `<rect x="-12" width="${WIDTH + 24}" height="${height}" fill="#ffffff"/>`,
    ...panels,
    text(0, height - 12, caption, ' fill="#57606a" font-size="11"'),
    '</svg>\n',
  ].join('\n');
}
