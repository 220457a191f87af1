/** Network namespaces of this host, by files and setns. Source: namespaces(7), ip-netns(8). */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
} from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { errorCode, RequestError } from '../../../core/errors.js';
import { withNetns } from '../../../sys/netns.js';
import { netnsIdOf } from '../../../sys/netns-id.js';
import { RouteNetlink } from '../../../sys/rtnetlink.js';
import type { PeerNetns } from '../link-state.js';
import type { KnownNetns, NetnsHandle, NetnsTool } from '../ports.js';

const NAMED_DIRS = ['/run/netns', '/var/run/netns'];
/** The kernel enables the bridge port of a fresh pair a moment after its ends are up. */
const PORT_SETTLE_MS = 2;

export interface NetnsToolOptions {
  /** Where the processes of the host show: `--proc-path`. */
  readonly procPath: string;
  /** Another namespace in the place of the router's own; for tests that hold several hosts. */
  readonly hostNetnsPath?: string;
}

export function createNetnsTool({ procPath, hostNetnsPath }: NetnsToolOptions): NetnsTool {
  const host = hostNetnsPath === undefined ? ownNetns() : openNetns(hostNetnsPath);
  const inside = <T>(netns: NetnsHandle, work: () => T): T =>
    netns.path === null ? work() : withNetns(netns.path, work);
  return {
    host,
    open: openNetns,
    findNamed,
    findProcess: (pid) => {
      const path = `${procPath}/${pid}/ns/net`;
      return inodeOf(path) === null ? null : path;
    },
    nameOf,
    containerOf: (pid) => {
      const id = containerOf(`${procPath}/${pid}/cgroup`);
      // A router that runs in a container itself would find its own id for all that it starts.
      return id === containerOf(`${procPath}/self/cgroup`) ? null : id;
    },
    isSame: (denoted, netns) => inside(host, () => isSame(denoted, netns)),
    list: () => listNetns(procPath),
    async announce(netns, interfaceName): Promise<void> {
      await delay(PORT_SETTLE_MS);
      inside(netns, () => announce(interfaceName));
    },
    // `thread-self`: this thread alone is in the namespace at that moment.
    isCaptured: (netns, interfaceIndex) =>
      inside(netns, () => readFileSync('/proc/thread-self/net/packet', 'utf8'))
        .split('\n')
        .slice(1)
        .some((line) => Number(line.trim().split(/\s+/)[4]) === interfaceIndex),
    hasLegacyFilter: (netns) => inside(netns, readLegacyTables).includes('filter'),
  };
}

function announce(interfaceName: string): void {
  const netlink = new RouteNetlink();
  try {
    netlink.announce(netlink.link(interfaceName));
  } finally {
    netlink.close();
  }
}

/** Kernels without the legacy tables lack the file; only root may read it. */
function readLegacyTables(): string[] {
  try {
    return readFileSync('/proc/thread-self/net/ip_tables_names', 'utf8').split('\n');
  } catch {
    return [];
  }
}

function ownNetns(): NetnsHandle {
  return { path: null, inode: statSync('/proc/thread-self/ns/net').ino, close: () => {} };
}

function openNetns(path: string): NetnsHandle {
  let fd: number;
  try {
    // Non-blocking, since a path from a user may be a pipe that nobody writes to.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const text = `no network namespace at ${path} (${errorCode(error)})`;
    throw new RequestError('netns-not-found', text);
  }
  let isOpen = true;
  const handle: NetnsHandle = {
    // Through the descriptor, so that every later step means the same namespace as this one, and
    // no odd character of the path reaches a tool's command line.
    path: `/proc/${process.pid}/fd/${fd}`,
    inode: fstatSync(fd).ino,
    close: () => {
      if (isOpen) closeSync(fd);
      isOpen = false;
    },
  };
  try {
    withNetns(handle.path as string, () => {});
    return handle;
  } catch {
    handle.close();
    throw new RequestError('netns-invalid', `${path} is not a network namespace`);
  }
}

function findNamed(name: string): string | null {
  if (name === '' || name === '.' || name === '..' || name.includes('/')) return null;
  const paths = NAMED_DIRS.map((dir) => `${dir}/${name}`);
  return paths.find((path) => inodeOf(path) !== null) ?? null;
}

function nameOf(inode: number): string | null {
  for (const dir of NAMED_DIRS) {
    const name = entries(dir).find((entry) => inodeOf(`${dir}/${entry}`) === inode);
    if (name !== undefined) return name;
  }
  return null;
}

/** Every engine puts the id into the name of the container's cgroup. Source: cgroups(7). */
function containerOf(cgroupFile: string): string | null {
  try {
    // The last one is the innermost.
    return (
      readFileSync(cgroupFile, 'utf8')
        .match(/[0-9a-f]{64}/g)
        ?.at(-1) ?? null
    );
  } catch {
    return null;
  }
}

/** To be called from the host's point of view, whose numbers are meant. */
function isSame(denoted: PeerNetns, netns: NetnsHandle): boolean {
  if ('name' in denoted) {
    const path = findNamed(denoted.name);
    return path !== null && inodeOf(path) === netns.inode;
  }
  if (netns.path === null) return false;
  const fd = openSync(netns.path, constants.O_RDONLY);
  try {
    return netnsIdOf(fd) === denoted.id;
  } finally {
    closeSync(fd);
  }
}

/** Names before processes, so that a namespace is called by its name where it has one. */
function listNetns(procPath: string): KnownNetns[] {
  const byInode = new Map<number, KnownNetns>();
  const add = (target: string, path: string): void => {
    const inode = inodeOf(path);
    if (inode !== null && !byInode.has(inode)) byInode.set(inode, { target, path, inode });
  };
  for (const dir of NAMED_DIRS) {
    for (const name of entries(dir)) add(name, `${dir}/${name}`);
  }
  for (const pid of entries(procPath)) {
    if (/^\d+$/.test(pid)) add(pid, `${procPath}/${pid}/ns/net`);
  }
  return [...byInode.values()];
}

function entries(dir: string): string[] {
  try {
    return readdirSync(dir).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  } catch {
    return [];
  }
}

function inodeOf(path: string): number | null {
  try {
    return statSync(path).ino;
  } catch {
    return null;
  }
}
