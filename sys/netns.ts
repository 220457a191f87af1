/**
 * Network namespaces. A socket or TAP device stays in the namespace it was opened in, so code
 * enters one only for the moment of opening. Source: setns(2), namespaces(7), ip-netns(8).
 */
import { existsSync } from 'node:fs';
import { WeaveError } from '../core/errors.js';
import { check, libc, sysError } from './libc.js';

const CLONE_NEWNET = 0x40000000;
const O_RDONLY_CLOEXEC = 0x80000;
const NAMED_DIRS = ['/run/netns', '/var/run/netns'];
/** The namespace of the calling thread; setns changes no other thread. */
const OWN_NETNS = '/proc/thread-self/ns/net';

/**
 * The file that stands for a namespace: of a process id, of a path as it is, of a name made by
 * `ip netns add`.
 * @throws {WeaveError} `netns-not-found` with a sentence for the user.
 */
export function resolveNetns(target: string): string {
  if (target.startsWith('/')) return existing(target, target);
  if (/^\d+$/.test(target)) return existing(`/proc/${target}/ns/net`, `process ${target}`);
  if (target === '' || target === '.' || target === '..' || target.includes('/')) {
    throw new WeaveError('netns-not-found', `"${target}" is not the name of a network namespace`);
  }
  const path = NAMED_DIRS.map((dir) => `${dir}/${target}`).find((place) => existsSync(place));
  return path ?? existing(`${NAMED_DIRS[0]}/${target}`, `network namespace "${target}"`);
}

function existing(path: string, what: string): string {
  if (existsSync(path)) return path;
  throw new WeaveError('netns-not-found', `${what} does not exist (looked for ${path})`);
}

/**
 * Runs `work` with the calling thread inside the namespace. `work` must be synchronous: after an
 * await, other code would run in the wrong network. A thread that cannot come back would send the
 * host's traffic into a workload's network, so the process aborts then.
 * @throws {SysError} if the namespace cannot be entered; and whatever `work` throws.
 */
export function withNetns<T>(path: string, work: () => T): T {
  return elsewhere(() => {
    const target = openNamespace(path);
    try {
      check(libc.setns(target, CLONE_NEWNET), 'setns', path);
    } finally {
      libc.close(target);
    }
  }, work);
}

/**
 * Runs `work` as `withNetns` does, in a namespace made for it, which ends with the last socket or
 * device that `work` leaves open. Nobody else sees it.
 * @throws {SysError} if none may be made; and whatever `work` throws.
 */
export function withNewNetns<T>(work: () => T): T {
  return elsewhere(() => check(libc.unshare(CLONE_NEWNET), 'unshare', 'network namespace'), work);
}

function elsewhere<T>(enter: () => void, work: () => T): T {
  const home = openNamespace(OWN_NETNS);
  try {
    enter();
    try {
      const result = work();
      if (result instanceof Promise) {
        throw new WeaveError('netns-async', 'work inside a network namespace must be synchronous');
      }
      return result;
    } finally {
      if (libc.setns(home, CLONE_NEWNET) < 0) process.abort();
    }
  } finally {
    libc.close(home);
  }
}

/**
 * Moves the calling thread for good: everything it opens later is opened there. For threads with a
 * life of their own; the main thread must use `withNetns`.
 * @throws {SysError}
 */
export function enterNetns(path: string): void {
  const target = openNamespace(path);
  try {
    check(libc.setns(target, CLONE_NEWNET), 'setns', path);
  } finally {
    libc.close(target);
  }
}

function openNamespace(path: string): number {
  const fd = libc.open(path, O_RDONLY_CLOEXEC);
  if (fd < 0) throw sysError('open', path);
  return fd;
}
