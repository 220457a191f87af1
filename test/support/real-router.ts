/**
 * Starts a router of the original program in a lab, for tests of compatibility and comparisons.
 * The user says where its binary is; the project neither contains nor builds it.
 */
import type { RouterKind } from './lab-host.js';

/** Environment variable with the path of the original's `weaver` binary. */
export const REAL_ROUTER_VARIABLE = 'WEAVE_REAL_ROUTER';

/**
 * With its allocator the original looks at the namespace of process 1, which must be the host's: so
 * it is started as process 1 of a namespace of its own. Its process id is not the one we see then.
 */
const AS_FIRST_PROCESS = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc'];

export interface RealRouterOptions {
  /** It serves names on 127.0.0.1, without resolvers. */
  readonly names?: boolean;
  /** It is to be given a range. */
  readonly allocates?: boolean;
}

/** @param binary path of the original's `weaver`. Needs the program iptables on this machine. */
export function realRouter(binary: string, options: RealRouterOptions = {}): RouterKind {
  const { names = false, allocates = false } = options;
  const naming = names ? ['--dns-listen-address', '127.0.0.1:53'] : ['--no-dns'];
  return {
    argv: (host, { args = [], peers = [] }) => [
      ...(allocates ? AS_FIRST_PROCESS : []),
      binary,
      ...['--name', host.name, '--nickname', host.nickname, '--port', '6783'],
      ...['--no-fastdp', '--datapath', '', '--docker-api', ''],
      ...naming,
      ...['--db-prefix', `${host.folder}/real`, '--proc-path', '/proc', '--host-root', '/'],
      // Its control API on a Unix socket, like ours, so that a test reaches both the same way.
      ...['--http-addr', host.socketPath],
      ...args,
      ...peers,
    ],
    env: (_host, { password }) => (password ? { WEAVE_PASSWORD: password } : {}),
  };
}
