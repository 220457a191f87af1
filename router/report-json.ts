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

/** What needs no escape, neither in JSON nor by the original's rules. */
const PLAIN = /^[ !#-%'-;=?-[\]-~]*$/;

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
  const writer = new ReportWriter(indent);
  writer.write(value, 0);
  return writer.finish();
}

/** Pieces that are joined at a time. */
const PIECES = 1024;

/** Joins pieces rather than nesting texts: a report of a large mesh has megabytes of peer names. */
class ReportWriter {
  readonly #indent: number;
  readonly #colon: string;
  /** BOUNDED by PIECES and the few that one call adds. */
  readonly #pieces: string[] = [];
  #text = '';

  constructor(indent: number) {
    this.#indent = indent;
    this.#colon = indent === 0 ? ':' : ': ';
  }

  finish(): string {
    this.#join();
    return this.#text;
  }

  write(value: unknown, depth: number): void {
    if (this.#pieces.length >= PIECES) this.#join();
    if (value === null || value === undefined) this.#pieces.push('null');
    else if (typeof value === 'string') this.#writeText(value);
    else if (typeof value !== 'object') this.#pieces.push(String(value));
    else if (Array.isArray(value)) this.#writeList(value, depth);
    else this.#writeObject(value, depth);
  }

  #writeText(text: string): void {
    if (PLAIN.test(text)) this.#pieces.push('"', text, '"');
    else this.#pieces.push(quote(text));
  }

  #writeList(list: readonly unknown[], depth: number): void {
    if (list.length === 0) {
      this.#pieces.push(present.has(list) ? '[]' : 'null');
      return;
    }
    const separator = `,${this.#lineBreak(depth + 1)}`;
    this.#pieces.push('[', this.#lineBreak(depth + 1));
    for (let index = 0; index < list.length; index++) {
      if (index > 0) this.#pieces.push(separator);
      this.write(list[index], depth + 1);
    }
    this.#pieces.push(this.#lineBreak(depth), ']');
  }

  #writeObject(value: object, depth: number): void {
    const inner = this.#lineBreak(depth + 1);
    let opening = '{';
    for (const key of Object.keys(value)) {
      const field = (value as Record<string, unknown>)[key];
      if (field === undefined) continue;
      this.#pieces.push(opening, inner);
      this.#writeText(key);
      this.#pieces.push(this.#colon);
      this.write(field, depth + 1);
      opening = ',';
    }
    if (opening === '{') this.#pieces.push('{}');
    else this.#pieces.push(this.#lineBreak(depth), '}');
  }

  #join(): void {
    this.#text += this.#pieces.join('');
    this.#pieces.length = 0;
  }

  #lineBreak(depth: number): string {
    return this.#indent === 0 ? '' : `\n${' '.repeat(this.#indent * depth)}`;
  }
}
