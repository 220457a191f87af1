/**
 * One host of a lab: a namespace with an underlay address, a router process in it, the command
 * line and the API of that router, and faults of its underlay.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { request } from 'node:http';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BackgroundProcess, Lab } from './lab.js';
import type { RunResult } from './shell.js';
import { FINE_INTERVAL_MS, waitFor } from './wait.js';

const distRoot = join(dirname(fileURLToPath(import.meta.url)), '../..');
export const WEAVER = join(distRoot, 'router/main.js');
export const WEAVE = join(distRoot, 'cli/weave.js');

/** A router that does not answer by then will not any more. */
const START_DEADLINE_MS = 15_000;
export const ESTABLISH_DEADLINE_MS = 20_000;
const API_TIMEOUT_MS = 5_000;
/** USER_HZ, 100 on every Linux that Node runs on. */
const CLOCK_TICKS_PER_SECOND = 100;
/** Name of the nftables table that makes underlay faults inside a host's namespace. */
const FAULT_TABLE = 'inet underlay_faults';

export interface RouterOptions {
  readonly peers?: readonly string[];
  readonly password?: string;
  /** Further arguments of `weaver`. */
  readonly args?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Part of `GET /report` that tests look at. */
export interface ReportConnection {
  readonly Address: string;
  readonly Outbound: boolean;
  readonly State: string;
  readonly Info: string;
  readonly Attrs: Readonly<Record<string, string | number | boolean>> | null;
}

export interface Report {
  readonly Version: string;
  readonly Router: {
    readonly Name: string;
    readonly NickName: string;
    readonly Encryption: boolean;
    readonly Targets: readonly string[] | null;
    readonly Connections: readonly ReportConnection[] | null;
    readonly Peers: readonly { readonly Name: string; readonly NickName: string }[] | null;
  };
  /** Only our routers have it. */
  readonly WeaveNet?: {
    readonly Connections: readonly { readonly ProtocolVersion: number | null }[];
  };
}

/** How a kind of router is started and where it answers; the project's own unless stated. */
export interface RouterKind {
  readonly argv: (host: Host, options: RouterOptions) => readonly string[];
  readonly env: (host: Host, options: RouterOptions) => Readonly<Record<string, string>>;
}

export const ownRouter: RouterKind = {
  argv: (host, options) => [
    process.execPath,
    WEAVER,
    ...['--name', host.name, '--nickname', host.nickname],
    ...['--db-prefix', join(host.folder, 'db'), '--socket', host.socketPath],
    ...['--http-addr', '127.0.0.1:6784', '--status-addr', '127.0.0.1:6782'],
    // Tests of the allocator set their range, which wins; the others have no use for one.
    ...['--ipalloc-range', '', '--docker-api', ''],
    ...(options.args ?? []),
    ...(options.peers ?? []),
  ],
  env: (_host, options) => (options.password ? { WEAVE_PASSWORD: options.password } : {}),
};

export class Host {
  readonly lab: Lab;
  readonly label: string;
  readonly netns: string;
  /** Underlay address. */
  readonly address: string;
  readonly name: string;
  readonly nickname: string;
  /** Working directory and database of the router; survives its restarts. */
  readonly folder: string;
  readonly socketPath: string;
  readonly kind: RouterKind;
  router: BackgroundProcess | null = null;

  /** @param index 1…254, makes the peer name `7a:00:00:00:00:<index>`. */
  constructor(lab: Lab, index: number, netns: string, address: string, kind = ownRouter) {
    this.lab = lab;
    this.label = `h${index}`;
    this.netns = netns;
    this.address = address;
    this.name = `7a:00:00:00:00:${index.toString(16).padStart(2, '0')}`;
    this.nickname = `host${index}`;
    this.folder = join(lab.folder, this.label);
    this.socketPath = join(this.folder, 'weave.sock');
    this.kind = kind;
    mkdirSync(this.folder, { mode: 0o700 });
  }

  /** Starts the router without waiting for it. */
  spawnRouter(options: RouterOptions = {}): BackgroundProcess {
    this.router = this.lab.start(this.netns, this.kind.argv(this, options), {
      label: this.label,
      cwd: this.folder,
      env: { CHECKPOINT_DISABLE: '1', ...this.kind.env(this, options), ...options.env },
    });
    return this.router;
  }

