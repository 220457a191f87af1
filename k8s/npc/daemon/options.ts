/**
 * What the controller was asked to do, with the original's names where it had them. Each option
 * may also come from the environment, as the manifests of the original set it.
 * Source: reference/network-policy.md 2.
 */
import yargs from 'yargs';
import { ConfigError } from '../../../core/errors.js';
import { type ListenAddress, parseListenAddress } from '../../../core/listen-address.js';
import { DEFAULT_NPC_SOCKET_PATH } from '../../../router/api-types.js';

export type NpcLogLevel = 'debug' | 'info' | 'warning' | 'error';

export interface NpcConfig {
  readonly nodeName: string;
  /** null: off. */
  readonly metrics: ListenAddress | null;
  readonly socketPath: string | null;
  readonly logLevel: NpcLogLevel;
  readonly logFormat: 'text' | 'json';
  readonly bridge: string;
  readonly allowMulticast: boolean;
  /** ClusterNetworkPolicy is followed, too. */
  readonly clusterPolicies: boolean;
  /** Of a kubeconfig; null: the service account of the pod. */
  readonly kubeconfig: string | null;
  /** A URL without credentials, for tests and proxies; null: by one of the above. */
  readonly apiServer: string | null;
}

export type NpcStart =
  | {
      readonly kind: 'run';
      readonly config: NpcConfig;
      /** Sentences for the log. */
      readonly warnings: readonly string[];
    }
  | {
      readonly kind: 'exit';
      readonly code: number;
      readonly stdout: string;
      readonly stderr: string;
    };

export interface NpcInput {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly version: string;
}

export const DEFAULT_NPC_METRICS = ':6781';
const OPTION_EXIT_CODE = 125;
const BAD_INPUT_EXIT_CODE = 2;
const LEVELS: readonly NpcLogLevel[] = ['debug', 'info', 'warning', 'error'];

const SPECS = {
  'node-name': ['', 'name of this node in the cluster [HOSTNAME]'],
  'metrics-addr': [DEFAULT_NPC_METRICS, 'address of the metrics; empty is off'],
  socket: [DEFAULT_NPC_SOCKET_PATH, 'root-only socket for weave status npc; empty is off'],
  'log-level': ['info', 'debug, info, warning or error'],
  'log-format': ['text', 'text or json'],
  'allow-mcast': ['true', 'multicast passes whatever the policies say'],
  'cluster-network-policy': ['false', 'ClusterNetworkPolicy (v1alpha2) is enforced, too'],
  bridge: ['weave', 'bridge that the pods are on'],
  'bridge-port-name': ['vethwe-bridge', 'accepted for compatibility: pods are told by address'],
  kubeconfig: ['', 'file with the API server and credentials; empty: the service account'],
  'api-server': ['', 'URL of an API server that asks for no credentials'],
  'max-list-size': ['1024', 'accepted for compatibility: there is no such limit here'],
} as const satisfies Readonly<Record<string, readonly [string, string]>>;

type Name = keyof typeof SPECS;
const NAMES = Object.keys(SPECS) as Name[];
const SWITCHES: ReadonlySet<Name> = new Set(['allow-mcast', 'cluster-network-policy']);

export function interpretNpcStart(input: NpcInput): NpcStart {
  let values: Readonly<Record<Name, string>>;
  let asked: { readonly help: boolean; readonly version: boolean };
  try {
    ({ values, ...asked } = parseArguments(input.argv));
  } catch (error) {
    const text = `${(error as Error).message}\nSee 'weave-npc --help'.\n`;
    return { kind: 'exit', code: OPTION_EXIT_CODE, stdout: '', stderr: text };
  }
  if (asked.help) return { kind: 'exit', code: 0, stdout: helpText(), stderr: '' };
  if (asked.version) {
    return { kind: 'exit', code: 0, stdout: `weave-npc ${input.version}\n`, stderr: '' };
  }
  const errors: ConfigError[] = [];
  const config = buildConfig(values, input.env, errors);
  if (config === null) {
    const stderr = errors.map(({ message }) => `${message}\n`).join('');
    return { kind: 'exit', code: BAD_INPUT_EXIT_CODE, stdout: '', stderr };
  }
  const warnings: string[] = [];
  if (values['max-list-size'] !== SPECS['max-list-size'][0]) {
    warnings.push('--max-list-size has no effect: a selector holds any number of namespaces');
  }
  if (values['bridge-port-name'] !== SPECS['bridge-port-name'][0]) {
    warnings.push('--bridge-port-name has no effect: pods are told by their addresses');
  }
  return { kind: 'run', config, warnings };
}

