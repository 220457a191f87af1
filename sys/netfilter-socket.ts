/**
 * Netlink sockets of the kernel's packet filter: packets that rules log (nflog) and events of
 * nftables. Messages come one call at a time without blocking; `waitReadable` waits for several
 * sockets in a thread of its own. Source: netlink(7), linux/netfilter/nfnetlink.h.
 */
import { check, declare, Errno, errno, libc } from './libc.js';
import { addressOf, Memory } from './memory.js';
import {
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  SOCK_RAW,
  SOL_SOCKET,
  setIntOption,
  trySetIntOption,
} from './socket.js';

const AF_NETLINK = 16;
const NETLINK_NETFILTER = 12;
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const SOCKADDR_NL_BYTES = 12;
/** The kernel never sends a longer datagram here: one packet copy is at most 64 KiB. */
const RECEIVE_BYTES = 256 * 1024;
/** Holds the events of a replaced table with thousands of rules. */
const RECEIVE_BUFFER_BYTES = 8 * 1024 * 1024;
const POLLIN = 1;
const POLL_ENTRY_BYTES = 8;

interface AsyncPoll {
  async(
    fds: number,
    count: number,
    timeoutMs: number,
    done: (error: Error | null, ready: number) => void,
  ): void;
}

const poll = declare<AsyncPoll>('int poll(uintptr_t, ulong, int)');

/** What one call of `receive` found. `lost`: the kernel dropped messages for lack of room. */
export type Received = Uint8Array | 'nothing' | 'lost';

export class NetfilterSocket {
  readonly fd: number;
  readonly #buffer = new Memory(RECEIVE_BYTES);

  private constructor(fd: number) {
    this.fd = fd;
  }

  /**
   * In the calling thread's network namespace.
   * @param groups multicast groups to join, e.g. 7 for events of nftables.
   * @throws {SysError} `EPERM` without CAP_NET_ADMIN for groups that need it.
   */
  static open(groups: readonly number[]): NetfilterSocket {
    const type = SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK;
    const fd = check(libc.socket(AF_NETLINK, type, NETLINK_NETFILTER), 'socket', 'netfilter');
    try {
      const address = new Memory(SOCKADDR_NL_BYTES);
      address.setShort(0, AF_NETLINK);
      check(libc.bind(fd, address.address, SOCKADDR_NL_BYTES), 'bind', 'netfilter');
      for (const group of groups) setIntOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
      if (!trySetIntOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)) {
        trySetIntOption(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER_BYTES);
      }
      return new NetfilterSocket(fd);
    } catch (error) {
      libc.close(fd);
      throw error;
    }
  }

  /** One datagram of whole messages to the kernel. @throws {SysError} */
  send(bytes: Uint8Array): void {
    const kernel = new Memory(SOCKADDR_NL_BYTES);
    kernel.setShort(0, AF_NETLINK);
    const sent = libc.sendto(
      this.fd,
      addressOf(bytes),
      bytes.length,
      0,
      kernel.address,
      SOCKADDR_NL_BYTES,
    );
    check(sent, 'sendto', 'netfilter');
  }

  /** @returns bytes that stay valid until the next call. @throws {SysError} */
  receive(): Received {
    const bytes = libc.read(this.fd, this.#buffer.address, RECEIVE_BYTES);
    if (bytes >= 0) return this.#buffer.bytes.subarray(0, bytes);
    const reason = errno();
    if (reason === Errno.EAGAIN || reason === Errno.EINTR) return 'nothing';
    if (reason === Errno.ENOBUFS) return 'lost';
    check(bytes, 'read', 'netfilter');
    return 'nothing';
  }

  close(): void {
    libc.close(this.fd);
  }
}

/**
 * Resolves when one of the sockets has something or the time is over. Takes one thread of the
 * runtime's pool meanwhile, so sockets must be closed only after it has resolved.
 */
export function waitReadable(
  sockets: readonly NetfilterSocket[],
  timeoutMs: number,
): Promise<void> {
  const entries = new Memory(Math.max(1, sockets.length) * POLL_ENTRY_BYTES);
  for (const [slot, { fd }] of sockets.entries()) {
    entries.setInt(slot * POLL_ENTRY_BYTES, fd);
    entries.setShort(slot * POLL_ENTRY_BYTES + 4, POLLIN);
  }
  return new Promise((resolve) => {
    // Named in the callback, so that the memory outlives the call.
    poll.async(entries.address, sockets.length, timeoutMs, () => {
      void entries.bytes;
      resolve();
    });
  });
}