  /** Starts the router and waits until its status page answers. @returns milliseconds it took. */
  async startRouter(options: RouterOptions = {}): Promise<number> {
    const startedMs = performance.now();
    const router = this.spawnRouter(options);
    const what = `answer of the router on ${this.label}`;
    const answers = async (): Promise<boolean> => {
      // The probe is asked again after an exception, but a process that ended stays ended.
      if (!router.running()) return true;
      return (await this.api('GET', '/status')).status === 200;
    };
    await waitFor(what, START_DEADLINE_MS, answers, FINE_INTERVAL_MS);
    if (!router.running()) {
      throw new Error(`no ${what}: ${readFileSync(router.logPath, 'utf8').slice(-2000)}`);
    }
    return performance.now() - startedMs;
  }

  /** Ends the router with a signal. @returns its exit code, null if the signal killed it. */
  async stopRouter(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const router = this.router;
    if (router === null) return null;
    router.kill(signal);
    const deadline = setTimeout(() => router.kill('SIGKILL'), START_DEADLINE_MS);
    const code = await router.ended;
    clearTimeout(deadline);
    this.router = null;
    return code;
  }

  /** The command line `weave` on this host. */
  weave(...args: string[]): Promise<RunResult> {
    const env = { WEAVE_SOCKET: this.socketPath };
    return this.lab.exec(this.netns, [process.execPath, WEAVE, ...args], { env });
  }

  /** `weave` that must succeed. @returns what it printed. */
  async weaveOk(...args: string[]): Promise<string> {
    const result = await this.weave(...args);
    if (result.code !== 0) {
      throw new Error(`weave ${args.join(' ')} ended with ${result.code}: ${result.stderr}`);
    }
    return result.stdout;
  }

  /** One call of the control API through the Unix socket, which needs no namespace. */
  api(
    method: string,
    path: string,
    body = '',
    headers: Readonly<Record<string, string>> = {},
    timeoutMs = API_TIMEOUT_MS,
  ): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const call = request(
        {
          socketPath: this.socketPath,
          method,
          path,
          headers: { Host: 'localhost', ...headers },
          timeout: timeoutMs,
        },
        (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body: text }));
        },
      );
      call.on('timeout', () => call.destroy(new Error('no answer from the API')));
      call.on('error', reject);
      call.end(body);
    });
  }

  async report(): Promise<Report> {
    const answer = await this.api('GET', '/report', '', { Accept: 'application/json' });
    return JSON.parse(answer.body) as Report;
  }

  async connections(): Promise<readonly ReportConnection[]> {
    return (await this.report()).Router.Connections ?? [];
  }

  /** The established connection to another host, once there is one. */
  waitEstablished(other: Host, deadlineMs = ESTABLISH_DEADLINE_MS): Promise<ReportConnection> {
    const what = `established connection of ${this.label} to ${other.label}`;
    return waitFor(what, deadlineMs, async () =>
      (await this.connections()).find(
        (c) => c.State === 'established' && c.Info.includes(other.name),
      ),
    );
  }

  /** Drops every underlay packet that arrives from these hosts. */
  block(...others: readonly Host[]): void {
    const rules = others.map((o) => `add rule ${FAULT_TABLE} arrive ip saddr ${o.address} drop`);
    this.lab.nft(this.netns, [...this.#faultTable(), ...rules].join('\n'));
  }

  /** Drops a share of all arriving underlay packets, each by its own throw of the dice. */
  lose(percent: number): void {
    const rule = `add rule ${FAULT_TABLE} arrive iifname eth0 numgen random mod 100 < ${percent} drop`;
    this.lab.nft(this.netns, [...this.#faultTable(), rule].join('\n'));
  }

  /** Ends all faults made by `block` and `lose`. */
  heal(): void {
    this.lab.nft(this.netns, this.#faultTable().slice(0, 2).join('\n'));
  }

  /** Add-delete-add gives an empty table whether or not there was one. */
  #faultTable(): string[] {
    return [
      `add table ${FAULT_TABLE}`,
      `delete table ${FAULT_TABLE}`,
      `add table ${FAULT_TABLE}`,
      `add chain ${FAULT_TABLE} arrive { type filter hook prerouting priority -300; }`,
    ];
  }

  /** Processor time the router has used so far, user and system, in seconds. */
  cpuSeconds(): number {
    const stat = readFileSync(`/proc/${this.router?.pid}/stat`, 'utf8');
    // Fields 14 and 15 of proc(5), counted behind the name, which may hold blanks.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_SECOND;
  }

  /** Resident memory of the router's process in bytes. */
  residentBytes(): number {
    const status = readFileSync(`/proc/${this.router?.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
  }
}
