/**
 * Kernel settings below `sys/net`. Those files show the settings of the namespace that the reading
 * thread is in, whichever process's view of /proc they are opened through. Source: proc(5).
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { errorCode, WeaveError } from '../../../core/errors.js';
import { withNetns } from '../../../sys/netns.js';
import type { NetnsHandle, SysctlTool } from '../ports.js';

export function createSysctlTool(procPath: string): SysctlTool {
  const inside = <T>(netns: NetnsHandle, work: () => T): T =>
    netns.path === null ? work() : withNetns(netns.path, work);
  const pathOf = (key: string): string => `${procPath}/sys/${key}`;
  return {
    read(netns, key): string | null {
      try {
        return inside(netns, () => readFileSync(pathOf(key), 'utf8')).trim();
      } catch {
        return null;
      }
    },
    write: (netns, key, value) => inside(netns, () => write(pathOf(key), key, value)),
    writeAll: (netns, settings) =>
      inside(netns, () => {
        for (const [key, value] of settings) write(pathOf(key), key, value);
      }),
  };
}

function write(path: string, key: string, value: string): boolean {
  try {
    writeFileSync(path, value);
    return true;
  } catch (error) {
    const code = errorCode(error);
    // Kernels without IPv6, or older than a setting, lack the file.
    if (code === 'ENOENT') return false;
    throw new WeaveError('sysctl-failed', `cannot set ${key} to ${value}: ${code}`);
  }
}
