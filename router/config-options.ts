/**
 * The options of the daemon in one table: how each is written, what it may hold, where else it can
 * come from, and what is to be said about those whose part this version does not have.
 * Source: reference/cli.md 6, 7.
 */
import { z } from 'zod';
import { errorText } from '../core/errors.js';
import { type Cidr, networkOf, parseCidr, parseIpv4 } from '../core/ip.js';
import { BASE_PORT, DEFAULT_CONNECTION_LIMIT, DEFAULT_MTU } from '../core/limits.js';
import { parseListenAddress } from '../core/listen-address.js';
import { type PeerName, parsePeerName } from '../core/peer-name.js';
import { MAX_QUEUES } from '../fastdp/io/messages.js';
import { CIPHERS, type Cipher } from '../mesh/peer/ciphers.js';
import {
  DEFAULT_CONFIG_PATH,
  DEFAULT_DB_PREFIX,
  DEFAULT_HTTP_ADDRESS,
  DEFAULT_SOCKET_PATH,
  DEFAULT_STATUS_ADDRESS,
} from './api-types.js';
import { DEFAULT_REKEY_INTERVAL, parseRekeyInterval } from './data-plane-options.js';
import {
  DEFAULT_DNS_DOMAIN,
  MAX_DNS_TTL_S,
  parseDnsAllowed,
  parseDnsDomain,
  parseDnsListenAddress,
  parseDnsTimeout,
  parseNameMatch,
} from './dns-options.js';
import {
  DEFAULT_IPALLOC_RANGE,
  parseIpamInit,
  parseOptionalSubnet,
  parseReclaimAfter,
} from './ipam-options.js';

export type LogLevel = 'debug' | 'info' | 'warning' | 'error';

/** Turns text into a value or an issue with what is expected. */
function text<T>(expected: string, parse: (value: string) => T | undefined) {
  return z.string().transform((value, context): T => {
    let parsed: T | undefined;
    try {
      parsed = parse(value);
    } catch {
      parsed = undefined;
    }
    if (parsed !== undefined) return parsed;
    context.addIssue(`expected ${expected}, got "${value.slice(0, 100)}"`);
    return z.NEVER;
  });
}

/** For parsers whose own words say what is wrong. */
function checked<T>(parse: (value: string) => T) {
  return z.string().transform((value, context): T => {
    try {
      return parse(value);
    } catch (error) {
      context.addIssue(errorText(error));
      return z.NEVER;
    }
  });
}

const integer = (min: number, max: number, orZero = false) =>
  text(`${orZero ? '0 or ' : ''}a number from ${min} to ${max}`, (value) => {
    if (!/^\d{1,9}$/.test(value)) return undefined;
    const number = Number(value);
    return (orZero && number === 0) || (number >= min && number <= max) ? number : undefined;
  });

const onOff = text('true or false', (value) => {
  if (/^(1|t|true)$/i.test(value)) return true;
  return /^(0|f|false)$/i.test(value) ? false : undefined;
});

const anything = text('text', (value) => value);
const path = text('a path', (value) => (value === '' || value.includes('\0') ? undefined : value));

const oneOf = <const T extends readonly string[]>(values: T) =>
  text<T[number]>(`one of ${values.join(', ')}`, (value) => values.find((v) => v === value));

const listenAddress = text('host:port, :port, an absolute path or nothing', parseListenAddress);

const trustedSubnets = text<readonly Cidr[]>(
  'networks like 10.1.0.0/16 separated by commas',
  (value) =>
    value
      .split(',')
      .filter((part) => part.trim() !== '')
      .map((part) => networkOf(parseCidr(part.trim()))),
);

const ciphers = text<readonly Cipher[]>(
  `one or more of ${CIPHERS.join(', ')} separated by commas`,
  (value) => {
    const names = value.split(',').map((name) => name.trim());
    const isKnown = names.every((name) => CIPHERS.some((cipher) => cipher === name));
    return isKnown ? CIPHERS.filter((cipher) => names.includes(cipher)) : undefined;
  },
);

