/** What verbs do to this host, for real. */
import { spawnSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { packageVersion } from '../../core/io/package-version.js';
import type { HostActions, LaunchRequest } from '../host-actions.js';
import { cleanUpHost } from './clean-up.js';
import { lookUp } from './dns-lookup.js';
import { daemonEnvironment } from './environment.js';
import { launchDaemon, launchService, serviceIsInstalled } from './launch.js';

/** The daemon's program beside this one, dist/router/main.js. */
const WEAVER = fileURLToPath(new URL('../../router/main.js', import.meta.url));

export function createHostActions(): HostActions {
  return {
    isRoot: process.getuid?.() === 0,
    version: packageVersion(import.meta.url),
    checkOptions,
    launch: (request) =>
      serviceIsInstalled() ? launchService(request) : launchDaemon(request, WEAVER),
    isAlive,
    isRouter,
    kill: (pid) => {
      process.kill(pid, 'SIGKILL');
    },
    cleanUp: cleanUpHost,
    lookUp,
    sleep: (ms) => sleep(ms),
    after: (ms, work) => {
      const timer = setTimeout(work, ms);
      return () => clearTimeout(timer);
    },
    nowMs: () => performance.now(),
  };
}

function checkOptions(request: LaunchRequest): { exitCode: number; stderr: string } {
  const options = [WEAVER, '--check-config', ...request.options];
  const result = spawnSync(process.execPath, options, {
    encoding: 'utf8',
    env: daemonEnvironment(request),
  });
  if (result.error !== undefined) return { exitCode: 1, stderr: result.error.message };
  return { exitCode: result.status ?? 1, stderr: result.stderr };
}

/** A process that has ended but was not waited for yet counts as gone. */
function isAlive(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return !/^\d+ \(.*\) [ZX]/s.test(stat);
  } catch {
    return false;
  }
}

/** By its title, which conceal.ts of the router sets, and its owner. */
function isRouter(pid: number): boolean {
  try {
    const title = readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0')[0];
    return title === 'weaver' && statSync(`/proc/${pid}`).uid === process.getuid?.();
  } catch {
    return false;
  }
}
