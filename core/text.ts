/** Text that others wrote: cut to size, and made harmless for terminals and line-based readers. */

/**
 * The first `maxLength` UTF-16 units. A cut text is a copy: what `slice` alone returns is a view
 * that keeps the whole original in memory for as long as the short piece lives.
 */
export function clip(text: string, maxLength: number): string {
  if (text.length <= maxLength) return text;
  return Buffer.from(text.slice(0, maxLength), 'utf16le').toString('utf16le');
}

/**
 * C0 and C1 controls with escape and newline, line separators, and the marks that turn the
 * direction of writing: with any of these a name could forge lines or drive a terminal.
 */
const UNPRINTABLE = /[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

const PLAIN = /^[ -~]*$/;

/** The same text with such characters spelt out: `\u001b`. */
export function printable(text: string): string {
  // Nearly all texts are plain, and large reports have millions of them.
  if (PLAIN.test(text)) return text;
  return text.replace(
    UNPRINTABLE,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** For schemas: whether a parser that throws takes a text. */
export function canParse(parse: (text: string) => unknown): (text: string) => boolean {
  return (text) => {
    try {
      parse(text);
      return true;
    } catch {
      return false;
    }
  };
}
