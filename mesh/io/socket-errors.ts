/**
 * Socket errors in the words that users of the original know and search for, e.g.
 * `dial tcp :0->192.0.2.1:6783: connect: connection refused` (reference/http-api.md 7).
 */
import { WeaveError } from '../../core/errors.js';

/** Linux's own wording of what sockets report, by Node's error code. */
const TEXTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection reset by peer',
  ECONNABORTED: 'software caused connection abort',
  EHOSTUNREACH: 'no route to host',
  EHOSTDOWN: 'host is down',
  ENETUNREACH: 'network is unreachable',
  ENETDOWN: 'network is down',
  ETIMEDOUT: 'connection timed out',
  EPIPE: 'broken pipe',
  EADDRNOTAVAIL: 'cannot assign requested address',
  EADDRINUSE: 'address already in use',
  EACCES: 'permission denied',
  EPERM: 'operation not permitted',
  EMFILE: 'too many open files',
  ENFILE: 'too many open files in system',
  ENOBUFS: 'no buffer space available',
  EINVAL: 'invalid argument',
};

export interface SocketFailure {
  /** Kebab-case and stable, e.g. `tcp-econnrefused`. */
  readonly code: string;
  readonly text: string;
}

/** @param localHost the address we dial from; empty if the kernel chooses. */
export function dialFailure(error: Error, localHost: string, address: string): SocketFailure {
  const local = localHost.includes(':') ? `[${localHost}]:0` : `${localHost}:0`;
  const { code, words } = describe(error);
  return { code, text: `dial tcp ${local}->${address}: connect: ${words}` };
}

/** The attempt took longer than we wait. */
export function dialTimeout(localHost: string, address: string): SocketFailure {
  const error = Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' });
  return dialFailure(error, localHost, address);
}

/** The listener could not be opened. */
export function listenFailure(error: Error, host: string, port: number): WeaveError {
  const { code, words } = describe(error);
  const hint =
    code === 'tcp-eaddrinuse' ? ' (does another Weave router run on this host already?)' : '';
  return new WeaveError(code, `listen tcp ${host}:${port}: bind: ${words}${hint}`, {
    cause: error,
  });
}

function describe(error: Error): { code: string; words: string } {
  const code = (error as NodeJS.ErrnoException).code;
  if (typeof code !== 'string') return { code: 'tcp-error', words: error.message };
  return {
    code: `tcp-${code.toLowerCase().replaceAll('_', '-')}`,
    words: TEXTS[code] ?? error.message,
  };
}
