/**
 * What the container of a node was asked to do: environment variables of the original, turned into
 * options of the router and settings of the set-up. The password stays in the environment, where
 * the router takes it from; it never becomes an argument.
 * Source: reference/kubernetes.md 4, 5.
 */
import { z } from 'zod';
import { ConfigError } from '../../core/errors.js';
import { parseCidr } from '../../core/ip.js';
import { canParse } from '../../core/text.js';
import { DEFAULT_HTTP_ADDRESS, DEFAULT_SOCKET_PATH } from '../../router/api-types.js';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface NodeSettings {
  readonly nodeName: string;
  /** Where the host's file system is mounted. */
  readonly hostRoot: string;
  readonly socketPath: string;
  /** The router's `--db-prefix`. */
  readonly dbPrefix: string;
  /** CIDR of the bridge; null: the allocator chooses. */
  readonly exposeCidr: string | null;
  /** The plugin is installed only when the policy controller has laid its rules. */
  readonly expectNpc: boolean;
  readonly hairpin: boolean;
  /** Clients from outside keep their addresses on their way to pods of this node. */
  readonly noMasqLocal: boolean;
  /** Peers to call; null: ask the API server. */
  readonly peers: readonly string[] | null;
  /** null: by the number of peers. */
  readonly ipallocInit: string | null;
}

const blank = (text: string | undefined): string => text ?? '';
const words = (text: string): string[] => text.split(/\s+/).filter((word) => word !== '');

const cidrText = z.string().refine(canParse(parseCidr), 'expected an address like 10.32.0.1/12');
const flag = (fallback: boolean) =>
  z
    .string()
    .refine((text) => /^(|0|1|true|false)$/i.test(text), 'expected 0 or 1')
    .transform((text) => (text === '' ? fallback : /^(1|true)$/i.test(text)));

const schema = z.object({
  HOSTNAME: z.string().min(1, 'expected the name of the node').max(253, 'is too long'),
  HOST_ROOT: z.string().transform((text) => text || '/host'),
  WEAVE_SOCKET: z.string().transform((text) => text || DEFAULT_SOCKET_PATH),
  DB_PREFIX: z.string().transform((text) => text || '/weavedb/weave-net'),
  WEAVE_EXPOSE_IP: z.union([z.literal(''), cidrText]).transform((text) => text || null),
  EXPECT_NPC: flag(true),
  HAIRPIN_MODE: flag(true),
  NO_MASQ_LOCAL: flag(true),
  // Set but empty is a list without peers: the first node of a mesh.
  KUBE_PEERS: z.string().transform(words).nullable(),
  IPALLOC_INIT: z.string().transform((text) => text || null),
});

/** @throws {ConfigError} that names the variable. */
export function readSettings(env: Environment): NodeSettings {
  const given = Object.fromEntries(
    Object.keys(schema.shape).map((name) => [
      name,
      name === 'KUBE_PEERS' ? (env[name] ?? null) : blank(env[name]),
    ]),
  );
  const parsed = schema.safeParse(given);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new ConfigError(String(issue?.path[0] ?? 'environment'), issue?.message ?? 'is wrong');
  }
  const { data } = parsed;
  return {
    nodeName: data.HOSTNAME,
    hostRoot: data.HOST_ROOT,
    socketPath: data.WEAVE_SOCKET,
    dbPrefix: data.DB_PREFIX,
    exposeCidr: data.WEAVE_EXPOSE_IP,
    expectNpc: data.EXPECT_NPC,
    hairpin: data.HAIRPIN_MODE,
    noMasqLocal: data.NO_MASQ_LOCAL,
    peers: data.KUBE_PEERS,
    ipallocInit: data.IPALLOC_INIT,
  };
}

/**
 * Arguments of `weaver`. Variables that it reads itself (WEAVE_PASSWORD, WEAVE_MTU …) are left to
 * it.
 * @param peers null: the API server does not answer; those of the last run are called.
 */
export function routerArguments(
  env: Environment,
  settings: NodeSettings,
  peers: readonly string[] | null,
): string[] {
  const option = (name: string, value: string): string[] => [`--${name}`, value];
  const init = settings.ipallocInit ?? (peers === null ? '' : `consensus=${peers.length + 1}`);
  return [
    '--take-over',
    '--no-dns',
    ...option('nickname', settings.nodeName),
    ...option('host-root', settings.hostRoot),
    ...option('db-prefix', settings.dbPrefix),
    ...option('socket', settings.socketPath),
    ...option('docker-api', ''),
    ...option('http-addr', blank(env['WEAVE_HTTP_ADDR']) || DEFAULT_HTTP_ADDRESS),
    ...option('metrics-addr', blank(env['WEAVE_METRICS_ADDR']) || '0.0.0.0:6782'),
    ...option('status-addr', blank(env['WEAVE_STATUS_ADDR'])),
    ...option('conn-limit', blank(env['CONN_LIMIT']) || '200'),
    ...option('ipalloc-range', blank(env['IPALLOC_RANGE']) || '10.32.0.0/12'),
    ...(settings.noMasqLocal ? ['--no-masq-local'] : []),
    ...(init === '' ? [] : option('ipalloc-init', init)),
    ...words(blank(env['EXTRA_ARGS'])),
    ...(peers ?? ['--resume']),
  ];
}
