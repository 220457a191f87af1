/**
 * The C library as the rest of sys/ calls it, through koffi. Pointers are declared `uintptr_t` and
 * passed as plain numbers: no object is made per call, and one `addressOf` serves a buffer's life.
 * The symbols come from the running process, so glibc and musl both serve.
 *
 * Structures are laid out by hand for 64-bit little-endian Linux (x86-64, arm64), which share all
 * numbers used here.
 */
import koffi from 'koffi';
import { SysError } from '../core/errors.js';

const self = koffi.load(null);

/** Declares one function; the type argument must match the C prototype. */
export function declare<T>(prototype: string): T {
  return self.func(prototype) as unknown as T;
}

type Fd = number;
type Address = number;

/**
 * Each returns what the C function returns: −1 means failure, with the reason in `errno()` until
 * the next call. Variadic functions are declared with the arguments that are used.
 */
export const libc = {
  open: declare<(path: string, flags: number) => Fd>('int open(const char*, int)'),
  close: declare<(fd: Fd) => number>('int close(int)'),
  flock: declare<(fd: Fd, operation: number) => number>('int flock(int, int)'),
  read: declare<(fd: Fd, address: Address, bytes: number) => number>(
    'intptr_t read(int, uintptr_t, size_t)',
  ),
  write: declare<(fd: Fd, address: Address, bytes: number) => number>(
    'intptr_t write(int, uintptr_t, size_t)',
  ),
  writev: declare<(fd: Fd, pieces: Address, count: number) => number>(
    'intptr_t writev(int, uintptr_t, int)',
  ),
  ioctl: declare<(fd: Fd, request: number, argument: Address) => number>(
    'int ioctl(int, ulong, uintptr_t)',
  ),
  poll: declare<(fds: Address, count: number, timeoutMs: number) => number>(
    'int poll(uintptr_t, ulong, int)',
  ),
  eventfd: declare<(initial: number, flags: number) => Fd>('int eventfd(uint, int)'),
  unshare: declare<(kinds: number) => number>('int unshare(int)'),
  setns: declare<(fd: Fd, kind: number) => number>('int setns(int, int)'),
  socket: declare<(family: number, type: number, protocol: number) => Fd>(
    'int socket(int, int, int)',
  ),
  bind: declare<(fd: Fd, address: Address, bytes: number) => number>(
    'int bind(int, uintptr_t, uint)',
  ),
  connect: declare<(fd: Fd, address: Address, bytes: number) => number>(
    'int connect(int, uintptr_t, uint)',
  ),
  getsockname: declare<(fd: Fd, address: Address, bytes: Address) => number>(
    'int getsockname(int, uintptr_t, uintptr_t)',
  ),
  setsockopt: declare<
    (fd: Fd, level: number, option: number, value: Address, bytes: number) => number
  >('int setsockopt(int, int, int, uintptr_t, uint)'),
  getsockopt: declare<
    (fd: Fd, level: number, option: number, value: Address, bytes: Address) => number
  >('int getsockopt(int, int, int, uintptr_t, uintptr_t)'),
  sendto: declare<
    (
      fd: Fd,
      data: Address,
      bytes: number,
      flags: number,
      address: Address,
      addressBytes: number,
    ) => number
  >('intptr_t sendto(int, uintptr_t, size_t, int, uintptr_t, uint)'),
  sendmmsg: declare<(fd: Fd, messages: Address, count: number, flags: number) => number>(
    'int sendmmsg(int, uintptr_t, uint, int)',
  ),
  recvmmsg: declare<
    (fd: Fd, messages: Address, count: number, flags: number, timeout: Address) => number
  >('int recvmmsg(int, uintptr_t, uint, int, uintptr_t)'),
  ifNameToIndex: declare<(name: string) => number>('uint if_nametoindex(const char*)'),
} as const;

/** Reason of the last failed call on this thread, a positive Linux error number. */
export function errno(): number {
  return koffi.errno();
}

/** Error numbers that code compares with; the same on every Linux architecture we run on. */
export const Errno = {
  EPERM: 1,
  ENOENT: 2,
  EINTR: 4,
  EIO: 5,
  ENXIO: 6,
  EAGAIN: 11,
  ENOMEM: 12,
  EACCES: 13,
  EBUSY: 16,
  EEXIST: 17,
  ENODEV: 19,
  EINVAL: 22,
  ENOSYS: 38,
  ETIME: 62,
  EBADFD: 77,
  EMSGSIZE: 90,
  EOPNOTSUPP: 95,
  EADDRINUSE: 98,
  EADDRNOTAVAIL: 99,
  ENETDOWN: 100,
  ENETUNREACH: 101,
  ENOBUFS: 105,
} as const;

const ERRNO_NAMES = new Map<number, string>();
for (const [name, value] of Object.entries(koffi.os.errno)) {
  // Two names may share a number (EWOULDBLOCK, EAGAIN): the table above knows the usual one.
  if (!ERRNO_NAMES.has(value)) ERRNO_NAMES.set(value, name);
}
for (const [name, value] of Object.entries(Errno)) ERRNO_NAMES.set(value, name);

/** e.g. `EMSGSIZE`; `errno-200` for a number without a name. */
export function errnoName(value: number): string {
  return ERRNO_NAMES.get(value) ?? `errno-${value}`;
}

/** The error for a call that has just failed. `detail` says in words what it means here. */
export function sysError(syscall: string, detail = '', value = errno()): SysError {
  return new SysError(syscall, value, errnoName(value), detail);
}

/** @throws {SysError} if `result` is negative. @returns `result`. */
export function check(result: number, syscall: string, detail = ''): number {
  if (result < 0) throw sysError(syscall, detail);
  return result;
}
