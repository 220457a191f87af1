/**
 * The UDP sockets of the data plane, both bound to one port: `plain`, whose datagrams the kernel
 * may fragment and which receives everything, and `df`, whose datagrams carry the don't-fragment
 * bit. A router with several threads has a pair for each. Source: udp(7), ip(7), socket(7).
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
const INSTRUCTION_BYTES = 8;
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

/** What names a pair in every thread of the process. */
export interface OpenPair {
  readonly plainFd: number;
  readonly dfFd: number;
  readonly port: number;
}

export class UdpPair implements OpenPair {
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
    return UdpPair.openAll(options, 1)[0] as UdpPair;
  }

  /**
   * A pair for each of `count` threads, all on one port: datagrams of lane L arrive at the pair
   * L modulo `count`, all others at the first. @throws as `open`.
   */
  static openAll(options: UdpPairOptions, count: number): UdpPair[] {
    const fds: number[] = [];
    try {
      const first = openSocket(fds, IP_PMTUDISC_DONT, options);
      // Bound without SO_REUSEPORT, so this fails if anybody has the port, sharing or not. Only
      // then is the port opened for sharing, and the kernel allows that within one user only.
      bind(first, options.port, options);
      setIntOption(first, SOL_SOCKET, SO_REUSEPORT, 1);
      const port = boundPort(first);
      const pairs: UdpPair[] = [];
      for (let i = 0; i < count; i++) {
        const plain = i === 0 ? first : openShared(fds, IP_PMTUDISC_DONT, options, port);
        const df = openShared(fds, IP_PMTUDISC_DO, options, port);
        pairs.push(new UdpPair(plain, df, port));
      }
      receiveByLane(first, count);
      // Kernels before 5.0 lack it; datagrams then come one by one. The kernel asks a socket that
      // it picks by hash, so all of them have to say it.
      if (options.gro !== false) for (const fd of fds) trySetIntOption(fd, IPPROTO_UDP, UDP_GRO, 1);
      return pairs;
    } catch (error) {
      for (const fd of fds) libc.close(fd);
      throw error;
    }
  }

  /** A pair that another thread has opened; this one closes it. */
  static adopt({ plainFd, dfFd, port }: OpenPair): UdpPair {
    return new UdpPair(plainFd, dfFd, port);
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

function openShared(
  fds: number[],
  discovery: number,
  options: UdpPairOptions,
  port: number,
): number {
  const fd = openSocket(fds, discovery, options);
  setIntOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  bind(fd, port, options);
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

/** `struct sock_filter`, one an instruction: code u16, jump if true u8, if false u8, operand u32. */
type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, operand: number];

const BPF_LOAD_WORD = 0x20;
const BPF_LOAD_BYTE = 0x30;
const BPF_AND = 0x54;
const BPF_MOD = 0x94;
const BPF_SHIFT_LEFT = 0x64;
const BPF_JUMP_EQUAL = 0x15;
const BPF_RETURN = 0x06;
const BPF_RETURN_A = 0x16;
/** Where a datagram has its counter, and the mark of a lane in it; see fastdp/lane-mark.ts. */
const MARK_OFFSET = 8;
const LANE_MARK = 0x574e_4c00;

/**
 * The group's members are numbered in the order of binding: plain, df, plain, df … The program
 * sees the datagram without its headers; it returns 0 for one that is too short.
 */
function laneProgram(count: number): readonly Instruction[] {
  if (count === 1) return [[BPF_RETURN, 0, 0, 0]];
  return [
    [BPF_LOAD_WORD, 0, 0, MARK_OFFSET],
    [BPF_AND, 0, 0, 0xffff_ff00],
    [BPF_JUMP_EQUAL, 0, 4, LANE_MARK],
    [BPF_LOAD_BYTE, 0, 0, MARK_OFFSET + 3],
    [BPF_MOD, 0, 0, count],
    [BPF_SHIFT_LEFT, 0, 0, 1],
    [BPF_RETURN_A, 0, 0, 0],
    [BPF_RETURN, 0, 0, 0],
  ];
}

function receiveByLane(fd: number, count: number): void {
  const instructions = laneProgram(count);
  const program = new Memory(instructions.length * INSTRUCTION_BYTES);
  for (const [i, [code, jumpTrue, jumpFalse, operand]] of instructions.entries()) {
    const at = i * INSTRUCTION_BYTES;
    program.setShort(at, code);
    program.bytes[at + 2] = jumpTrue;
    program.bytes[at + 3] = jumpFalse;
    program.setInt(at + 4, operand);
  }
  // struct sock_fprog { u16 len; padding; struct sock_filter *filter }
  const argument = new Memory(16);
  argument.setShort(0, instructions.length);
  argument.setWord(8, program.address);
  const option = SO_ATTACH_REUSEPORT_CBPF;
  const result = libc.setsockopt(fd, SOL_SOCKET, option, argument.address, argument.bytes.length);
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
