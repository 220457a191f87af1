/**
 * A laboratory of network namespaces: hosts, switches, routers and workloads of one test, with
 * everything removed at its end. Names carry `wt<pid>-`, so that a crashed run's leftovers can be
 * recognised and swept by the next one.
 */
import { spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { type RunOptions, type RunResult, run, runSync } from './shell.js';

const NETNS_FOLDER = '/run/netns';
const LEFTOVER = /^wt(\d+)-/;
/** Lines of each log shown when a test fails. */
const LOG_TAIL_LINES = 60;

/** Labs whose clean-up has not run yet, for the way out through a crash or a signal. */
const openLabs = new Set<Lab>();
let exitHandlersSet = false;

function setExitHandlers(): void {
  if (exitHandlersSet) return;
  exitHandlersSet = true;
  process.on('exit', () => {
    for (const lab of openLabs) lab.close();
  });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => process.exit(1));
  }
}

export interface BackgroundProcess {
  readonly pid: number;
  readonly logPath: string;
  /** Resolves with the exit code, or null for a signal. */
  readonly ended: Promise<number | null>;
  running(): boolean;
  kill(signal: NodeJS.Signals): void;
}

export class Lab {
  /** All names made here begin with this. */
  readonly prefix: string;
  /** Private to this lab, removed at its end. */
  readonly folder: string;
  readonly #netns: string[] = [];
  readonly #processes = new Set<BackgroundProcess>();
  readonly #logs: string[] = [];
  readonly #undo: (() => void)[] = [];
  static #count = 0;

  constructor() {
    setExitHandlers();
    sweepLeftovers();
    Lab.#count += 1;
    // The counter keeps two labs of one process apart.
    this.prefix = `wt${process.pid}-${Lab.#count}`;
    this.folder = mkdtempSync(join(tmpdir(), 'weave-lab-'));
    openLabs.add(this);
  }

  /** A lab that ends with the test; when the test failed its logs are shown. */
  static forTest(t: TestContext): Lab {
    const lab = new Lab();
    t.after(() => lab.close());
    return lab;
  }

  /** Runs the body of a test; on failure shows the end of every log before passing it on. */
  async explain(t: TestContext, body: () => Promise<void>): Promise<void> {
    try {
      await body();
    } catch (error) {
      for (const log of this.#logs) {
        if (!existsSync(log)) continue;
        const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
        t.diagnostic(`--- ${log}\n${lines.slice(-LOG_TAIL_LINES).join('\n')}`);
      }
      throw error;
    }
  }

  /** Makes a namespace with loopback up. @returns its full name, as `ip netns` shows it. */
  addNetns(label: string): string {
    const name = `${this.prefix}-${label}`;
    this.#netns.push(name);
    runSync(['ip', 'netns', 'add', name]);
    this.ip(name, ['link set lo up']);
    // Without these a fresh IPv6 address is unusable for a second and hosts meet router adverts.
    this.sysctl(name, 'net/ipv6/conf/default/accept_dad', '0');
    this.sysctl(name, 'net/ipv6/conf/all/accept_ra', '0');
    return name;
  }

  /** Commands of the `ip` tool in one namespace, without the leading word `ip`. */
  ip(netns: string, commands: readonly string[]): void {
    runSync(['ip', '-n', netns, '-batch', '-'], `${commands.join('\n')}\n`);
  }

  /** One nftables transaction in a namespace. */
  nft(netns: string, ruleset: string): void {
    runSync(['ip', 'netns', 'exec', netns, 'nft', '-f', '-'], ruleset);
  }

  sysctl(netns: string, key: string, value: string): void {
    runSync(['ip', 'netns', 'exec', netns, 'tee', `/proc/sys/${key}`], value);
  }

  /** A cable: one veth end in each namespace, both up. */
  cable(
    a: { netns: string; device: string },
    b: { netns: string; device: string },
    mtu: number,
  ): void {
    this.ip(a.netns, [
      `link add ${a.device} mtu ${mtu} type veth peer name ${b.device} mtu ${mtu} netns ${b.netns}`,
      `link set ${a.device} up`,
    ]);
    this.ip(b.netns, [`link set ${b.device} up`]);
  }

  /** Runs a program in a namespace to its end. */
  exec(netns: string, argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return run(['ip', 'netns', 'exec', netns, ...argv], options);
  }

  /** Runs a program in a namespace until it ends by itself, is killed, or the lab closes. */
  start(
    netns: string,
    argv: readonly string[],
    options: { label: string; cwd?: string; env?: Readonly<Record<string, string>> },
  ): BackgroundProcess {
    const logPath = join(this.folder, `${options.label}.log`);
    if (!this.#logs.includes(logPath)) this.#logs.push(logPath);
    const log = openSync(logPath, 'a', 0o600);
    // `ip netns exec` replaces itself by the program, so the child's pid is the program's.
    const child = spawn('ip', ['netns', 'exec', netns, ...argv], {
      cwd: options.cwd ?? this.folder,
      env: { ...process.env, ...options.env },
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    let running = true;
    const ended = new Promise<number | null>((resolve) => {
      child.once('exit', (code) => {
        running = false;
        resolve(code);
      });
      child.once('error', () => {
        running = false;
        resolve(127);
      });
    });
    const background: BackgroundProcess = {
      pid: child.pid ?? -1,
      logPath,
      ended,
      running: () => running,
      kill: (signal) => {
        if (running) child.kill(signal);
      },
    };
    this.#processes.add(background);
    return background;
  }

  /** Paths of all logs written so far. */
  logs(): readonly string[] {
    return this.#logs;
  }

  /** The namespace ends before the lab does, with all that runs in it. */
  removeNetns(name: string): void {
    removeNetns(name);
  }

  /** Something else that is to be undone at the end. */
  onClose(undo: () => void): void {
    this.#undo.push(undo);
  }

  /** Kills what runs, removes namespaces and files. Safe to call twice. */
  close(): void {
    if (!openLabs.delete(this)) return;
    for (const process of this.#processes) process.kill('SIGKILL');
    for (const name of this.#netns) removeNetns(name);
    for (const undo of this.#undo) undo();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function tryRun(argv: readonly string[]): string {
  try {
    return runSync(argv);
  } catch {
    return '';
  }
}

/** A namespace lives as long as a process is in it, so those go first. */
function removeNetns(name: string): void {
  for (const pid of tryRun(['ip', 'netns', 'pids', name]).split('\n')) {
    if (pid === '' || Number(pid) === process.pid) continue;
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // It ended in between.
    }
  }
  tryRun(['ip', 'netns', 'del', name]);
}

/** Removes namespaces of test runs whose process is gone. */
function sweepLeftovers(): void {
  if (!existsSync(NETNS_FOLDER)) return;
  for (const name of readdirSync(NETNS_FOLDER)) {
    const pid = LEFTOVER.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) removeNetns(name);
  }
}
