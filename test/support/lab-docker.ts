/**
 * Docker as users have it: the real daemon, with all it keeps in a RAM disk in a host's folder, and
 * containers of one image that holds nothing but busybox. They have no network of Docker's.
 *
 *   containers (--net=none) ── dockerd, in the host's network ── socket ── router
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { BackgroundProcess } from './lab.js';
import type { Host } from './lab-host.js';
import { type RunResult, run, runSync } from './shell.js';
import { waitFor } from './wait.js';

const IMAGE = 'weave-test-busybox';
/** Statically linked, so that it needs no libraries around it. */
const BUSYBOX = '/bin/busybox';
const APPLETS = ['cat', 'ip', 'nslookup', 'ping', 'sh', 'sleep', 'true'];
/** Of Debian's package; other programs of these names may come before it in the path. */
const DAEMON = ['/usr/sbin/dockerd', '/usr/bin/dockerd'].find((path) => existsSync(path));
const CLIENT = ['/usr/bin/docker'].find((path) => existsSync(path));
const RAM_DISK_SIZE = '512m';
const START_DEADLINE_MS = 30_000;
const STOP_DEADLINE_MS = 30_000;
const COMMAND_TIMEOUT_MS = 60_000;

export class DockerHost {
  readonly socket: string;
  readonly #host: Host;
  readonly #folder: string;
  #daemon: BackgroundProcess | null = null;

  private constructor(host: Host) {
    this.#host = host;
    this.#folder = join(host.folder, 'docker');
    this.socket = join(this.#folder, 'docker.sock');
  }

  /**
   * Runs the body with a daemon, and leaves nothing of it. Where the machine has no Docker, or none
   * that can run containers, the test is skipped instead, with the reason.
   */
  static async with(
    t: TestContext,
    host: Host,
    body: (docker: DockerHost) => Promise<void>,
  ): Promise<void> {
    if (DAEMON === undefined || CLIENT === undefined || !isStatic(BUSYBOX)) {
      t.skip('needs dockerd, the docker client and a static busybox');
      return;
    }
    const docker = new DockerHost(host);
    mkdirSync(docker.#folder);
    runSync(['mount', '-t', 'tmpfs', '-o', `size=${RAM_DISK_SIZE}`, 'docker', docker.#folder]);
    // What others have a copy of while they run, such as namespaces of containers, goes in all.
    runSync(['mount', '--make-shared', docker.#folder]);
    host.lab.onClose(() => docker.#removeRest());
    try {
      const refusal = await docker.#firstStart();
      if (refusal === null) await body(docker);
      else t.skip(`dockerd can not run containers here: ${refusal}`);
    } finally {
      await docker.docker('rm', '-f', ...(await docker.#allContainers()));
      await docker.stop();
    }
  }

  /** Containers go on meanwhile. */
  async stop(): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === null) return;
    daemon.kill('SIGTERM');
    const force = setTimeout(() => daemon.kill('SIGKILL'), STOP_DEADLINE_MS);
    await daemon.ended;
    clearTimeout(force);
    this.#daemon = null;
  }

  async start(): Promise<void> {
    // The host's network, and this process's mounts: those that `ip netns exec` makes hide cgroups.
    const outside = ['nsenter', `--mount=/proc/${process.pid}/ns/mnt`];
    const own = { 'data-root': 'data', 'exec-root': 'exec', pidfile: 'docker.pid' };
    const paths = Object.entries(own).map(([key, name]) => `--${key}=${join(this.#folder, name)}`);
    const without = ['--iptables=false', '--ip-forward=false', '--ip-masq=false', '--bridge=none'];
    const config = join(this.#folder, 'daemon.json');
    writeFileSync(config, '{}');
    const daemon = this.#host.lab.start(
      this.#host.netns,
      [
        ...[...outside, DAEMON as string, ...paths, ...without, '-H', `unix://${this.socket}`],
        ...['--storage-driver=vfs', '--live-restore', `--config-file=${config}`],
      ],
      { label: `${this.#host.label}-dockerd` },
    );
    this.#daemon = daemon;
    await waitFor('dockerd', START_DEADLINE_MS, async () => {
      return !daemon.running() || (await this.docker('version')).code === 0;
    });
    if (!daemon.running()) throw new Error(readFileSync(daemon.logPath, 'utf8').slice(-500));
  }

  docker(...args: string[]): Promise<RunResult> {
    const argv = [CLIENT as string, '-H', `unix://${this.socket}`, ...args];
    return run(argv, { timeoutMs: COMMAND_TIMEOUT_MS });
  }

  /** @throws Error with what it said. */
  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.docker(...args);
    if (code !== 0) throw new Error(`docker ${args.join(' ')}: ${code} ${stderr}`);
    return stdout.trim();
  }

  /** Starts a container that sleeps. @returns its id. */
  run(name: string, ...options: string[]): Promise<string> {
    const flags = ['-d', '--net=none', '--name', name, ...options];
    return this.ok('run', ...flags, IMAGE, 'sleep', '1000');
  }

  /** Of the container's main process, as this machine counts. */
  pidOf(name: string): Promise<string> {
    return this.ok('inspect', '-f', '{{.State.Pid}}', name);
  }

  /** What a program in a container prints; it may fail. */
  async exec(name: string, ...argv: string[]): Promise<string> {
    const { stdout, stderr } = await this.docker('exec', name, ...argv);
    return stdout + stderr;
  }

  /** @returns why there can be no containers, or null. */
  async #firstStart(): Promise<string | null> {
    try {
      await this.start();
      const root = join(this.#folder, 'image');
      mkdirSync(join(root, 'bin'), { recursive: true });
      copyFileSync(BUSYBOX, join(root, 'bin/busybox'));
      for (const name of APPLETS) symlinkSync('busybox', join(root, 'bin', name));
      const archive = join(this.#folder, 'image.tar');
      runSync(['tar', '-C', root, '-cf', archive, '.']);
      await this.ok('import', archive, IMAGE);
      await this.ok('run', '--rm', '--net=none', IMAGE, 'true');
      return null;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  async #allContainers(): Promise<string[]> {
    const { stdout } = await this.docker('ps', '-aq');
    return stdout.split('\n').filter((id) => id !== '');
  }

  /** Whatever has happened: processes of ours, their mounts, the RAM disk. */
  #removeRest(): void {
    for (const pid of shimsOf(this.#folder)) {
      for (const child of childrenOf(pid)) killNow(child);
      killNow(pid);
    }
    const mounts = readFileSync('/proc/self/mounts', 'utf8').split('\n');
    const ours = mounts.map((line) => line.split(' ')[1] ?? '');
    for (const path of ours.filter((each) => each.startsWith(this.#folder)).reverse()) {
      spawnSync('umount', ['-l', path]);
    }
  }
}

function isStatic(program: string): boolean {
  if (!existsSync(program)) return false;
  // A dynamic program has an interpreter in its headers, which the loader's name tells.
  return !readFileSync(program).subarray(0, 4096).includes('/ld-');
}

/** Containers outlive a daemon that is killed, under these processes. */
function shimsOf(folder: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      const line = textOf(`/proc/${pid}/cmdline`);
      return line.includes('containerd-shim') && line.includes(folder);
    });
}

const childrenOf = (pid: number): number[] =>
  textOf(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function killNow(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended in between.
  }
}
