/** How the kernel shares processors between threads. Source: sched_setattr(2), sched(7). */
import { setPriority } from 'node:os';
import { errorCode } from '../core/errors.js';
import { declare } from './libc.js';
import { Memory } from './memory.js';

/** Numbers of sched_setattr and sched_getattr. */
const SYSCALLS: Readonly<Record<string, { readonly set: number; readonly get: number }>> = {
  x64: { set: 314, get: 315 },
  arm64: { set: 274, get: 275 },
};
/** struct sched_attr, first version: size, policy, flags, nice, priority, runtime and so on. */
const ATTR_BYTES = 48;
const POLICY_AT = 4;
const RUNTIME_AT = 24;
const SCHED_OTHER = 0;

const syscall = declare<
  (number: number, pid: number, attr: number, bytesOrFlags: number, flags: number) => number
>('intptr_t syscall(intptr_t, intptr_t, uintptr_t, uintptr_t, uintptr_t)');

/**
 * Asks for short turns on the processor for the calling thread. It gets no larger share by that,
 * but its turn comes sooner when it wakes up: under EEVDF the shorter turn has the earlier
 * deadline. Needs no privilege. A thread under another policy than SCHED_OTHER is left alone.
 * @param nanoseconds of a turn, 100 000 to 100 000 000.
 * @returns false if nothing was changed. Kernels before 6.12 accept the wish and ignore it.
 */
export function askShortTurns(nanoseconds: number): boolean {
  const numbers = SYSCALLS[process.arch];
  if (numbers === undefined) return false;
  const attr = new Memory(ATTR_BYTES);
  // What is there is read first: setting means setting all, the nice value too.
  if (syscall(numbers.get, 0, attr.address, ATTR_BYTES, 0) < 0) return false;
  if (attr.getInt(POLICY_AT) !== SCHED_OTHER) return false;
  attr.setInt(0, ATTR_BYTES);
  attr.setWord(RUNTIME_AT, nanoseconds);
  return syscall(numbers.set, 0, attr.address, 0, 0) === 0;
}

/**
 * Gives the calling thread, and threads it starts afterwards, another weight; see sched(7). Linux
 * counts by thread. Child processes inherit it.
 * @param nice below zero goes before ordinary threads, and needs CAP_SYS_NICE.
 * @returns null, or the code of what forbids it; the thread is as it was.
 */
export function preferThisThread(nice: number): string | null {
  try {
    setPriority(nice);
    return null;
  } catch (error) {
    return errorCode(error);
  }
}

const schedYield = declare<() => number>('int sched_yield()');

/** Other threads that want this processor have it now. Source: sched_yield(2). */
export function yieldProcessor(): void {
  schedYield();
}

/** Nanoseconds of the calling thread's turns; 0 if the kernel does not tell. */
export function turnNanoseconds(): number {
  const numbers = SYSCALLS[process.arch];
  const attr = new Memory(ATTR_BYTES);
  if (numbers === undefined) return 0;
  if (syscall(numbers.get, 0, attr.address, ATTR_BYTES, 0) < 0) return 0;
  return attr.getInt(RUNTIME_AT);
}
