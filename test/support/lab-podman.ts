/**
 * Podman as a client of the CNI plugin, with all it keeps in a host's folder: it runs in the host's
 * network namespace and finds the plugin, one network, and a root folder for its containers, which
 * borrow the programs of this machine.
 */
import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, existsSync, lstatSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { WEAVE_NET } from './lab-cni.js';
import type { Host } from './lab-host.js';
import { type RunResult, run } from './shell.js';

const NETWORK = 'weave';
/** Those of a merged /usr. */
const LINKS = ['bin', 'sbin', 'lib', 'lib64'];
const TIMEOUT_MS = 120_000;
/** A machine in a container may grant no more. */
const ULIMITS = ['--ulimit', 'nofile=1024:1024', '--ulimit', 'nproc=1024:1024'];

/** @param chained further plugins after ours. */
export class PodmanHost {
  readonly #host: Host;
  readonly #folder: string;

  constructor(host: Host, chained: readonly object[] = []) {
    this.#host = host;
    this.#folder = join(host.folder, 'podman');
    for (const name of ['rootfs/usr', 'rootfs/etc', 'rootfs/run', 'net.d', 'plugins']) {
      mkdirSync(join(this.#folder, name), { recursive: true });
    }
    for (const name of ['proc', 'sys', 'dev', 'tmp']) mkdirSync(join(this.#folder, 'rootfs', name));
    for (const name of LINKS) {
      if (existsSync(`/${name}`)) symlinkSync(`usr/${name}`, join(this.#folder, 'rootfs', name));
    }
    this.#write('net.d/10-weave.conflist', [
      JSON.stringify({
        ...{ cniVersion: '0.4.0', name: NETWORK },
        plugins: [{ type: 'weave-net' }, ...chained],
      }),
    ]);
    this.#write('containers.conf', [
      '[network]',
      'network_backend = "cni"',
      `network_config_dir = "${join(this.#folder, 'net.d')}"`,
      `cni_plugin_dirs = ["${join(this.#folder, 'plugins')}", "/usr/lib/cni"]`,
      '[engine]',
      'runtime = "runc"',
      'cgroup_manager = "cgroupfs"',
      'events_logger = "none"',
    ]);
    this.#write('plugins/weave-net', [
      '#!/bin/sh',
      `export WEAVE_SOCKET=${host.socketPath} WEAVE_CNI_STATE=${join(host.folder, 'cni')}`,
      `exec ${process.execPath} ${WEAVE_NET}`,
    ]);
    chmodSync(join(this.#folder, 'plugins/weave-net'), 0o755);
  }

  /** Podman in the host's network only: what it mounts must be seen by the router. */
  podman(...args: string[]): Promise<RunResult> {
    return run(this.#command(args), { env: this.#env, timeoutMs: TIMEOUT_MS });
  }

  get #env(): Record<string, string> {
    return { CONTAINERS_CONF: join(this.#folder, 'containers.conf') };
  }

  #command(args: readonly string[]): string[] {
    const own = ['root', 'runroot', 'tmpdir'].flatMap((name) => [
      `--${name}`,
      join(this.#folder, `storage-${name}`),
    ]);
    const inside = ['nsenter', `--net=/run/netns/${this.#host.netns}`];
    return [...inside, 'podman', '--storage-driver', 'vfs', ...own, ...args];
  }

  /** @throws Error with what it said. */
  async ok(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.podman(...args);
    if (code !== 0) throw new Error(`podman ${args.join(' ')}: ${code} ${stderr}`);
    return stdout.trim();
  }

  /** Starts a container that sleeps. @returns its address. */
  async start(name: string, ...options: string[]): Promise<string> {
    await this.ok(...this.#run(name, options));
    const path = `{{(index .NetworkSettings.Networks "${NETWORK}").IPAddress}}`;
    return await this.ok('inspect', '--format', path, name);
  }

  #run(name: string, options: readonly string[]): string[] {
    return [
      ...['run', '-d', '--name', name, '--network', NETWORK, '--cap-add', 'NET_RAW'],
      ...[...ULIMITS, ...options, '-v', '/usr:/usr:ro'],
      ...['--rootfs', join(this.#folder, 'rootfs'), 'sleep', '1000'],
    ];
  }

  /** Starts one, without waiting for it. Its process is podman's. */
  begin(name: string): { kill(signal: NodeJS.Signals): void; readonly ended: Promise<void> } {
    const [program, ...args] = this.#command(this.#run(name, [])) as [string, ...string[]];
    const child = spawn(program, args, { env: { ...process.env, ...this.#env }, stdio: 'ignore' });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    return { kill: (signal) => void child.kill(signal), ended };
  }

  /** Kills a container with its monitor, so that nobody sees it end. */
  async crash(name: string): Promise<void> {
    const pids = await this.ok('inspect', '--format', '{{.State.ConmonPid}} {{.State.Pid}}', name);
    for (const pid of pids.split(' ').map(Number)) {
      if (pid > 1) process.kill(pid, 'SIGKILL');
    }
  }

  /** @returns full ids, in the order of the names. */
  async ids(...names: string[]): Promise<string[]> {
    return (await this.ok('inspect', '--format', '{{.Id}}', ...names)).split('\n');
  }

  async remove(...names: string[]): Promise<void> {
    await this.ok('rm', '-f', '-t', '0', ...names);
  }

  async reaches(name: string, address: string): Promise<boolean> {
    const ping = ['exec', name, 'ping', '-n', '-c', '1', '-W', '1', address];
    return (await this.podman(...ping)).code === 0;
  }

  /** Removes all containers, whatever has happened. */
  async close(): Promise<void> {
    await this.podman('rm', '-f', '-a', '-t', '0');
  }

  #write(name: string, lines: readonly string[]): void {
    writeFileSync(join(this.#folder, name), `${lines.join('\n')}\n`);
  }
}

/** Podman can use CNI networks and run containers here. Else skips the test, with the reason. */
export function requirePodman(t: TestContext, host: Host): boolean {
  const merged = LINKS.every((name) => {
    return !existsSync(`/${name}`) || lstatSync(`/${name}`).isSymbolicLink();
  });
  const container = join(host.folder, 'podman-probe');
  mkdirSync(container);
  const config = join(container, 'containers.conf');
  writeFileSync(config, '[network]\nnetwork_backend = "cni"\n');
  const info = spawnSync('podman', ['info', '--format', '{{.Host.NetworkBackend}}'], {
    env: { ...process.env, CONTAINERS_CONF: config },
    encoding: 'utf8',
  });
  const works = merged && info.stdout?.trim() === 'cni';
  if (!works) t.skip('needs podman with its CNI backend, runc, and a merged /usr');
  return works;
}
