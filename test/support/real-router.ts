/**
 * Starts a router of the original program in a lab, for tests of compatibility and comparisons.
 * The user says where its binary is; the project neither contains nor builds it.
 */
import type { RouterKind } from './lab-host.js';

/** Environment variable with the path of the original's `weaver` binary. */
export const REAL_ROUTER_VARIABLE = 'WEAVE_REAL_ROUTER';

/**
 * @param binary path of the original's `weaver`. Needs the program iptables on this machine.
 * @param options.names serves names on 127.0.0.1, without resolvers.
 */
export function realRouter(binary: string, options: { readonly names?: boolean } = {}): RouterKind {
  const names = options.names === true ? ['--dns-listen-address', '127.0.0.1:53'] : ['--no-dns'];
  return {
    argv: (host, { args = [], peers = [] }) => [
      binary,
      ...['--name', host.name, '--nickname', host.nickname, '--port', '6783'],
      ...['--no-fastdp', '--datapath', '', '--docker-api', ''],
      ...names,
      ...['--db-prefix', `${host.folder}/real`, '--proc-path', '/proc', '--host-root', '/'],
      // Its control API on a Unix socket, like ours, so that a test reaches both the same way.
      ...['--http-addr', host.socketPath],
      ...args,
      ...peers,
    ],
    env: (_host, { password }) => (password ? { WEAVE_PASSWORD: password } : {}),
  };
}