function parseArguments(argv: readonly string[]): {
  readonly values: Readonly<Record<Name, string>>;
  readonly help: boolean;
  readonly version: boolean;
} {
  const parsed = yargs([...argv])
    .help(false)
    .version(false)
    .detectLocale(false)
    .exitProcess(false)
    .parserConfiguration({
      'boolean-negation': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'parse-numbers': false,
      'duplicate-arguments-array': false,
    })
    .string(NAMES)
    .boolean(['help', 'version'])
    .strict()
    .fail((message: string | null, error: Error | undefined) => {
      throw new Error(message ?? error?.message ?? 'wrong options');
    })
    .parseSync() as Record<string, unknown>;
  const values = NAMES.map((name): [Name, string] => {
    const given = parsed[name];
    // `--allow-mcast` without a value, as a Go program takes it, means true.
    if (SWITCHES.has(name) && given === '') return [name, 'true'];
    return [name, given === undefined ? SPECS[name][0] : String(given)];
  });
  return {
    values: Object.fromEntries(values) as Record<Name, string>,
    help: parsed['help'] === true,
    version: parsed['version'] === true,
  };
}

function buildConfig(
  values: Readonly<Record<Name, string>>,
  env: Readonly<Record<string, string | undefined>>,
  errors: ConfigError[],
): NpcConfig | null {
  const check = <T>(name: Name, expected: string, parse: (text: string) => T | undefined): T => {
    const value = parse(values[name]);
    if (value === undefined) {
      const got = values[name].slice(0, 100);
      errors.push(new ConfigError(`--${name}`, `expected ${expected}, got "${got}"`));
    }
    return value as T;
  };
  const nodeName = values['node-name'] || (env['HOSTNAME'] ?? '');
  if (nodeName === '') {
    errors.push(new ConfigError('--node-name', 'is needed where HOSTNAME is not set'));
  }
  const device = (text: string): string | undefined =>
    /^[^\s/"\\]{1,15}$/.test(text) ? text : undefined;
  const config: NpcConfig = Object.freeze({
    nodeName,
    metrics: check('metrics-addr', '[HOST]:PORT', parseMetricsAddress),
    socketPath: check('socket', 'an absolute path', parsePath),
    logLevel: check('log-level', LEVELS.join(', '), (text) =>
      LEVELS.find((level) => level === text || (level === 'warning' && text === 'warn')),
    ),
    logFormat: check('log-format', 'text or json', (text) =>
      text === 'text' || text === 'json' ? text : undefined,
    ),
    bridge: check('bridge', 'the name of an interface', device),
    allowMulticast: check('allow-mcast', 'true or false', parseSwitch),
    clusterPolicies: check('cluster-network-policy', 'true or false', parseSwitch),
    kubeconfig: check('kubeconfig', 'an absolute path', parsePath),
    apiServer: check('api-server', 'an http or https URL', parseServer),
  });
  if (config.apiServer !== null && config.kubeconfig !== null) {
    errors.push(new ConfigError('--api-server', 'must not be given together with --kubeconfig'));
  }
  return errors.length > 0 ? null : config;
}

const parseMetricsAddress = (text: string): ListenAddress | null | undefined => {
  const address = parseListenAddress(text);
  return address?.kind === 'unix' ? undefined : address;
};

const parsePath = (text: string): string | null | undefined =>
  text === '' ? null : /^\/[^\0]{1,200}$/.test(text) ? text : undefined;

const parseSwitch = (text: string): boolean | undefined =>
  /^(true|t|1)$/i.test(text) ? true : /^(false|f|0)$/i.test(text) ? false : undefined;

function parseServer(text: string): string | null | undefined {
  if (text === '') return null;
  if (!URL.canParse(text)) return undefined;
  const { protocol, username, password } = new URL(text);
  return /^https?:$/.test(protocol) && username === '' && password === '' ? text : undefined;
}

function helpText(): string {
  const lines = NAMES.map((name) => {
    const [value, meaning] = SPECS[name];
    return `  ${`--${name} ${value === '' ? "''" : value}`.padEnd(36)} ${meaning}\n`;
  });
  return `Usage: weave-npc [OPTION...]\n\n${lines.join('')}`;
}
