/**
 * Starts the router in the background: as the unit `weave` where systemd runs and has it, else as
 * a process of its own that outlives this one. Source: reference/cli.md 4 "launch", 9.
 */
import { spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  fchmodSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { CommandFailure, EXIT } from '../exit.js';
import type { Launched, LaunchRequest } from '../host-actions.js';
import { daemonEnvironment } from './environment.js';

const UNIT = 'weave.service';
const UNIT_FOLDERS = ['/etc/systemd/system', '/lib/systemd/system', '/usr/lib/systemd/system'];
/** Read by the unit: options for the router, kept so that a reboot starts the same one. */
const UNIT_ENVIRONMENT = '/etc/weave/weave.env';
const UNIT_PASSWORD = '/etc/weave/launch-password';
const MARK = '# Written by weave launch.';
/** Of the log, shown when the start fails. */
const LOG_TAIL_BYTES = 4096;

export function serviceIsInstalled(): boolean {
  if (!existsSync('/run/systemd/system') || !inFirstNamespace()) return false;
  return UNIT_FOLDERS.some((folder) => existsSync(`${folder}/${UNIT}`));
}

/** The service would run in the first network namespace, whoever asks for it. */
function inFirstNamespace(): boolean {
  try {
    return readlinkSync('/proc/self/ns/net') === readlinkSync('/proc/1/ns/net');
  } catch {
    return true;
  }
}

export function launchDaemon(request: LaunchRequest, program: string): Launched {
  let log: number;
  try {
    log = openSync(request.logFile, 'a+', 0o600);
    // An older file may be open to others.
    fchmodSync(log, 0o600);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new CommandFailure(EXIT.badInput, `--log-file: can't write: ${text}`);
  }
  const logStart = fstatSync(log).size;
  const child = spawn(process.execPath, [program, ...request.options], {
    detached: true,
    stdio: ['ignore', log, log],
    env: daemonEnvironment(request),
    cwd: '/',
  });
  let ended = false;
  child.once('exit', () => {
    ended = true;
  });
  child.once('error', () => {
    ended = true;
  });
  child.unref();
  return {
    pid: child.pid ?? -1,
    exited: () => {
      if (!ended) return null;
      const text = tailOf(log, logStart);
      closeSync(log);
      return { log: text };
    },
  };
}

/** What was written since the start. */
function tailOf(fd: number, start: number): string {
  const { size } = fstatSync(fd);
  const from = Math.max(start, size - LOG_TAIL_BYTES);
  const buffer = Buffer.alloc(size - from);
  const count = readSync(fd, buffer, 0, buffer.length, from);
  return buffer.toString('utf8', 0, count);
}

export function launchService(request: LaunchRequest): Launched {
  const options = [...request.options];
  if (request.password !== null) {
    mkdirSync(dirname(UNIT_PASSWORD), { recursive: true });
    writePrivate(UNIT_PASSWORD, `${request.password}\n`);
    options.push(`--password-file=${UNIT_PASSWORD}`);
  }
  if (options.length > 0) writeOptions(options);
  const result = spawnSync('systemctl', ['start', UNIT], { encoding: 'utf8' });
  if (result.status !== 0) {
    const text = (result.stderr ?? '').trim();
    throw new CommandFailure(EXIT.failed, `systemctl start ${UNIT} failed: ${text}`);
  }
  // Type=notify: the start returns when the router is ready.
  return { pid: null, exited: () => null };
}

/** systemd cuts the variable at blanks and knows no quotes inside it. */
function writeOptions(options: readonly string[]): void {
  const wrong = options.find((option) => /[\s"'\\$#]/.test(option));
  if (wrong !== undefined) {
    throw new CommandFailure(
      EXIT.badInput,
      `"${wrong}" can't be passed to the service; set it in /etc/weave/weave.yaml`,
    );
  }
  const foreign =
    existsSync(UNIT_ENVIRONMENT) && !readFileSync(UNIT_ENVIRONMENT, 'utf8').startsWith(MARK);
  if (foreign) {
    throw new CommandFailure(
      EXIT.failed,
      `${UNIT_ENVIRONMENT} was not written by weave launch; put the options there and leave them ` +
        'out here',
    );
  }
  mkdirSync(dirname(UNIT_ENVIRONMENT), { recursive: true });
  writePrivate(UNIT_ENVIRONMENT, `${MARK}\nWEAVE_OPTIONS=${options.join(' ')}\n`);
}

function writePrivate(path: string, text: string): void {
  const fd = openSync(path, 'w', 0o600);
  fchmodSync(fd, 0o600);
  writeFileSync(fd, text);
  closeSync(fd);
}
