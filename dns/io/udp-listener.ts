/** The UDP side on one address. A socket per address answers from the address it was asked at. */
import type { RemoteInfo } from 'node:dgram';
import { DgramAsPromised } from 'dgram-as-promised';

/** Bursts of queries wait here; the kernel grants what net.core.rmem_max allows. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;

/** @param message only valid during the call; `reply` may be called later. */
export type UdpHandler = (
  message: Buffer,
  source: RemoteInfo,
  reply: (answer: Buffer) => void,
) => void;

export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

/** An answer that can't be sent is one that got lost: the client asks again. */
const ignoreFailure = (): void => {};

/**
 * @param onLost the socket failed after it was bound and is closed.
 * @throws {Error} with Node's code, e.g. EADDRINUSE.
 */
export async function listenUdp(
  address: string,
  port: number,
  handle: UdpHandler,
  onLost: (error: Error) => void,
): Promise<Listener> {
  const promised = DgramAsPromised.createSocket({
    ...(address.includes(':') ? { type: 'udp6', ipv6Only: true } : { type: 'udp4' }),
    // Addresses of clients are numbers already; the default look-up would cost a turn of the loop.
    lookup: (host, _options, done) => done(null, host, host.includes(':') ? 6 : 4),
  });
  const { socket } = promised;
  const bound = await promised.bind({ address, port, exclusive: true });
  try {
    socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
  } catch {
    // What the kernel gives by itself must do.
  }
  socket.on('error', (error) => {
    promised.close().catch(() => {});
    onLost(error);
  });
  // Not `recv`, which listens anew for each datagram and loses those between.
  socket.on('message', (message, source) => {
    handle(message, source, (answer) => {
      socket.send(answer, source.port, source.address, ignoreFailure);
    });
  });
  return {
    port: bound.port,
    close: () => promised.close().catch(() => {}),
  };
}
