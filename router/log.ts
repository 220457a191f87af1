/**
 * Log lines of the daemon. Text is the original's form, one line per event:
 *   INFO: 2022/04/06 12:30:00.123456 text key=value
 * json is pino's, one object per line. What peers send may sit in fields, so control characters
 * are escaped: a nickname can't forge a line. Source: reference/cli.md 6 "Log line".
 */
import { createRequire } from 'node:module';
import type { Clock } from '../core/clock.js';
import type { LogFields, Logger } from '../core/log.js';
import { printable } from '../core/text.js';
import type { LogLevel } from './config.js';

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: 'text' | 'json';
}

export interface LogModules {
  readonly clock: Clock;
  /** Takes one whole line with its newline. */
  readonly write: (line: string) => void;
}

/** Fields that never reach a line, whoever passes them. */
const SECRET_FIELDS = ['password', 'token', 'sessionKey', 'privateKey', 'key'];
const LEVELS = ['debug', 'info', 'warning', 'error'] as const;
const LABELS = { debug: 'DEBU', info: 'INFO', warning: 'WARN', error: 'ERRO' } as const;

export function createLogger(options: LogOptions, modules: LogModules): Logger {
  const emit = options.format === 'json' ? jsonEmitter(modules) : textEmitter(modules);
  const lowest = LEVELS.indexOf(options.level);
  const at =
    (level: LogLevel) =>
    (text: string, fields?: LogFields): void => {
      if (LEVELS.indexOf(level) >= lowest) emit(level, text, fields ?? {});
    };
  return { error: at('error'), warn: at('warning'), info: at('info'), debug: at('debug') };
}

type Emit = (level: LogLevel, text: string, fields: LogFields) => void;

function textEmitter({ clock, write }: LogModules): Emit {
  return (level, text, fields) => {
    const pairs = Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(([key, value]) => ` ${key}=${fieldText(key, value)}`)
      .join('');
    write(`${LABELS[level]}: ${timestamp(clock.wallMs())} ${printable(text)}${pairs}\n`);
  };
}

function fieldText(key: string, value: LogFields[string]): string {
  if (SECRET_FIELDS.includes(key)) return '<redacted>';
  const text = String(value);
  // JSON.stringify leaves DEL, C1 controls and line separators as they are.
  return /^[^\s"=\p{Cc}]+$/u.test(text) ? printable(text) : printable(JSON.stringify(text));
}

/** `2022/04/06 12:30:00.123456`, local time. */
function timestamp(wallMs: number): string {
  const date = new Date(wallMs);
  const two = (number: number): string => String(number).padStart(2, '0');
  const micros = Math.floor((wallMs % 1000) * 1000);
  const day = `${date.getFullYear()}/${two(date.getMonth() + 1)}/${two(date.getDate())}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day} ${time}.${String(micros).padStart(6, '0')}`;
}

/** Loads pino only when it is wanted: it costs some 9 MB, and text is the usual form. */
function jsonEmitter({ clock, write }: LogModules): Emit {
  const { pino } = createRequire(import.meta.url)('pino') as typeof import('pino');
  const logger = pino(
    {
      level: 'debug',
      base: null,
      messageKey: 'message',
      redact: { paths: SECRET_FIELDS, censor: '<redacted>' },
      formatters: { level: (label) => ({ level: label === 'warn' ? 'warning' : label }) },
      timestamp: () => `,"time":"${new Date(clock.wallMs()).toISOString()}"`,
    },
    { write },
  );
  return (level, text, fields) => {
    // JSON has no 64-bit integers; as text nothing is lost.
    const plain = Object.fromEntries(
      Object.entries(fields).map(([k, v]) => [k, typeof v === 'bigint' ? String(v) : v]),
    );
    logger[level === 'warning' ? 'warn' : level](plain, text);
  };
}
