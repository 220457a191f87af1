/**
 * Finds the network namespace that a user means by `c1`, `/run/netns/c1`, `4711` or a container id.
 * Order: path, named namespace, process id, container. A name of digits only is therefore a named
 * namespace first, as the ip tool has it.
 * Source: reference/cli.md 9.
 */
import { RequestError } from '../../core/errors.js';
import type { ContainerEngines, NetnsHandle, NetnsTool } from './ports.js';

const MAX_TARGET_LENGTH = 4096;
/** Linux never gives out larger process ids (PID_MAX_LIMIT is 2^22). */
const MAX_PID_DIGITS = 7;

export interface TargetModules {
  readonly netns: NetnsTool;
  readonly engines: ContainerEngines;
}

/** What a target's name leads to. */
interface Found {
  readonly path: string;
  /** Full container id, or null. */
  readonly container: string | null;
}

/**
 * @returns the open namespace; the caller closes it.
 * @throws {RequestError} `target-invalid`, `target-not-found`, `host-netns`, `container-*`; the
 * host's own namespace is refused here, before anything was changed.
 */
export async function openTarget(target: string, modules: TargetModules): Promise<NetnsHandle> {
  return openFound(target, await find(target, modules), modules);
}

/**
 * Opens the target and tells the name under which its addresses are filed: one and the same for
 * every way to spell a workload that has a container id or a name in /run/netns.
 * @throws {RequestError} like `openTarget`
 */
export async function identifyTarget(
  target: string,
  modules: TargetModules,
): Promise<{ readonly netns: NetnsHandle; readonly ident: string }> {
  const found = await find(target, modules);
  const netns = openFound(target, found, modules);
  const { path, container } = found;
  const ident = container ?? identOfNetns({ path, inode: netns.inode }, modules.netns) ?? target;
  return { netns, ident };
}

/** @returns the id of the container, or the name, of a namespace that has one; else null. */
export function identOfNetns(
  { path, inode }: { readonly path: string; readonly inode: number },
  netns: NetnsTool,
): string | null {
  const pid = /\/(\d+)\/ns\/net$/.exec(path)?.[1];
  const container = pid === undefined ? null : netns.containerOf(Number(pid));
  return container ?? netns.nameOf(inode);
}

/** Whether a name in /run/netns, a path or a process id leads to a namespace right now. */
export function targetExists(target: string, netns: NetnsTool): boolean {
  if (!target.startsWith('/')) {
    const isPid = /^\d+$/.test(target) && target.length <= MAX_PID_DIGITS;
    return (
      netns.findNamed(target) !== null || (isPid && netns.findProcess(Number(target)) !== null)
    );
  }
  try {
    netns.open(target).close();
    return true;
  } catch {
    return false;
  }
}

function openFound(target: string, found: Found, modules: TargetModules): NetnsHandle {
  const handle = modules.netns.open(found.path);
  if (handle.inode === modules.netns.host.inode) {
    handle.close();
    throw new RequestError(
      'host-netns',
      `"${target}" uses the network of the host (as with --net=host) and cannot be attached; ` +
        'use "weave expose" to give the host an address',
    );
  }
  return handle;
}

async function find(target: string, { netns, engines }: TargetModules): Promise<Found> {
  const plain = (path: string): Found => ({ path, container: null });
  if (target === '' || target.length > MAX_TARGET_LENGTH || target.includes('\0')) {
    throw new RequestError(
      'target-invalid',
      'expected a netns name, a path to a network namespace, a process id or a container id',
    );
  }
  if (target.startsWith('/')) return plain(target);
  if (target.includes('/')) {
    throw new RequestError('target-invalid', `the path "${target}" must start with "/"`);
  }
  const named = netns.findNamed(target);
  if (named !== null) return plain(named);
  if (/^\d+$/.test(target) && target.length <= MAX_PID_DIGITS) {
    const ofProcess = netns.findProcess(Number(target));
    if (ofProcess !== null) return plain(ofProcess);
  }
  const running = await engines.find(target);
  if (running === null) {
    throw new RequestError(
      'target-not-found',
      `"${target}" is neither a named network namespace, nor the id of a running process, ` +
        `nor a container (${engines.description})`,
    );
  }
  const path = netns.findProcess(running.pid);
  if (path === null) {
    throw new RequestError('container-not-running', `Container ${target} died`);
  }
  return { path, container: running.id };
}
