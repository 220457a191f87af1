/**
 * The UDP sockets of the data plane, both bound to one port: `plain`, whose datagrams the kernel
 * may fragment and which receives everything, and `df`, whose datagrams carry the don't-fragment
 * bit. Source: udp(7), ip(7), socket(7).
 */
import { WeaveError } from '../core/errors.js';
import { formatIpv4, type Ipv4 } from '../core/ip.js';
import { check, Errno, libc, sysError } from './libc.js';
import { Memory, SOCKADDR_IN_BYTES } from './memory.js';
import {
  AF_INET,
  getIntOption,
  SO_ATTACH_REUSEPORT_CBPF,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_REUSEPORT,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  setIntOption,
  trySetIntOption,
} from './socket.js';

const IPPROTO_IP = 0;
const IPPROTO_UDP = 17;
const IP_MTU_DISCOVER = 10;
const IP_MTU = 14;
const IP_PMTUDISC_DONT = 0;
const IP_PMTUDISC_DO = 2;
const UDP_GRO = 104;
/** The kernel doubles it for its own bookkeeping. */
const DEFAULT_BUFFER_BYTES = 4 << 20;

export interface UdpPairOptions {
  readonly port: number;
  /** Address to bind, unsigned 32-bit; 0 (default) is all of them. */
  readonly address?: number;
  readonly bufferBytes?: number;
  /** Let the kernel join datagrams of one flow on receipt (see ReceiveBatch). Default true. */
  readonly gro?: boolean;
}

export class UdpPair {
  readonly plainFd: number;
  readonly dfFd: number;
  /** The port bound, also when 0 was asked for. */
  readonly port: number;
  /** Receive buffer in bytes that the kernel granted. */
  readonly receiveBufferBytes: number;

  private constructor(plainFd: number, dfFd: number, port: number) {
    this.plainFd = plainFd;
    this.dfFd = dfFd;
    this.port = port;
    this.receiveBufferBytes = getIntOption(plainFd, SOL_SOCKET, SO_RCVBUF);
  }

  /**
   * @throws {WeaveError} `udp-port-in-use` if anybody else has the port.
   * @throws {SysError} for other failures.
   */
  static open(options: UdpPairOptions): UdpPair {
    const fds: number[] = [];
    try {
      const plain = openSocket(fds, IP_PMTUDISC_DONT, options);
      // Bound without SO_REUSEPORT, so this fails if anybody has the port, sharing or not. Only
      // then is the port opened for sharing, and the kernel allows that within one user only.
      bind(plain, options.port, options);
      setIntOption(plain, SOL_SOCKET, SO_REUSEPORT, 1);
      const port = boundPort(plain);
      const df = openSocket(fds, IP_PMTUDISC_DO, options);
      setIntOption(df, SOL_SOCKET, SO_REUSEPORT, 1);
      bind(df, port, options);
      receiveOnFirst(plain);
      // Kernels before 5.0 lack it; datagrams then come one by one.
      if (options.gro !== false) trySetIntOption(plain, IPPROTO_UDP, UDP_GRO, 1);
      return new UdpPair(plain, df, port);
    } catch (error) {
      for (const fd of fds) libc.close(fd);
      throw error;
    }
  }

  close(): void {
    libc.close(this.plainFd);
    libc.close(this.dfFd);
  }
}

function openSocket(fds: number[], discovery: number, options: UdpPairOptions): number {
  const kind = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
  const fd = check(libc.socket(AF_INET, kind, 0), 'socket', 'UDP');
  fds.push(fd);
  setIntOption(fd, IPPROTO_IP, IP_MTU_DISCOVER, discovery);
  const bufferBytes = options.bufferBytes ?? DEFAULT_BUFFER_BYTES;
  // The forced form passes the system's limit and needs CAP_NET_ADMIN; the other gives what it may.
  if (!trySetIntOption(fd, SOL_SOCKET, SO_RCVBUFFORCE, bufferBytes)) {
    trySetIntOption(fd, SOL_SOCKET, SO_RCVBUF, bufferBytes);
  }
  if (!trySetIntOption(fd, SOL_SOCKET, SO_SNDBUFFORCE, bufferBytes)) {
    trySetIntOption(fd, SOL_SOCKET, SO_SNDBUF, bufferBytes);
  }
  return fd;
}

function bind(fd: number, port: number, options: UdpPairOptions): void {
  const address = new Memory(SOCKADDR_IN_BYTES);
  address.setSocketAddress(0, options.address ?? 0, port);
  if (libc.bind(fd, address.address, SOCKADDR_IN_BYTES) === 0) return;
  const where = `${formatIpv4((options.address ?? 0) as Ipv4)}:${port}`;
  const error = sysError('bind', `UDP ${where}`);
  if (error.errno !== Errno.EADDRINUSE) throw error;
  throw new WeaveError('udp-port-in-use', `UDP ${where}: address already in use`, { cause: error });
}

function boundPort(fd: number): number {
  const memory = new Memory(SOCKADDR_IN_BYTES + 4);
  memory.setInt(SOCKADDR_IN_BYTES, SOCKADDR_IN_BYTES);
  const length = memory.address + SOCKADDR_IN_BYTES;
  check(libc.getsockname(fd, memory.address, length), 'getsockname');
  return memory.view.getUint16(2);
}

/** The group's members are numbered in the order of binding: a program "return 0" picks `plain`. */
function receiveOnFirst(fd: number): void {
  const program = new Memory(8 + 16);
  // struct sock_filter { u16 code = BPF_RET | BPF_K; u8 jt, jf; u32 k = 0 }
  program.setShort(0, 0x06);
  // struct sock_fprog { u16 len; padding; struct sock_filter *filter }
  program.setShort(8, 1);
  program.setWord(16, program.address);
  const at = program.address + 8;
  const result = libc.setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, at, 16);
  check(result, 'setsockopt', 'SO_ATTACH_REUSEPORT_CBPF');
}

/**
 * The system's path MTU to a destination: size of the IP packet in bytes.
 * @param destIp, sourceIp 32-bit, signed or not; sourceIp 0 leaves the choice to the kernel.
 * @throws {SysError} e.g. `ENETUNREACH`.
 */
export function pathMtu(destIp: number, sourceIp = 0): number {
  const fd = check(libc.socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), 'socket', 'UDP');
  try {
    const address = new Memory(SOCKADDR_IN_BYTES);
    if (sourceIp !== 0) {
      address.setSocketAddress(0, sourceIp, 0);
      check(libc.bind(fd, address.address, SOCKADDR_IN_BYTES), 'bind', 'path MTU query');
    }
    setIntOption(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO);
    // Any port: connecting a UDP socket sends nothing, it only chooses the route.
    address.setSocketAddress(0, destIp, 9);
    check(libc.connect(fd, address.address, SOCKADDR_IN_BYTES), 'connect', 'path MTU query');
    return getIntOption(fd, IPPROTO_IP, IP_MTU);
  } finally {
    libc.close(fd);
  }
}
