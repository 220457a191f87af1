/** Socket numbers and options shared by the files that open sockets. Source: socket(7), ip(7). */
import { check, libc } from './libc.js';
import { Memory } from './memory.js';

export const AF_UNIX = 1;
export const AF_INET = 2;
export const AF_PACKET = 17;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_NONBLOCK = 0x800;
export const SOCK_CLOEXEC = 0x80000;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;

export const SOL_SOCKET = 1;
export const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
export const SO_REUSEPORT = 15;
export const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SO_ATTACH_REUSEPORT_CBPF = 51;

/** @throws {SysError} */
export function setIntOption(fd: number, level: number, option: number, value: number): void {
  if (!trySetIntOption(fd, level, option, value)) {
    check(-1, 'setsockopt', `level ${level} option ${option}`);
  }
}

/** @returns false if the kernel refused; the reason is in `errno()`. */
export function trySetIntOption(fd: number, level: number, option: number, value: number): boolean {
  const memory = new Memory(4);
  memory.setInt(0, value);
  return libc.setsockopt(fd, level, option, memory.address, 4) === 0;
}

/** @throws {SysError} */
export function getIntOption(fd: number, level: number, option: number): number {
  const memory = new Memory(8);
  memory.setInt(4, 4);
  check(libc.getsockopt(fd, level, option, memory.address, memory.address + 4), 'getsockopt');
  return memory.getInt(0);
}
