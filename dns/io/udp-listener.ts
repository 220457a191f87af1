/**
 * The UDP side on one address. A socket per address answers from the address it was asked at. The
 * library's socket tells that something came; on IPv4 the rest of a burst is taken, and all its
 * answers are sent, by a system call each for up to 64 datagrams.
 */
import { DgramAsPromised } from 'dgram-as-promised';
import { formatIpv4, type Ipv4, parseIpv4 } from '../../core/ip.js';
import { bindUdp, UdpServerBatch } from '../../sys/udp-server.js';

/** Bursts of queries wait here; the kernel grants what net.core.rmem_max allows. */
const RECEIVE_BUFFER_BYTES = 4 * 1024 * 1024;
/** Batches taken before TCP and timers get their turn. */
const BATCHES_PER_TURN = 8;

/** @param message only valid during the call; `reply` may be called later. */
export type UdpHandler = (
  message: Buffer,
  source: { readonly address: string; readonly port: number },
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
 * @throws {Error} with the system's code, e.g. EADDRINUSE.
 */
export async function listenUdp(
  address: string,
  port: number,
  handle: UdpHandler,
  onLost: (error: Error) => void,
): Promise<Listener> {
  const isIpv6 = address.includes(':');
  // The library closes the descriptor that it is given.
  const fd = isIpv6 ? null : bindUdp(parseIpv4(address), port);
  const promised = DgramAsPromised.createSocket({
    ...(isIpv6 ? { type: 'udp6', ipv6Only: true } : { type: 'udp4' }),
    // Addresses of clients are numbers already; the default look-up would cost a turn of the loop.
    lookup: (host, _options, done) => done(null, host, host.includes(':') ? 6 : 4),
  });
  const { socket } = promised;
  const bound = await promised.bind(
    fd === null ? { address, port, exclusive: true } : { fd, exclusive: true },
  );
  try {
    socket.setRecvBufferSize(RECEIVE_BUFFER_BYTES);
  } catch {
    // What the kernel gives by itself must do.
  }
  let isOpen = true;
  const close = (): Promise<void> => {
    isOpen = false;
    return promised.close().catch(() => {});
  };
  socket.on('error', (error) => {
    void close();
    onLost(error);
  });
  const sendSingly = (answer: Buffer, clientPort: number, client: string): void => {
    if (isOpen) socket.send(answer, clientPort, client, ignoreFailure);
  };
  const batch = fd === null ? null : new UdpServerBatch(fd);
  // Not `recv`, which listens anew for each datagram and loses those between.
  if (batch === null) {
    socket.on('message', (message, source) => {
      handle(message, source, (answer) => sendSingly(answer, source.port, source.address));
    });
  } else {
    let isBurst = false;
    const take = (message: Buffer, sourceIp: number, sourcePort: number): void => {
      const client = formatIpv4((sourceIp >>> 0) as Ipv4);
      handle(message, { address: client, port: sourcePort }, (answer) => {
        // A closed socket's number may be somebody else's by now.
        if (!isOpen) return;
        if (!batch.add(answer, sourceIp, sourcePort)) sendSingly(answer, sourcePort, client);
        else if (!isBurst) batch.flush();
      });
    };
    socket.on('message', (message, source) => {
      isBurst = true;
      take(message, parseIpv4(source.address), source.port);
      for (let i = 0; i < BATCHES_PER_TURN && isOpen && batch.receive(take); i++) batch.flush();
      isBurst = false;
      if (isOpen) batch.flush();
    });
  }
  return { port: bound.port, close };
}