const engineSockets = text<readonly string[]>(
  'Unix sockets like unix:///var/run/docker.sock separated by commas, or nothing',
  (value) => {
    const paths = value.split(',').map((part) => part.trim().replace(/^unix:\/\//, ''));
    const given = paths.filter((part) => part !== '');
    return given.every((part) => part.startsWith('/')) ? given : undefined;
  },
);

const printable = (value: string): boolean => !/[\p{Cc}\u2028\u2029]/u.test(value);

/** What each option holds. The input is always text; a switch holds `true` or `false`. */
export const optionSchemas = {
  version: onOff,
  help: onOff,
  'print-peer-name': onOff,
  'check-config': onOff,
  'take-over': onOff,
  config: path,
  host: text('an IPv4 address or nothing', (value) => {
    if (value !== '') parseIpv4(value);
    return value === '' ? null : value;
  }),
  // One below the top, since the port above belongs to the fast data path.
  port: integer(1, 65534),
  'min-protocol-version': text('1 or 2', (value) => ({ '1': 1, '2': 2 })[value] as 1 | 2),
  'max-protocol-version': text('1 or 2', (value) => ({ '1': 1, '2': 2 })[value] as 1 | 2),
  name: text<PeerName | null>('six hex groups like 82:00:00:00:00:01', (value) =>
    value === '' ? null : parsePeerName(value),
  ),
  nickname: text('a printable text of at most 255 bytes', (value) =>
    Buffer.byteLength(value) <= 255 && printable(value) ? value : undefined,
  ),
  password: anything,
  'password-file': anything,
  'trusted-subnets': trustedSubnets,
  cipher: ciphers,
  'no-discovery': onOff,
  'no-masq-local': onOff,
  discovery: oneOf(['gossip', 'multicast']),
  resume: onOff,
  'conn-limit': integer(0, 100_000),
  'http-addr': listenAddress,
  'status-addr': listenAddress,
  'metrics-addr': listenAddress,
  socket: text('an absolute path or nothing', (value) =>
    value === '' || value.startsWith('/') ? value : undefined,
  ),
  'weave-bridge': text('an interface name of 1 to 15 characters', (value) =>
    /^[^\s/:]{1,15}$/.test(value) && value !== '.' && value !== '..' ? value : undefined,
  ),
  mtu: integer(576, 65535, true),
  'db-prefix': path,
  'host-root': anything,
  'proc-path': path,
  'log-level': oneOf(['debug', 'info', 'warning', 'error']),
  'log-format': oneOf(['text', 'json']),
  'no-gso': onOff,
  'no-gro': onOff,
  'no-vnet-hdr': onOff,
  'no-uring': onOff,
  'fastdp-queues': integer(1, MAX_QUEUES),
  'rekey-interval': checked(parseRekeyInterval),
  'no-busy-poll': onOff,
  'no-fastdp': onOff,
  'no-bridged-fastdp': onOff,
  'no-dns': onOff,
  'dns-domain': checked(parseDnsDomain),
  'dns-listen-address': checked(parseDnsListenAddress),
  'dns-ttl': integer(0, MAX_DNS_TTL_S),
  'dns-fallback-timeout': checked(parseDnsTimeout),
  'dns-allow': checked(parseDnsAllowed),
  'resolv-conf': text('an absolute path or nothing', (value) =>
    value === '' || value.startsWith('/') ? value : undefined,
  ),
  'hostname-from-label': anything,
  'hostname-match': checked(parseNameMatch),
  'hostname-replacement': anything,
  'ipalloc-range': checked(parseOptionalSubnet),
  'ipalloc-default-subnet': checked(parseOptionalSubnet),
  'ipalloc-init': checked(parseIpamInit),
  'ipalloc-reclaim-after': checked(parseReclaimAfter),
  'ipalloc-allow-overlap': onOff,
  'docker-api': engineSockets,
} as const;

export type OptionName = keyof typeof optionSchemas;
export type OptionValues = { readonly [K in OptionName]: z.output<(typeof optionSchemas)[K]> };

export interface OptionSpec {
  readonly switch: boolean;
  readonly default: string;
  readonly meaning: string;
  /** Environment variable that gives it; empty counts as absent. */
  readonly env?: string;
}

const value = (fallback: string, meaning: string, env?: string): OptionSpec => ({
  switch: false,
  default: fallback,
  meaning,
  ...(env === undefined ? {} : { env }),
});
const flag = (meaning: string, env?: string): OptionSpec => ({
  ...value('false', meaning, env),
  switch: true,
});

const DEFAULT_ENGINES = 'unix:///var/run/docker.sock,unix:///run/podman/podman.sock';

/** Order of the help text. */
export const optionSpecs: { readonly [K in OptionName]: OptionSpec } = {
  help: flag('print this list'),
  version: flag('print the version'),
  'print-peer-name': flag('print the name this router would use'),
  config: value(DEFAULT_CONFIG_PATH, 'configuration file', 'WEAVE_CONFIG'),
  'check-config': flag('check options and configuration file, start nothing'),
  'take-over': flag('replace the router that runs on this host, at the last moment'),
  host: value('', 'address to bind for peers (all)'),
  port: value(String(BASE_PORT), 'TCP control and UDP data port', 'WEAVE_PORT'),
  'min-protocol-version': value('1', 'oldest protocol version to speak'),
  'max-protocol-version': value('2', 'newest protocol version to speak'),
  name: value('', 'peer name in MAC form (derived from this host)'),
  nickname: value('', 'name for people (host name)'),
  password: value('', 'network password; better given by file', 'WEAVE_PASSWORD'),
  'password-file': value('', 'file that holds the password', 'WEAVE_PASSWORD_FILE'),
  'trusted-subnets': value('', 'networks whose connections need no data encryption'),
  cipher: value(CIPHERS.join(','), 'ciphers accepted for data', 'WEAVE_CIPHER'),
  'no-discovery': flag('connect to the given peers only'),
  'no-masq-local': flag('outside traffic to workloads of this host keeps its source address'),
  discovery: value(
    'gossip',
    'or multicast: also find routers of the local network',
    'WEAVE_DISCOVERY',
  ),
  resume: flag('use the peers stored at the last run'),
  'conn-limit': value(String(DEFAULT_CONNECTION_LIMIT), 'most connections, 0 = no limit'),
  'http-addr': value(DEFAULT_HTTP_ADDRESS, 'control API, empty = off', 'WEAVE_HTTP_ADDR'),
  'status-addr': value(DEFAULT_STATUS_ADDRESS, 'status API, empty = off', 'WEAVE_STATUS_ADDR'),
  'metrics-addr': value('', 'listener for /metrics alone', 'WEAVE_METRICS_ADDR'),
  socket: value(DEFAULT_SOCKET_PATH, 'root-only control socket, empty = off', 'WEAVE_SOCKET'),
  'weave-bridge': value('weave', 'bridge of the workloads'),
  mtu: value('0', `MTU of the bridge, 0 = as it is, ${DEFAULT_MTU} if new`, 'WEAVE_MTU'),
  'db-prefix': value(DEFAULT_DB_PREFIX, 'database file without "data.db"'),
  'host-root': value('', "where the host's /etc/machine-id is"),
  'proc-path': value('/proc', 'where kernel parameters are written'),
  'log-level': value('info', 'debug, info, warning or error'),
  'log-format': value('text', 'text or json'),
  'no-gso': flag('nothing large is cut later: UDP_SEGMENT, TCP frames of the TAP', 'WEAVE_NO_GSO'),
  'no-gro': flag('nothing is joined on its way in: UDP_GRO, TCP frames', 'WEAVE_NO_GRO'),
  'no-vnet-hdr': flag(
    'plain frames at the TAP: no large ones, checksums filled in',
    'WEAVE_NO_VNET_HDR',
  ),
  'no-uring': flag('plain system calls instead of io_uring', 'WEAVE_NO_URING'),
  'fastdp-queues': value('1', 'threads and device queues for data', 'WEAVE_FASTDP_QUEUES'),
  'rekey-interval': value(
    DEFAULT_REKEY_INTERVAL,
    'how often keys for data change at least',
    'WEAVE_REKEY_INTERVAL',
  ),
  'no-busy-poll': flag(
    'sleep at once when no packet waits: less processor time, longer round trips',
    'WEAVE_NO_BUSY_POLL',
  ),
  'no-fastdp': flag('accepted: the kernel data path is not used', 'WEAVE_NO_FASTDP'),
  'no-bridged-fastdp': flag('accepted, likewise', 'WEAVE_NO_BRIDGED_FASTDP'),
  'no-dns': flag('no name service: neither names nor a DNS server'),
  'dns-domain': value(DEFAULT_DNS_DOMAIN, 'domain of the names'),
  'dns-listen-address': value('0.0.0.0:53', 'where DNS is served, UDP and TCP'),
  'dns-ttl': value('1', 'how long answers may be remembered, seconds'),
  'dns-fallback-timeout': value('5s', 'how long a resolver of this host may take'),
  'dns-allow': value('', 'networks that may ask, beside those of this host'),
  'resolv-conf': value('/etc/resolv.conf', 'resolvers for other names, empty = none'),
  'hostname-from-label': value('', 'label of containers that holds their name'),
  'hostname-match': value('(.*)', 'expression that names of containers are matched with'),
  'hostname-replacement': value('$1', 'what they become'),
  'ipalloc-range': value(
    DEFAULT_IPALLOC_RANGE,
    'network that addresses are allocated from, empty = off; the same on all peers',
    'WEAVE_IPALLOC_RANGE',
  ),
  'ipalloc-default-subnet': value('', 'network for requests that name none (the whole range)'),
  'ipalloc-init': value('consensus', 'consensus[=PEERS], seed=NAME,..., or observer'),
  'ipalloc-reclaim-after': value('0', 'unreachable for so long, a peer loses its range; 0 = never'),
  'ipalloc-allow-overlap': flag('start although a route of this host lies in the range'),
  'docker-api': value(DEFAULT_ENGINES, 'Unix sockets of container engines, empty = do not ask any'),
};

/** Options of the original whose part is missing: the router starts and says so, or refuses. */
export interface AbsentOption {
  readonly switch: boolean;
  /** Refuse to start: going on would give something else than was asked for. */
  readonly refuse: boolean;
  readonly sentence: string;
}

const warnOn = (sentence: string, names: readonly string[], isSwitch = false) =>
  names.map((name): [string, AbsentOption] => [
    name,
    { switch: isSwitch, refuse: false, sentence },
  ]);

const PROXY = 'there is no Docker API proxy in this version; the option has no effect';
const PLUGIN = 'there is no Docker plugin in this version; use weave attach';
const DISCOVERY = 'there is no peer discovery service; name peers on the command line';

export const absentOptions: ReadonlyMap<string, AbsentOption> = new Map([
  ...warnOn('use --ipalloc-range instead; the option has no effect', ['iprange']),
  ...warnOn('rules for the Docker bridge are not laid by this version', ['docker-bridge']),
  ...warnOn('the kernel data path is not used; frames go through a TAP device', ['datapath']),
  ...warnOn('frames are captured by a TAP device, which has no such buffer', ['bufsz']),
  ...warnOn('weave-npc makes its rules itself; the option has no effect', ['expect-npc'], true),
  ...warnOn('frames are counted by reason and not logged one by one', ['pkt-debug'], true),
  ...warnOn('use node --cpu-prof to record a profile', ['profile']),
  ...warnOn(PROXY, ['proxy', 'rewrite-inspect', 'no-default-ipalloc', 'no-rewrite-hosts'], true),
  ...warnOn(PROXY, ['without-dns', 'no-multicast-route', 'tls', 'tlsverify'], true),
  ...warnOn(PROXY, ['H']),
  ...warnOn(PROXY, ['tlscacert', 'tlscert', 'tlskey']),
  ...warnOn(PLUGIN, ['plugin', 'plugin-v2', 'plugin-v2-multicast'], true),
  ...warnOn(PLUGIN, ['plugin-socket', 'plugin-mesh-socket']),
  ...warnOn(DISCOVERY, ['peer-discovery-url', 'advertise-address']),
  ['token', { switch: false, refuse: true, sentence: DISCOVERY }],
  [
    'awsvpc',
    {
      switch: true,
      refuse: true,
      sentence: 'routes in the cloud provider are not managed by this version; leave it out',
    },
  ],
]);
