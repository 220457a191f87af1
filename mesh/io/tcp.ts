/**
 * TCP for the mesh: the listener, dialling, and the table of sockets. It knows nothing of the
 * protocol; bytes, endings and outcomes of dialling go to the handlers given to `listen`.
 */
import { connect, createServer, type Server, type Socket } from 'node:net';
import { errorText } from '../../core/errors.js';
import type { Logger } from '../../core/log.js';
import { formatIpPort, parseIpPort } from '../peer/target-address.js';
import { dialFailure, dialTimeout, listenFailure, type SocketFailure } from './socket-errors.js';
import { TcpSession, WRITE_STALL_MS } from './tcp-session.js';

/** Probes on idle connections; they only help the kernel to notice dead hosts. */
const KEEPALIVE_MS = 15_000;
/** A host that drops our SYNs silently is given up after this. */
export const CONNECT_TIMEOUT_MS = 30_000;
/** Connections the kernel completes for us before we accept them. */
const BACKLOG = 128;

export interface TcpOptions {
  /** Address to listen on and to dial from; empty: all. */
  readonly host: string;
  /** 0: any free one, for tests. */
  readonly port: number;
  readonly connectTimeoutMs?: number;
  readonly stallMs?: number;
}

export interface TcpModules {
  readonly log: Logger;
}

/** Both addresses as `ip:port`. */
export interface TcpEndpoints {
  readonly connId: number;
  readonly localAddr: string;
  readonly remoteAddr: string;
}

export interface TcpHandlers {
  readonly onAccepted: (session: TcpEndpoints) => void;
  readonly onDialed: (session: TcpEndpoints, direct: boolean) => void;
  readonly onDialFailed: (address: string, failure: SocketFailure) => void;
  readonly onBytes: (connId: number, chunk: Uint8Array) => void;
  readonly onWritable: (connId: number) => void;
  readonly onClosed: (connId: number, error: Error | null) => void;
}

export class Tcp {
  readonly #options: TcpOptions;
  readonly #log: Logger;
  #server: Server | null = null;
  #handlers: TcpHandlers | null = null;
  #nextConnId = 1;
  /** BOUNDED by the mesh, which closes what exceeds its limits. */
  readonly #sessions = new Map<number, TcpSession>();
  /** Sockets being connected. BOUNDED by the dialer's targets, one attempt each. */
  readonly #dialling = new Set<Socket>();

  constructor(options: TcpOptions, modules: TcpModules) {
    this.#options = options;
    this.#log = modules.log;
  }

  /** The port in use; the one asked for unless that was 0. */
  get port(): number {
    const address = this.#server?.address();
    return typeof address === 'object' && address !== null ? address.port : this.#options.port;
  }

  /** @throws {WeaveError} `tcp-eaddrinuse` and the like; the object may be used again. */
  async listen(handlers: TcpHandlers): Promise<void> {
    this.#handlers = handlers;
    const { host, port } = this.#options;
    const server = createServer({
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_MS,
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(listenFailure(error, host, port)));
      server.listen({ host: host === '' ? '0.0.0.0' : host, port, backlog: BACKLOG }, resolve);
    });
    server.removeAllListeners('error');
    // Running out of file descriptors and the like: connections are lost, the listener stays.
    server.on('error', (error) => this.#log.warn('accept failed', { error: errorText(error) }));
    server.on('connection', (socket) => this.#handleAccept(socket));
    this.#server = server;
  }

  /** @param address `ip:port` */
  dial(address: string, direct: boolean): void {
    const { host } = this.#options;
    const target = parseIpPort(address);
    if (target === null) {
      const failure = { code: 'address-invalid', text: `dial tcp: address ${address} is invalid` };
      queueMicrotask(() => this.#handlers?.onDialFailed(address, failure));
      return;
    }
    const socket = connect({
      host: target.ip,
      port: target.port,
      noDelay: true,
      keepAlive: true,
      keepAliveInitialDelay: KEEPALIVE_MS,
      ...(host === '' ? {} : { localAddress: host }),
    });
    this.#dialling.add(socket);
    const settle = (outcome: (handlers: TcpHandlers) => void): void => {
      clearTimeout(timer);
      socket.off('connect', onConnect);
      if (this.#dialling.delete(socket) && this.#handlers !== null) outcome(this.#handlers);
    };
    const onConnect = (): void => {
      settle((handlers) => handlers.onDialed(this.#adopt(socket, address), direct));
    };
    const timer = setTimeout(() => {
      settle((handlers) => handlers.onDialFailed(address, dialTimeout(host, address)));
      socket.destroy();
    }, this.#options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS);
    // Stays for good: an error after the attempt was settled finds nothing left to do here.
    socket.on('error', (error) => {
      settle((handlers) => handlers.onDialFailed(address, dialFailure(error, host, address)));
    });
    socket.on('connect', onConnect);
  }

  /** @returns false if the socket is blocked now, until `onWritable`. */
  write(connId: number, bytes: Uint8Array): boolean {
    const session = this.#sessions.get(connId);
    session?.write(bytes);
    return session?.blocked !== true;
  }

  /** After this the connection's handlers are not called any more, but for `onClosed`. */
  close(connId: number, graceful: boolean): void {
    this.#sessions.get(connId)?.close(graceful);
  }

  /** Stops listening and dialling, and ends what is open. Resolves when the listener is gone. */
  async shutDown(): Promise<void> {
    this.stopListening();
    for (const session of [...this.#sessions.values()]) session.close(true);
    const server = this.#server;
    this.#server = null;
    if (server !== null) await new Promise<void>((resolve) => server.close(() => resolve()));
  }

  /** No more connections, neither accepted nor dialled; open ones go on. */
  stopListening(): void {
    for (const socket of this.#dialling) socket.destroy();
    this.#dialling.clear();
    this.#server?.removeAllListeners('connection');
    this.#server?.on('connection', (socket: Socket) => socket.destroy());
  }

  #handleAccept(socket: Socket): void {
    const { remoteAddress, remotePort } = socket;
    // The peer may be gone before we get to look at it.
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy();
      return;
    }
    const remoteAddr = formatIpPort(plainIp(remoteAddress), remotePort);
    this.#handlers?.onAccepted(this.#adopt(socket, remoteAddr));
  }

  #adopt(socket: Socket, remoteAddr: string): TcpEndpoints {
    const connId = this.#nextConnId++;
    const localAddr = formatIpPort(plainIp(socket.localAddress ?? ''), socket.localPort ?? 0);
    const session = new TcpSession(
      { socket, remoteAddr, stallMs: this.#options.stallMs ?? WRITE_STALL_MS },
      {
        onBytes: (chunk) => this.#handlers?.onBytes(connId, chunk),
        onWritable: () => this.#handlers?.onWritable(connId),
        onClosed: (error) => {
          this.#sessions.delete(connId);
          this.#handlers?.onClosed(connId, error);
        },
      },
    );
    this.#sessions.set(connId, session);
    return { connId, localAddr, remoteAddr };
  }
}

/** IPv4 addresses as a dual-stack listener shows them, without the IPv6 prefix. */
function plainIp(ip: string): string {
  return ip.startsWith('::ffff:') && ip.includes('.') ? ip.slice(7) : ip;
}
