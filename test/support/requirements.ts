/**
 * What a test needs from the machine. Each returns false after skipping the test with a reason
 * that shows in the run's output, so that a machine without it never looks like a pass.
 */
import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import type { TestContext } from 'node:test';

export function requireRoot(t: TestContext): boolean {
  if (process.getuid?.() === 0) return true;
  t.skip('needs root');
  return false;
}

export function requireTun(t: TestContext): boolean {
  if (!requireRoot(t)) return false;
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    t.skip('needs /dev/net/tun');
    return false;
  }
}

let netnsWorks: boolean | null = null;

/** Network namespaces can be made and entered with the `ip` tool. */
export function requireNetns(t: TestContext): boolean {
  if (!requireRoot(t)) return false;
  if (netnsWorks === null) {
    const name = `wtq-${process.pid}`;
    netnsWorks = spawnSync('ip', ['netns', 'add', name]).status === 0;
    if (netnsWorks) {
      netnsWorks = spawnSync('ip', ['netns', 'exec', name, 'true']).status === 0;
      spawnSync('ip', ['netns', 'del', name]);
    }
  }
  if (!netnsWorks) t.skip('needs permission to make network namespaces, and the ip tool');
  return netnsWorks;
}

/** A program in PATH. */
export function requireTool(t: TestContext, name: string): boolean {
  const found = spawnSync('sh', ['-c', `command -v "$0"`, name]).status === 0;
  if (!found) t.skip(`needs the program ${name}`);
  return found;
}
