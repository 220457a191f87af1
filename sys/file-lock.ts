/** Locks of whole files among processes, flock(2): they end with the descriptor. */
import { Errno, errno, libc, sysError } from './libc.js';

const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Takes the lock without waiting; closing the descriptor gives it back.
 * @returns false if another process has it.
 * @throws {SysError} e.g. where the file system has no locks
 */
export function tryLock(fd: number): boolean {
  if (libc.flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
  if (errno() === Errno.EAGAIN) return false;
  throw sysError('flock');
}
