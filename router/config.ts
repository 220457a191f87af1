/**
 * What the daemon was asked to do: options from the command line, the environment and the
 * configuration file, in this order of precedence, checked and frozen. The password is kept apart
 * so that the configuration can be shown.
 */
import { type ConfigError, ConfigError as ConfigFault } from '../core/errors.js';
import type { Cidr } from '../core/ip.js';
import type { ListenAddress } from '../core/listen-address.js';
import type { PeerName } from '../core/peer-name.js';
import type { OffloadSwitches } from '../fastdp/io/offloads.js';
import type { Cipher } from '../mesh/peer/ciphers.js';
import {
  absentOptions,
  type LogLevel,
  type OptionName,
  type OptionValues,
  optionSchemas,
  optionSpecs,
} from './config-options.js';
import {
  type Setting,
  type Settings,
  settingsFromArguments,
  settingsFromEnvironment,
  settingsFromFile,
} from './config-sources.js';
import { buildDnsConfig, type DnsConfig } from './dns-options.js';
import { buildIpamConfig, type IpamConfig, ipamWarnings } from './ipam-options.js';
import { CREDENTIAL_NAME, type FileReader, type PasswordSource, readPassword } from './password.js';

export type { LogLevel } from './config-options.js';

export interface RouterConfig {
  /** Address to bind for peers; null is all. */
  readonly host: string | null;
  readonly port: number;
  readonly minProtocolVersion: 1 | 2;
  readonly maxProtocolVersion: 1 | 2;
  /** null: derive it (derive-peer-name.ts). */
  readonly name: PeerName | null;
  readonly nickname: string;
  readonly trustedSubnets: readonly Cidr[];
  /** Accepted for data of encrypted connections, best first; never empty. */
  readonly ciphers: readonly Cipher[];
  /** What the kernel is not to be asked for. */
  readonly offloads: OffloadSwitches;
  /** Threads of the data plane. */
  readonly queues: number;
  /** Between changes of keys for data. */
  readonly rekeyIntervalMs: number;
  readonly busyPoll: boolean;
  readonly noMasqLocal: boolean;
  readonly discovery: boolean;
  /** Announce this router on the local network, and call those that are heard there. */
  readonly lanDiscovery: boolean;
  readonly resume: boolean;
  /** Take the host over from the router that runs. */
  readonly takeOver: boolean;
  /** 0 is no limit. */
  readonly connLimit: number;
  /** As given, `host[:port]`. */
  readonly peers: readonly string[];
  readonly http: ListenAddress | null;
  readonly status: ListenAddress | null;
  readonly metrics: ListenAddress | null;
  /** Root-only control socket; null is off. */
  readonly socketPath: string | null;
  readonly bridge: string;
  /** Bytes; null: not given, so an existing bridge keeps its own and a new one gets 1376. */
  readonly mtu: number | null;
  readonly dbPrefix: string;
  readonly hostRoot: string;
  readonly procPath: string;
  /** null: the name service is off. */
  readonly dns: DnsConfig | null;
  /** null: the allocator is off. */
  readonly ipam: IpamConfig | null;
  /** Unix sockets with Docker's API, asked in order. */
  readonly engineSockets: readonly string[];
  readonly logLevel: LogLevel;
  readonly logFormat: 'text' | 'json';
}

export interface LoadedConfig {
  readonly config: RouterConfig;
  /** Secret; null is no encryption. */
  readonly password: Uint8Array | null;
  /** Sentences for the log. */
  readonly warnings: readonly string[];
  /** Options that were given, `name=value`, secrets replaced: the first line of the log. */
  readonly given: string;
}

