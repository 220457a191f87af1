/**
 * Cuts a template into text and actions, and actions into tokens.
 * Source: the syntax chapters of the Go documentation of text/template.
 */
import { DecodeError } from '../../core/errors.js';

export type TokenKind = 'field' | 'variable' | 'word' | 'string' | 'number' | 'dot' | 'symbol';

export interface Token {
  readonly kind: TokenKind;
  /** Field and variable without their `.` and `$`; strings unquoted. */
  readonly text: string;
  /** A blank stood before it: `.a .b` are two operands, `.a.b` is one. */
  readonly spaced: boolean;
}

export type Segment =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'action'; readonly tokens: readonly Token[]; readonly line: number };

/** @throws {DecodeError} `template-invalid` */
export function templateError(line: number, message: string): DecodeError {
  return new DecodeError('template-invalid', `template: format:${line}: ${message}`);
}

const TOKEN =
  /(\s+)|\$([A-Za-z0-9_]*)|\.([A-Za-z_][A-Za-z0-9_]*)|(-?\d+(?:\.\d+)?)|([A-Za-z_][A-Za-z0-9_]*)|"((?:[^"\\\n]|\\.)*)"|`([^`]*)`|(\.)|(:=|[|(),=])/y;

/** @throws {DecodeError} `template-invalid` */
export function lex(template: string): Segment[] {
  const segments: Segment[] = [];
  let at = 0;
  let line = 1;
  let trimNext = false;
  const countLines = (text: string): void => {
    line += text.split('\n').length - 1;
  };
  const pushText = (raw: string, trimEnd: boolean): void => {
    let text = trimNext ? raw.trimStart() : raw;
    if (trimEnd) text = text.trimEnd();
    if (text !== '') segments.push({ kind: 'text', text });
    countLines(raw);
  };
  for (;;) {
    const open = template.indexOf('{{', at);
    if (open < 0) {
      pushText(template.slice(at), false);
      return segments;
    }
    const trimBefore = /^-\s/.test(template.slice(open + 2, open + 4));
    pushText(template.slice(at, open), trimBefore);
    const start = open + 2 + (trimBefore ? 1 : 0);
    const comment = /^\s*\/\*/.test(template.slice(start, start + 64));
    const action = comment ? skipComment(template, start, line) : lexAction(template, start, line);
    if (action.tokens !== null) segments.push({ kind: 'action', tokens: action.tokens, line });
    countLines(template.slice(open, action.end));
    trimNext = action.trimAfter;
    at = action.end;
  }
}

interface ActionText {
  /** null for a comment. */
  readonly tokens: Token[] | null;
  /** Behind the closing braces. */
  readonly end: number;
  readonly trimAfter: boolean;
}

function skipComment(template: string, start: number, line: number): ActionText {
  const close = template.indexOf('*/', start);
  if (close < 0) throw templateError(line, 'unclosed comment');
  const tail = /^\s+-\}\}|^\}\}/.exec(template.slice(close + 2, close + 66));
  if (tail === null) throw templateError(line, 'comment ends before closing delimiter');
  return { tokens: null, end: close + 2 + tail[0].length, trimAfter: tail[0].includes('-') };
}

function lexAction(template: string, start: number, line: number): ActionText {
  const tokens: Token[] = [];
  let at = start;
  let spaced = false;
  for (;;) {
    if (template.startsWith('}}', at)) return { tokens, end: at + 2, trimAfter: false };
    if (spaced && template.startsWith('-}}', at)) {
      return { tokens, end: at + 3, trimAfter: true };
    }
    if (at >= template.length) throw templateError(line, 'unclosed action');
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(template);
    if (match === null) {
      const character = template.slice(at, at + 1);
      if (character === '"') throw templateError(line, 'unterminated quoted string');
      if (character === '`') throw templateError(line, 'unterminated raw quoted string');
      throw templateError(line, `unexpected ${JSON.stringify(character)} in command`);
    }
    at = TOKEN.lastIndex;
    if (match[1] !== undefined) {
      spaced = true;
      continue;
    }
    tokens.push({ ...tokenOf(match, line), spaced });
    spaced = false;
  }
}

function tokenOf(match: RegExpExecArray, line: number): { kind: TokenKind; text: string } {
  const kinds: (TokenKind | null)[] = [
    null,
    null,
    'variable',
    'field',
    'number',
    'word',
    'string',
    'string',
    'dot',
    'symbol',
  ];
  const index = match.findIndex((group, i) => i > 1 && group !== undefined);
  const text = match[index] as string;
  return { kind: kinds[index] as TokenKind, text: index === 6 ? unquote(text, line) : text };
}

const ESCAPES: Readonly<Record<string, string>> = {
  n: '\n',
  t: '\t',
  r: '\r',
  '\\': '\\',
  '"': '"',
  a: '\x07',
  b: '\b',
  f: '\f',
  v: '\v',
};

function unquote(text: string, line: number): string {
  return text.replace(/\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)/g, (_all, code: string) => {
    const plain = ESCAPES[code];
    if (plain !== undefined) return plain;
    if (code.length > 1) return String.fromCharCode(Number.parseInt(code.slice(1), 16));
    throw templateError(line, `invalid escape \\${code} in string`);
  });
}
