/**
 * Raw settings from the three places they may come from: command line, environment, file. Nothing
 * is interpreted here beyond which option a text belongs to.
 * Source: reference/cli.md 6 (syntax), 7 (variables).
 */
import { createRequire } from 'node:module';
import { ConfigError } from '../core/errors.js';
import { absentOptions, type OptionName, optionSpecs } from './config-options.js';

/** One text for one option, and how its giver would name it in an error. */
export interface Setting {
  readonly option: string;
  readonly value: string;
  /** e.g. `--port`, `WEAVE_PORT`, `port in /etc/weave/weave.yaml`. */
  readonly field: string;
}

export interface Settings {
  readonly settings: readonly Setting[];
  readonly peers: readonly string[];
  readonly errors: readonly ConfigError[];
  /** First option on the command line that does not exist, as typed. */
  readonly unknownFlag: string | null;
}

function isSwitch(option: string): boolean | undefined {
  const spec = Object.hasOwn(optionSpecs, option)
    ? optionSpecs[option as OptionName]
    : absentOptions.get(option);
  return spec?.switch;
}

/**
 * `--name value`, `--name=value`; a switch is `--x`, `--x=true` or `--x=false`; `-H` has one dash.
 * `--` ends the options. What is no option is a peer. The last of several wins.
 */
export function settingsFromArguments(argv: readonly string[]): Settings {
  const settings: Setting[] = [];
  const peers: string[] = [];
  const errors: ConfigError[] = [];
  let unknownFlag: string | null = null;
  let onlyPeers = false;
  for (let i = 0; i < argv.length; i++) {
    const word = argv[i] as string;
    if (word === '--' && !onlyPeers) {
      onlyPeers = true;
      continue;
    }
    const match = onlyPeers ? null : /^(--?)([^-=][^=]*)(=[\s\S]*)?$/.exec(word);
    if (match === null) {
      peers.push(word);
      continue;
    }
    const option = word === '-h' ? 'help' : (match[2] as string);
    const field = `${match[1]}${match[2]}`;
    const switched = isSwitch(option);
    const dashes = option === 'H' || word === '-h' ? '-' : '--';
    if (switched === undefined || match[1] !== dashes) {
      unknownFlag ??= field;
      errors.push(new ConfigError(field, 'there is no such option'));
      continue;
    }
    let value = match[3]?.slice(1);
    if (value === undefined && switched) value = 'true';
    if (value === undefined) {
      i += 1;
      value = argv[i];
    }
    if (value === undefined) errors.push(new ConfigError(field, 'expected a value after it'));
    else settings.push({ option, value, field });
  }
  return { settings, peers, errors, unknownFlag };
}

/** Empty variables count as absent, as the original's script has it. */
export function settingsFromEnvironment(env: Readonly<Record<string, string | undefined>>) {
  const settings: Setting[] = [];
  for (const [option, spec] of Object.entries(optionSpecs)) {
    const given = spec.env === undefined ? undefined : env[spec.env];
    if (given === undefined || given === '') continue;
    // The original's switches are on whatever their variable holds.
    const value = spec.switch ? 'true' : given;
    settings.push({ option, value, field: spec.env as string });
  }
  return settings;
}

/** Options that make no sense in a file, each with the reason. */
const NOT_IN_FILE: Readonly<Record<string, string>> = {
  password: 'a password does not belong into this file; name its own file by password-file',
  config: 'expected on the command line only',
  'check-config': 'expected on the command line only',
  'print-peer-name': 'expected on the command line only',
  version: 'expected on the command line only',
  help: 'expected on the command line only',
};

/**
 * A YAML mapping from option names to values, and `peers` to a list. Lists of other options are
 * joined by commas.
 * @param path only for errors.
 */
export function settingsFromFile(text: string, path: string): Settings {
  const settings: Setting[] = [];
  const errors: ConfigError[] = [];
  let peers: string[] = [];
  const fail = (field: string, message: string): void => {
    errors.push(new ConfigError(field, message));
  };
  // Loaded only when there is a file: it costs some 9 MB and a tenth of a second.
  const yaml = createRequire(import.meta.url)('yaml') as typeof import('yaml');
  let root: unknown = null;
  try {
    root = yaml.parse(text, { maxAliasCount: 0 });
  } catch (error) {
    // The first line of the parser's message holds line and column; the rest quotes the file.
    const message =
      error instanceof yaml.YAMLParseError ? error.message.split('\n')[0] : 'not YAML';
    fail(path, message ?? 'not YAML');
  }
  if (root === null || root === undefined) root = {};
  if (typeof root !== 'object' || Array.isArray(root)) {
    fail(path, 'expected lines of the form "option: value"');
    root = {};
  }
  for (const [key, raw] of Object.entries(root as Record<string, unknown>)) {
    const field = `${key} in ${path}`;
    const items = Array.isArray(raw) ? raw : [raw];
    const texts = items.map(scalarText);
    if (texts.includes(null)) fail(field, 'expected text, a number, true or false, or a list');
    else if (key === 'peers') peers = texts as string[];
    else if (NOT_IN_FILE[key] !== undefined) fail(field, NOT_IN_FILE[key]);
    else if (isSwitch(key) === undefined) fail(field, 'there is no such option');
    else settings.push({ option: key, value: texts.join(','), field });
  }
  return { settings, peers, errors, unknownFlag: null };
}

function scalarText(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  return value === null ? '' : null;
}
