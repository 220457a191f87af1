/**
 * Logging as the parts see it: constant text plus fields. error = broken, warn = may break,
 * info = rare change of state, debug = detail. Keys and passwords never go into a field.
 */
export type LogFields = Readonly<
  Record<string, string | number | boolean | bigint | null | undefined>
>;

export interface Logger {
  error(text: string, fields?: LogFields): void;
  warn(text: string, fields?: LogFields): void;
  info(text: string, fields?: LogFields): void;
  debug(text: string, fields?: LogFields): void;
}

export const silentLogger: Logger = {
  error: () => {},
  warn: () => {},
  info: () => {},
  debug: () => {},
};

export type LogLevel = keyof Logger;

/** For a thread: hands each line to the one that writes. */
export function relayLogger(
  send: (level: LogLevel, text: string, fields: LogFields) => void,
): Logger {
  const at =
    (level: LogLevel) =>
    (text: string, fields: LogFields = {}): void =>
      send(level, text, fields);
  return { error: at('error'), warn: at('warn'), info: at('info'), debug: at('debug') };
}