export interface ConfigInput {
  /** Without interpreter and script. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly readFile: FileReader;
  readonly hostName: string;
  readonly version: string;
}

/** What main.ts has to do. */
export type StartRequest =
  | { readonly kind: 'run'; readonly loaded: LoadedConfig }
  | { readonly kind: 'print-peer-name'; readonly loaded: LoadedConfig }
  | {
      readonly kind: 'exit';
      readonly code: number;
      readonly stdout: string;
      readonly stderr: string;
    };

/** Of the original's option parser, for an unknown option and for `--help`. */
const OPTION_EXIT_CODE = 125;
const BAD_INPUT_EXIT_CODE = 2;

export function interpretStart(input: ConfigInput): StartRequest {
  const argv = settingsFromArguments(input.argv);
  const asked = (option: OptionName): boolean =>
    argv.settings.findLast((s) => s.option === option)?.value === 'true';
  if (asked('help')) return exit(OPTION_EXIT_CODE, '', helpText());
  if (asked('version')) return exit(0, `weave ${input.version}\n`, '');
  if (argv.unknownFlag !== null && !asked('check-config')) {
    const text = `flag provided but not defined: ${argv.unknownFlag}\nSee 'weaver --help'.\n`;
    return exit(OPTION_EXIT_CODE, '', text);
  }
  const { loaded, errors } = loadConfig(input, argv);
  if (loaded === null) {
    const lines = errors.map((error) => `${error.message}\n`).join('');
    return exit(BAD_INPUT_EXIT_CODE, '', lines);
  }
  if (asked('check-config')) {
    return exit(0, 'ok\n', loaded.warnings.map((warning) => `warning: ${warning}\n`).join(''));
  }
  return { kind: asked('print-peer-name') ? 'print-peer-name' : 'run', loaded };
}

function exit(code: number, stdout: string, stderr: string): StartRequest {
  return { kind: 'exit', code, stdout, stderr };
}

function loadConfig(
  input: ConfigInput,
  argv: Settings,
): { loaded: LoadedConfig | null; errors: readonly ConfigError[] } {
  const env = settingsFromEnvironment(input.env);
  const file = readConfigFile(input, [...env, ...argv.settings]);
  const errors: ConfigError[] = [...argv.errors, ...file.errors];
  // Later ones win.
  const settings = [...file.settings, ...env, ...argv.settings];
  const warnings = checkAbsentOptions(settings, errors);
  const values = parseValues(settings, errors);
  const peers = argv.peers.length > 0 ? argv.peers : file.peers;
  let password: Uint8Array | null = null;
  try {
    const source = passwordSource(file.settings, env, argv.settings, input);
    const found = readPassword(source, input.readFile);
    password = found.password;
    warnings.push(...found.warnings);
  } catch (error) {
    if (!(error instanceof ConfigFault)) throw error;
    errors.push(error);
  }
  if (values === null || errors.length > 0) return { loaded: null, errors };
  checkTogether(values, peers, errors);
  const ipam = loadIpam(values, settings, errors);
  if (errors.length > 0) return { loaded: null, errors };
  const config = buildConfig(values, peers, ipam, input.hostName);
  warnings.push(...exposureWarnings(config), ...ipamWarnings(ipam, config.name));
  if (password === null && config.trustedSubnets.length > 0) {
    warnings.push('--trusted-subnets has no effect without a password');
  }
  const given = describeGiven(settings, peers);
  return { loaded: Object.freeze({ config, password, warnings, given }), errors };
}

/** The default path may be missing; one that was asked for may not. */
function readConfigFile(input: ConfigInput, settings: readonly Setting[]): Settings {
  const none = { settings: [], peers: [], errors: [], unknownFlag: null };
  const asked = settings.findLast((setting) => setting.option === 'config');
  const path = asked?.value ?? optionSpecs.config.default;
  const reading = input.readFile(path);
  if (reading.ok) return settingsFromFile(reading.text, path);
  if (reading.missing && asked === undefined) return none;
  return { ...none, errors: [new ConfigFault(asked?.field ?? '--config', reading.text)] };
}

function parseValues(settings: readonly Setting[], errors: ConfigError[]): OptionValues | null {
  const values: Record<string, unknown> = {};
  const before = errors.length;
  for (const option of Object.keys(optionSpecs) as OptionName[]) {
    const setting = settings.findLast((candidate) => candidate.option === option);
    const result = optionSchemas[option].safeParse(setting?.value ?? optionSpecs[option].default);
    if (result.success) values[option] = result.data;
    else {
      const message = result.error.issues.map((issue) => issue.message).join('; ');
      errors.push(new ConfigFault(setting?.field ?? `--${option}`, message));
    }
  }
  return errors.length > before ? null : (values as unknown as OptionValues);
}

/** @returns a sentence for each option of a part that this version does not have. */
function checkAbsentOptions(settings: readonly Setting[], errors: ConfigError[]): string[] {
  const warnings = new Map<string, string>();
  for (const { option, value, field } of settings) {
    const absent = absentOptions.get(option);
    // Off and empty ask for what is the case anyway.
    if (absent === undefined || value === '' || (absent.switch && value === 'false')) continue;
    if (absent.refuse) errors.push(new ConfigFault(field, absent.sentence));
    else warnings.set(option, `${field}: ${absent.sentence}`);
  }
  return [...warnings.values()];
}

function checkTogether(
  values: OptionValues,
  peers: readonly string[],
  errors: ConfigError[],
): void {
  if (values.resume && peers.length > 0) {
    errors.push(new ConfigFault('--resume', 'You must not specify an initial peer list with it'));
  }
  if (values['min-protocol-version'] > values['max-protocol-version']) {
    errors.push(new ConfigFault('--min-protocol-version', 'is above --max-protocol-version'));
  }
}

function loadIpam(
  values: OptionValues,
  settings: readonly Setting[],
  errors: ConfigError[],
): IpamConfig | null {
  const given = settings.filter(({ value }) => value !== '').map(({ option }) => option);
  try {
    return buildIpamConfig(values, new Set(given));
  } catch (error) {
    if (!(error instanceof ConfigFault)) throw error;
    errors.push(error);
    return null;
  }
}

/** Within one place `--password` wins over `--password-file`; the places rank as usual. */
function passwordSource(
  file: readonly Setting[],
  env: readonly Setting[],
  argv: readonly Setting[],
  input: ConfigInput,
): PasswordSource | null {
  for (const place of [argv, env, file]) {
    const text = place.findLast((setting) => setting.option === 'password');
    if (text !== undefined) return { field: text.field, kind: 'text', value: text.value };
    const path = place.findLast((setting) => setting.option === 'password-file');
    if (path === undefined) continue;
    // An empty path switches files of lesser places off.
    if (path.value === '') return null;
    return { field: path.field, kind: 'file', value: path.value };
  }
  const folder = input.env['CREDENTIALS_DIRECTORY'];
  if (folder === undefined || folder === '') return null;
  const value = `${folder}/${CREDENTIAL_NAME}`;
  const reading = input.readFile(value);
  if (!reading.ok && reading.missing) return null;
  return { field: `credential ${CREDENTIAL_NAME}`, kind: 'file', value };
}

function buildConfig(
  values: OptionValues,
  peers: readonly string[],
  ipam: IpamConfig | null,
  hostName: string,
): RouterConfig {
  return Object.freeze({
    host: values.host,
    port: values.port,
    minProtocolVersion: values['min-protocol-version'],
    maxProtocolVersion: values['max-protocol-version'],
    name: values.name,
    nickname: values.nickname === '' ? hostName : values.nickname,
    trustedSubnets: Object.freeze(values['trusted-subnets']),
    ciphers: Object.freeze(values.cipher),
    offloads: Object.freeze({
      noGso: values['no-gso'],
      noGro: values['no-gro'],
      noVnetHdr: values['no-vnet-hdr'],
      noUring: values['no-uring'],
    }),
    queues: values['fastdp-queues'],
    rekeyIntervalMs: values['rekey-interval'],
    busyPoll: !values['no-busy-poll'],
    noMasqLocal: values['no-masq-local'],
    discovery: !values['no-discovery'],
    lanDiscovery: values.discovery === 'multicast',
    resume: values.resume,
    takeOver: values['take-over'],
    connLimit: values['conn-limit'],
    peers: Object.freeze([...peers]),
    http: values['http-addr'],
    status: values['status-addr'],
    metrics: values['metrics-addr'],
    socketPath: values.socket === '' ? null : values.socket,
    bridge: values['weave-bridge'],
    mtu: values.mtu === 0 ? null : values.mtu,
    dbPrefix: values['db-prefix'],
    hostRoot: values['host-root'],
    procPath: values['proc-path'],
    dns: buildDnsConfig(values),
    ipam,
    engineSockets: Object.freeze(values['docker-api']),
    logLevel: values['log-level'],
    logFormat: values['log-format'],
  });
}

/** Whoever reaches the control API owns the network: it has no authentication. */
function exposureWarnings(config: RouterConfig): string[] {
  const { http } = config;
  if (http === null || http.kind === 'unix') return [];
  if (http.host !== null && /^(127\.|localhost$|::1$)/.test(http.host)) return [];
  return ['--http-addr: the control API has no authentication and is not bound to loopback'];
}

const SECRET_OPTIONS = new Set(['password', 'token']);

function describeGiven(settings: readonly Setting[], peers: readonly string[]): string {
  const last = new Map(settings.map((setting) => [setting.option, setting.value]));
  const words = [...last].map(([option, value]) =>
    SECRET_OPTIONS.has(option) ? `${option}=<redacted>` : `${option}=${value}`,
  );
  return [...words, ...peers].join(' ');
}

function helpText(): string {
  const lines = Object.entries(optionSpecs).map(([name, spec]) => {
    const left = `  --${name}${spec.switch ? '' : ` ${spec.default === '' ? "''" : spec.default}`}`;
    const env = spec.env === undefined ? '' : ` [${spec.env}]`;
    return `${left.padEnd(40)} ${spec.meaning}${env}\n`;
  });
  return `Usage: weaver [OPTION...] [PEER...]\n\n${lines.join('')}`;
}
