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

/**
 * @returns the open namespace; the caller closes it.
 * @throws {RequestError} `target-invalid`, `target-not-found`, `host-netns`, `container-*`; the
 * host's own namespace is refused here, before anything was changed.
 */
export async function openTarget(target: string, modules: TargetModules): Promise<NetnsHandle> {
  const handle = modules.netns.open(await findPath(target, modules));
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

async function findPath(target: string, { netns, engines }: TargetModules): Promise<string> {
  if (target === '' || target.length > MAX_TARGET_LENGTH || target.includes('\0')) {
    throw new RequestError(
      'target-invalid',
      'expected a netns name, a path to a network namespace, a process id or a container id',
    );
  }
  if (target.startsWith('/')) return target;
  if (target.includes('/')) {
    throw new RequestError('target-invalid', `the path "${target}" must start with "/"`);
  }
  const named = netns.findNamed(target);
  if (named !== null) return named;
  if (/^\d+$/.test(target) && target.length <= MAX_PID_DIGITS) {
    const ofProcess = netns.findProcess(Number(target));
    if (ofProcess !== null) return ofProcess;
  }
  const pid = await engines.findPid(target);
  if (pid === null) {
    throw new RequestError(
      'target-not-found',
      `"${target}" is neither a named network namespace, nor the id of a running process, ` +
        `nor a container (${engines.description})`,
    );
  }
  const ofContainer = netns.findProcess(pid);
  if (ofContainer === null) {
    throw new RequestError('container-not-running', `Container ${target} died`);
  }
  return ofContainer;
}
