/**
 * The TCP side on one address: messages with their length in front, answered in any order
 * (RFC 7766). Whoever does not send or does not read in time is cut off.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { Listener } from './udp-listener.js';

/** Connections of all clients; more are closed at once. */
const MAX_CONNECTIONS = 256;
const MAX_CONNECTIONS_PER_CLIENT = 64;
const FIRST_QUERY_TIMEOUT_MS = 2_000;
const IDLE_TIMEOUT_MS = 8_000;
/** Queries of one connection being answered; the rest waits in the kernel. */
const MAX_OUTSTANDING = 64;

/** @param reply null ends the connection. */
export type TcpHandler = (
  message: Buffer,
  client: string,
  reply: (answer: Buffer | null) => void,
) => void;

/** @throws {Error} with Node's code, e.g. EADDRINUSE. */
export async function listenTcp(
  address: string,
  port: number,
  handle: TcpHandler,
  isServed: (client: string) => boolean,
): Promise<Listener> {
  /** BOUNDED by MAX_CONNECTIONS. */
  const perClient = new Map<string, number>();
  const server = createServer((socket) => {
    const client = socket.remoteAddress ?? '';
    const mine = perClient.get(client) ?? 0;
    if (!isServed(client) || mine >= MAX_CONNECTIONS_PER_CLIENT) {
      socket.destroy();
      return;
    }
    perClient.set(client, mine + 1);
    socket.once('close', () => {
      const rest = (perClient.get(client) ?? 1) - 1;
      if (rest === 0) perClient.delete(client);
      else perClient.set(client, rest);
    });
    serve(socket, client, handle);
  });
  server.maxConnections = MAX_CONNECTIONS;
  const sockets = trackSockets(server);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: address, port, ipv6Only: true, exclusive: true }, () => {
      server.removeListener('error', reject);
      resolve();
    });
  });
  const bound = server.address();
  return {
    port: bound !== null && typeof bound === 'object' ? bound.port : port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** BOUNDED by MAX_CONNECTIONS. */
function trackSockets(server: Server): ReadonlySet<Socket> {
  const sockets = new Set<Socket>();
  server.on('connection', (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  return sockets;
}

function serve(socket: Socket, client: string, handle: TcpHandler): void {
  let received: Buffer = Buffer.alloc(0);
  let outstanding = 0;
  socket.setTimeout(FIRST_QUERY_TIMEOUT_MS, () => {
    // Who waits for a slow answer is not idle.
    if (outstanding === 0 || socket.writableNeedDrain) socket.destroy();
  });
  socket.on('error', () => socket.destroy());
  const reply = (answer: Buffer | null): void => {
    outstanding--;
    if (socket.destroyed) return;
    if (answer === null) {
      socket.destroy();
      return;
    }
    const length = Buffer.allocUnsafe(2);
    length.writeUInt16BE(answer.length);
    socket.write(Buffer.concat([length, answer]));
    takeMessages();
  };
  const takeMessages = (): void => {
    while (outstanding < MAX_OUTSTANDING && !socket.destroyed && !socket.writableNeedDrain) {
      if (received.length < 2) break;
      const end = 2 + received.readUInt16BE(0);
      if (received.length < end) break;
      const message = received.subarray(2, end);
      received = received.subarray(end);
      outstanding++;
      socket.setTimeout(IDLE_TIMEOUT_MS);
      handle(message, client, reply);
    }
    // BOUNDED: while answers are owed nothing more is read than one message needs.
    if (outstanding >= MAX_OUTSTANDING || socket.writableNeedDrain) socket.pause();
    else socket.resume();
  };
  socket.on('data', (chunk: Buffer) => {
    received = received.length === 0 ? chunk : Buffer.concat([received, chunk]);
    takeMessages();
  });
  socket.on('drain', takeMessages);
}
