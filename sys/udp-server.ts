/**
 * A UDP socket that answers: bound to one address of this host, many datagrams in and out by one
 * call each. IPv4. Source: udp(7), ip(7).
 */
import { check, libc } from './libc.js';
import { Memory, SOCKADDR_IN_BYTES } from './memory.js';
import { AF_INET, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK } from './socket.js';
import { ReceiveBatch } from './udp-receive-batch.js';
import { SendBatch } from './udp-send-batch.js';

/** Datagrams by one call. */
const BATCH = 64;
/** Answers over UDP are 1 232 bytes at most unless they come from elsewhere. */
const ANSWER_BYTES = 1536;

/**
 * @param address unsigned 32-bit. @param port 0: any.
 * @returns descriptor, non-blocking; the caller closes it, or hands it to what does.
 * @throws {SysError} `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`, …
 */
export function bindUdp(address: number, port: number): number {
  const kind = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = check(libc.socket(AF_INET, kind, 0), 'socket', 'UDP');
  const memory = new Memory(SOCKADDR_IN_BYTES);
  memory.setSocketAddress(0, address, port);
  try {
    check(libc.bind(fd, memory.address, SOCKADDR_IN_BYTES), 'bind', 'UDP');
  } catch (error) {
    libc.close(fd);
    throw error;
  }
  return fd;
}

/**
 * @param message only valid during the call. @param sourceIp signed 32-bit.
 */
export type UdpQueryHandler = (message: Buffer, sourceIp: number, sourcePort: number) => void;

export class UdpServerBatch {
  readonly #receive: ReceiveBatch;
  readonly #send: SendBatch;
  readonly #received: Buffer;
  readonly #answers = new Memory(BATCH * ANSWER_BYTES);

  /** @param fd stays the caller's. */
  constructor(fd: number) {
    this.#receive = new ReceiveBatch(fd, BATCH);
    // Answers lie apart, so nothing could be joined.
    this.#send = new SendBatch(fd, BATCH, false);
    const { buffer, byteOffset, length } = this.#receive.buffer;
    this.#received = Buffer.from(buffer, byteOffset, length);
  }

  /**
   * Takes what waits in the kernel, at most BATCH datagrams.
   * @returns whether more may wait. An error of the socket shows at its other reader.
   */
  receive(handle: UdpQueryHandler): boolean {
    const count = this.#receive.receive((_buffer, offset, bytes, sourceIp, sourcePort) =>
      handle(this.#received.subarray(offset, offset + bytes), sourceIp, sourcePort),
    );
    return count === BATCH;
  }

  /**
   * Keeps an answer until `flush`; sends what is kept if there is no room.
   * @returns false for one that is too long for this way.
   */
  add(answer: Uint8Array, destIp: number, destPort: number): boolean {
    if (answer.length > ANSWER_BYTES) return false;
    if (this.#send.full) this.flush();
    const at = this.#send.count * ANSWER_BYTES;
    this.#answers.bytes.set(answer, at);
    const length = answer.length;
    this.#send.add(this.#answers.address + at, length, length, destIp, destPort, 0, 0);
    return true;
  }

  /** An answer that can't be sent is one that got lost: the client asks again. */
  flush(): void {
    if (this.#send.count > 0) this.#send.flush(() => {});
  }
}
