/**
 * Sockets of a daemon's API: TCP, and Unix sockets that only their owner may open.
 * Source: reference/http-api.md 1; unix(7).
 */
import { chmodSync, existsSync, mkdirSync, unlinkSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import { connect, Socket } from 'node:net';
import { dirname } from 'node:path';
import { errorCode, WeaveError } from '../errors.js';
import type { ListenAddress } from '../listen-address.js';

/** Connections beyond this are refused by the kernel's backlog or closed at once. */
const MAX_CONNECTIONS = 256;
/** For the whole request with its body. Answers may take longer. */
const REQUEST_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_TIMEOUT_MS = 5_000;
const PROBE_TIMEOUT_MS = 1_000;

export interface Listening {
  /** The address in the form of the option, with the real port if 0 was asked for. */
  readonly address: string;
  close(): Promise<void>;
}

/**
 * @param onMalformed called for each request that is no HTTP or came too slowly.
 * @throws {WeaveError} `listen-failed` with the option's value and the cause.
 */
export async function listen(
  address: ListenAddress,
  handle: RequestListener,
  onMalformed: (code: string) => void,
): Promise<Listening> {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, handle);
  server.headersTimeout = REQUEST_TIMEOUT_MS;
  server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
  server.maxConnections = MAX_CONNECTIONS;
  server.on('clientError', (error: Error & { code?: string }, socket) => {
    onMalformed(error.code ?? 'unknown');
    const status = error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? '408 Request Timeout' : null;
    // Not only ended: one that never closes its side would keep its place among the connections.
    if (socket.writable) socket.write(`HTTP/1.1 ${status ?? '400 Bad Request'}\r\n\r\n`);
    if (socket instanceof Socket) socket.destroySoon();
    else socket.destroy();
  });
  const shown = addressText(address);
  try {
    if (address.kind === 'unix') await bindUnix(server, address.path);
    else await bindTcp(server, address.host, address.port);
  } catch (error) {
    if (error instanceof WeaveError) throw error;
    const code = errorCode(error);
    const cause = code === 'EADDRINUSE' ? 'something else listens there' : code;
    throw new WeaveError('listen-failed', `can't listen on ${shown}: ${cause}`);
  }
  const bound = server.address();
  const port = bound !== null && typeof bound === 'object' ? bound.port : 0;
  return {
    address: address.kind === 'unix' ? address.path : addressText({ ...address, port }),
    close: () =>
      new Promise((resolve) => {
        // Removes the socket file, too.
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function addressText(address: ListenAddress): string {
  if (address.kind === 'unix') return address.path;
  const host = address.host ?? '';
  return `${host.includes(':') ? `[${host}]` : host}:${address.port}`;
}

function bindTcp(server: Server, host: string | null, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, ...(host === null ? {} : { host }) }, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
}

/** A folder that is made here is closed to others; the socket always is. */
async function bindUnix(server: Server, path: string): Promise<void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  if (existsSync(path)) {
    if (await answers(path)) {
      throw new WeaveError('listen-failed', `something else answers on ${path}`);
    }
    unlinkSync(path);
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    // bind(2) happens inside listen(), so that no other code runs under this mask.
    const before = process.umask(0o177);
    try {
      server.listen({ path }, () => {
        server.removeListener('error', reject);
        resolve();
      });
    } finally {
      process.umask(before);
    }
  });
  chmodSync(path, 0o600);
}

/** A socket file without a listener refuses at once. */
function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ path });
    const done = (result: boolean) => (): void => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(PROBE_TIMEOUT_MS, done(true));
    socket.once('connect', done(true));
    socket.once('error', done(false));
  });
}
