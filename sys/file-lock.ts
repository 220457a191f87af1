/**
 * A lock on an open file that the kernel takes back when the process ends, however it ends.
 * Source: flock(2).
 */
import { Errno, errno, libc, sysError } from './libc.js';

const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * @param fd stays the caller's; closing it gives the lock back.
 * @returns false if another open file holds it.
 * @throws {SysError}
 */
export function tryLockFile(fd: number): boolean {
  if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  const code = errno();
  if (code === Errno.EAGAIN || code === Errno.EINTR) return false;
  throw sysError('flock', 'lock of the stored state');
}
