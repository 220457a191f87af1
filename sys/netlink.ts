/**
 * A netlink socket: requests and their answers, dumps. The kernel does the work of a request while
 * it is written, so answers lie ready and reading them never waits. A socket stays in the network
 * namespace in which it was opened. Source: netlink(7).
 */
import { DecodeError } from '../core/errors.js';
import { check, declare, Errno, errno, errnoName, libc, sysError } from './libc.js';
import { Memory } from './memory.js';
import {
  type NetlinkMessage,
  type NetlinkWriter,
  NLM_F_ACK_TLVS,
  NLMSG_DONE,
  NLMSG_ERROR,
  parseAttributes,
  parseMessages,
  textOf,
} from './netlink-message.js';
import { SOCK_CLOEXEC, SOCK_RAW, trySetIntOption } from './socket.js';

const AF_NETLINK = 16;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NLMSGERR_ATTR_MSG = 1;
/** Error number and the header of the request, which comes back without its body. */
const ERROR_BYTES = 4 + 16;
/** The kernel never sends more in one piece. */
const RECEIVE_BYTES = 65536;

export const NETLINK_ROUTE = 0;

/** One for all sockets of a thread, since an answer is copied before the next is read. */
const received = new Memory(RECEIVE_BYTES);

interface AsyncWrite {
  async(
    fd: number,
    address: number,
    bytes: number,
    done: (error: unknown, written: number) => void,
  ): void;
}
const write = declare<AsyncWrite>('intptr_t write(int, uintptr_t, size_t)');

export class Netlink {
  readonly #fd: number;
  #sequence = 0;

  /** In the namespace that the calling thread is in. @throws {SysError} */
  constructor(protocol: number) {
    const type = SOCK_RAW | SOCK_CLOEXEC;
    this.#fd = check(libc.socket(AF_NETLINK, type, protocol), 'socket', 'AF_NETLINK');
    // Kernels that lack these give shorter explanations.
    trySetIntOption(this.#fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
    trySetIntOption(this.#fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);
  }

  /**
   * One request with NLM_F_ACK, or a dump.
   * @param what for the error's text.
   * @returns the messages before the end; copies.
   * @throws {SysError} with the kernel's error number and words; the socket is still usable.
   */
  request(writer: NetlinkWriter, what: string): NetlinkMessage[] {
    this.#sequence += 1;
    const bytes = writer.finish(this.#sequence);
    const message = new Memory(bytes.length);
    message.bytes.set(bytes);
    check(libc.write(this.#fd, message.address, bytes.length), 'netlink', what);
    return this.#answers(what);
  }

  /**
   * The same for what takes the kernel long: a thread of the runtime's pool waits for it. No other
   * request of this socket may be made meanwhile, and it must stay open.
   * @throws {SysError} as `request`
   */
  async requestAside(writer: NetlinkWriter, what: string): Promise<NetlinkMessage[]> {
    this.#sequence += 1;
    const bytes = writer.finish(this.#sequence);
    const message = new Memory(bytes.length);
    message.bytes.set(bytes);
    const written = await new Promise((resolve) => {
      // Named in the callback, so that the memory outlives the call.
      write.async(this.#fd, message.address, bytes.length, (_error, count) => {
        resolve(count === message.bytes.length);
      });
    });
    // The number of an error stays with the thread that met it.
    if (written !== true) throw sysError('netlink', what, Errno.EIO);
    return this.#answers(what);
  }

  #answers(what: string): NetlinkMessage[] {
    const answers: NetlinkMessage[] = [];
    for (;;) {
      for (const answer of this.#receive(what)) {
        // Left over from a request that failed half-way through its dump.
        if (answer.sequence !== this.#sequence) continue;
        if (answer.type !== NLMSG_ERROR && answer.type !== NLMSG_DONE) answers.push(answer);
        else return finishAnswers(answers, answer, what);
      }
    }
  }

  close(): void {
    libc.close(this.#fd);
  }

  #receive(what: string): NetlinkMessage[] {
    let bytes = libc.read(this.#fd, received.address, RECEIVE_BYTES);
    while (bytes < 0 && errno() === Errno.EINTR) {
      bytes = libc.read(this.#fd, received.address, RECEIVE_BYTES);
    }
    check(bytes, 'netlink', what);
    return parseMessages(Buffer.from(received.bytes.subarray(0, bytes)));
  }
}

function finishAnswers(
  answers: NetlinkMessage[],
  { type, flags, body }: NetlinkMessage,
  what: string,
): NetlinkMessage[] {
  if (body.length < 4) throw new DecodeError('netlink-message', `${what}: answer without result`);
  const error = -body.readInt32LE(0);
  if (error === 0) return answers;
  // The end of a dump has no header of the request between number and attributes.
  const attributesAt = type === NLMSG_DONE ? 4 : ERROR_BYTES;
  const explained = (flags & NLM_F_ACK_TLVS) !== 0 && body.length > attributesAt;
  const attributes = explained ? parseAttributes(body.subarray(attributesAt)) : null;
  const words = textOf(attributes?.get(NLMSGERR_ATTR_MSG));
  throw sysError('netlink', words === '' ? what : `${what}: ${words}`, error);
}

/** Whether a failed request failed with one of these. */
export function failedWith(error: unknown, ...numbers: readonly number[]): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return numbers.some((number) => errnoName(number) === code);
}
