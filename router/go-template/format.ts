/** How values print: `%v` and the other verbs of Go's fmt that templates in the wild use. */
import { isMap } from '../report-json.js';

/** Widths beyond this are cut, so that a short template can't make a huge output. */
const MAX_WIDTH = 1000;

/** @param top nil prints differently as a whole value than inside another. */
export function valueText(value: unknown, top = true): string {
  if (value == null) return top ? '<no value>' : '<nil>';
  if (Array.isArray(value)) return `[${value.map((item) => valueText(item, false)).join(' ')}]`;
  if (typeof value !== 'object') return String(value);
  if (isMap(value)) {
    const pairs = Object.entries(value).map(([key, item]) => `${key}:${valueText(item, false)}`);
    return `map[${pairs.join(' ')}]`;
  }
  return `{${Object.values(value)
    .map((item) => valueText(item, false))
    .join(' ')}}`;
}

/** Errors print inside the text, as in Go: `%!d(string=x)`, `%!v(MISSING)`, `%!(EXTRA …)`. */
export function formatText(format: string, args: readonly unknown[]): string {
  let used = 0;
  const text = format.replace(
    /%([-+# 0]*)(\d*)(?:\.(\d*))?(.?)/gsu,
    (_all, flags: string, width: string, precision: string | undefined, verb: string) => {
      if (verb === '%') return '%';
      if (verb === '') return '%!(NOVERB)';
      if (used >= args.length) return `%!${verb}(MISSING)`;
      const value = args[used++];
      const digits = precision === undefined ? null : Math.min(Number(precision), 20);
      const body = verbText(verb, value, digits);
      return pad(body, flags, Math.min(Number(width), MAX_WIDTH));
    },
  );
  const extra = args.slice(used).map((value) => `${typeName(value)}=${valueText(value, false)}`);
  return extra.length === 0 ? text : `${text}%!(EXTRA ${extra.join(', ')})`;
}

function verbText(verb: string, value: unknown, precision: number | null): string {
  const isInteger =
    typeof value === 'bigint' || (typeof value === 'number' && Number.isInteger(value));
  if (verb === 'v') return valueText(value, false);
  if (verb === 's' && !isInteger && typeof value !== 'boolean') {
    const text = valueText(value, false);
    return precision === null ? text : text.slice(0, precision);
  }
  if (verb === 'q' && typeof value === 'string') return JSON.stringify(value);
  if (verb === 't' && typeof value === 'boolean') return String(value);
  if (isInteger && verb === 'd') return String(value);
  if (isInteger && (verb === 'x' || verb === 'X')) {
    const hex = (value as number | bigint).toString(16);
    return verb === 'x' ? hex : hex.toUpperCase();
  }
  if (verb === 'x' && typeof value === 'string') return Buffer.from(value).toString('hex');
  if (verb === 'f' && typeof value === 'number') return value.toFixed(precision ?? 6);
  return `%!${verb}(${typeName(value)}=${valueText(value, false)})`;
}

function pad(text: string, flags: string, width: number): string {
  if (flags.includes('-')) return text.padEnd(width);
  return text.padStart(width, flags.includes('0') ? '0' : ' ');
}

function typeName(value: unknown): string {
  if (value == null) return 'nil';
  if (typeof value === 'boolean') return 'bool';
  return typeof value === 'string' ? 'string' : 'int';
}
