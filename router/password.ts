/**
 * Where the network password comes from, and how it stays out of sight.
 *
 * In order: `--password`, `--password-file`, WEAVE_PASSWORD, WEAVE_PASSWORD_FILE, password-file in
 * the configuration file, the systemd credential `weave-password`.
 *
 * A password in the daemon's arguments is visible to every user in /proc/PID/cmdline until the
 * process overwrites it, which io/conceal.ts does first of all: setting the process title on Linux
 * overwrites the whole memory of the arguments and fills the rest with zeros. `weave launch` never
 * puts it there. The initial environment (/proc/PID/environ) can't be overwritten but is readable
 * by root and the process's own user only; the variable is deleted so that children and threads
 * don't inherit it.
 */
import { utf8 } from '../core/bytes.js';
import { ConfigError } from '../core/errors.js';

export const PASSWORD_VARIABLE = 'WEAVE_PASSWORD';
export const CREDENTIAL_NAME = 'weave-password';
/** Longer files are taken for a mistake. */
export const MAX_PASSWORD_BYTES = 4096;

/** A file read by io/: its text and permission bits, or why it can't be read. */
export type FileReading =
  | { readonly ok: true; readonly text: string; readonly mode: number }
  | { readonly ok: false; readonly missing: boolean; readonly text: string };
export type FileReader = (path: string) => FileReading;

/** One place the password may come from: the text itself or a path. */
export interface PasswordSource {
  readonly field: string;
  readonly kind: 'text' | 'file';
  readonly value: string;
}

export interface FoundPassword {
  readonly password: Uint8Array | null;
  /** Name of the place, for the log. */
  readonly source: string | null;
  readonly warnings: readonly string[];
}

/**
 * @param source the one that wins; null for none.
 * @throws {ConfigError} A file that is missing, empty or too long is an error: going on without
 *   encryption would be the opposite of what was asked for.
 */
export function readPassword(source: PasswordSource | null, readFile: FileReader): FoundPassword {
  if (source === null) return { password: null, source: null, warnings: [] };
  if (source.kind === 'text') {
    const password = source.value === '' ? null : utf8(source.value);
    if (password !== null && password.length > MAX_PASSWORD_BYTES) {
      throw new ConfigError(source.field, `expected at most ${MAX_PASSWORD_BYTES} bytes`);
    }
    return { password, source: password === null ? null : source.field, warnings: [] };
  }
  const reading = readFile(source.value);
  if (!reading.ok) throw new ConfigError(source.field, reading.text);
  const text = reading.text.replace(/\r?\n$/, '');
  const bytes = utf8(text);
  if (bytes.length === 0 || bytes.length > MAX_PASSWORD_BYTES) {
    throw new ConfigError(
      source.field,
      `${source.value} holds ${bytes.length} bytes, expected a password of 1 to ` +
        `${MAX_PASSWORD_BYTES} bytes on one line`,
    );
  }
  if (/[\r\n]/.test(text)) {
    throw new ConfigError(source.field, `${source.value} has several lines, expected one`);
  }
  const open = (reading.mode & 0o077) !== 0;
  const warnings = open ? [`${source.value} can be read by other users; set its mode to 0600`] : [];
  return { password: bytes, source: source.field, warnings };
}

/**
 * Arguments without passwords, for whatever keeps them afterwards (process.argv, diagnostics).
 * The value becomes `<redacted>`, so that positions stay.
 */
export function redactArguments(argv: readonly string[]): string[] {
  return argv.map((word, i) => {
    if (/^--?(password|token)=/.test(word)) return `${word.slice(0, word.indexOf('='))}=<redacted>`;
    return i > 0 && /^--?(password|token)$/.test(argv[i - 1] as string) ? '<redacted>' : word;
  });
}
