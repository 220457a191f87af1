/** Options of a verb out of its words. */
import yargs from 'yargs';
import { UsageFailure } from './exit.js';

export interface OptionWords {
  readonly switches?: readonly string[];
  /** Options with a value; each may be given several times. */
  readonly values?: readonly string[];
}

export interface ParsedWords {
  readonly positionals: readonly string[];
  readonly switches: ReadonlySet<string>;
  readonly values: ReadonlyMap<string, readonly string[]>;
}

/**
 * `--x`, `--x=V`, `--x V`, `-x V`; `--` ends the options.
 * @throws {UsageFailure} for an unknown option or a missing value.
 */
export function parseWords(words: readonly string[], known: OptionWords): ParsedWords {
  const { switches = [], values = [] } = known;
  const parsed = yargs([...words])
    .help(false)
    .version(false)
    .detectLocale(false)
    .exitProcess(false)
    .parserConfiguration({
      'boolean-negation': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'short-option-groups': false,
    })
    .boolean(switches)
    .string(values)
    .requiresArg(values)
    .strictOptions()
    .fail((message: string | null, error: Error | undefined) => {
      throw new UsageFailure(message ?? error?.message ?? 'wrong options');
    })
    .parseSync() as Record<string, unknown> & { readonly _: (string | number)[] };
  return {
    positionals: parsed._.map(String),
    switches: new Set(switches.filter((name) => [parsed[name]].flat().at(-1) === true)),
    values: new Map(
      values.flatMap((name) => {
        const given = parsed[name];
        return given === undefined ? [] : [[name, [given].flat().map(String)] as const];
      }),
    ),
  };
}
