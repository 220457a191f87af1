/**
 * JSON as the original prints its report: 64-bit numbers exact, keys of maps sorted, `<`, `>` and
 * `&` escaped, lists that are empty as `null` unless they are marked as present.
 * Source: reference/http-api.md 8, vectors/status-pages.json.
 */

const present = new WeakSet<object>();

/** Marks a list that prints as `[]` even when it is empty. */
export function presentList<T>(list: readonly T[]): readonly T[] {
  present.add(list);
  return list;
}

/** A map in the original's sense: keys sorted, a missing key is no error in templates. */
export function mapOf<T>(entries: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  const map = Object.create(null) as Record<string, T>;
  for (const key of Object.keys(entries).sort()) map[key] = entries[key] as T;
  return map;
}

export function isMap(value: object): boolean {
  return Object.getPrototypeOf(value) === null;
}

function quote(text: string): string {
  return JSON.stringify(text).replace(
    /[<>&\u2028\u2029]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/**
 * @param value plain data, bigints allowed; `undefined` fields are left out.
 * @param indent blanks per level; 0 gives one line without blanks.
 */
export function reportJson(value: unknown, indent = 0): string {
  return render(value, indent, 0);
}

function render(value: unknown, indent: number, depth: number): string {
  if (value === null || value === undefined) return 'null';
  if (typeof value === 'string') return quote(value);
  if (typeof value !== 'object') return String(value);
  const isList = Array.isArray(value);
  if (isList && value.length === 0) return present.has(value) ? '[]' : 'null';
  const colon = indent === 0 ? ':' : ': ';
  const items = isList
    ? value.map((item) => render(item, indent, depth + 1))
    : Object.entries(value)
        .filter(([, field]) => field !== undefined)
        .map(([key, field]) => `${quote(key)}${colon}${render(field, indent, depth + 1)}`);
  const [open, close] = isList ? '[]' : '{}';
  if (items.length === 0) return `${open}${close}`;
  if (indent === 0) return `${open}${items.join(',')}${close}`;
  const inner = `\n${' '.repeat(indent * (depth + 1))}`;
  return `${open}${inner}${items.join(`,${inner}`)}\n${' '.repeat(indent * depth)}${close}`;
}
