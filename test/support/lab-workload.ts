/** A workload of a lab: a namespace on a host's bridge, with tools to move traffic. */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { BackgroundProcess } from './lab.js';
import type { Host } from './lab-host.js';
import { type RunOptions, type RunResult, run, runSync } from './shell.js';

export const AGENT = join(dirname(fileURLToPath(import.meta.url)), 'agent.js');

export interface PingResult {
  readonly sent: number;
  readonly received: number;
  readonly output: string;
}

export interface PingOptions {
  readonly count?: number;
  readonly intervalSeconds?: number;
  readonly payloadBytes?: number;
  /** Do not fragment, and let path MTU discovery work. */
  readonly df?: boolean;
}

export class Workload {
  readonly host: Host;
  readonly netns: string;
  readonly cidr: string;
  readonly label: string;

  private constructor(host: Host, label: string, cidr: string, netns = host.lab.addNetns(label)) {
    this.host = host;
    this.label = label;
    this.netns = netns;
    this.cidr = cidr;
  }

  /** Overlay address without prefix. */
  get address(): string {
    return this.cidr.split('/')[0] as string;
  }

  /** Attached through the command line, as a user does it. @param options of `weave attach`. */
  static async attach(
    host: Host,
    label: string,
    cidr: string,
    options: readonly string[] = [],
  ): Promise<Workload> {
    const workload = new Workload(host, label, cidr);
    await host.weaveOk('attach', cidr, ...options, workload.netns);
    return workload;
  }

  /** Attached with an address that the allocator chooses. @param words e.g. `net:10.36.1.0/24` */
  static async join(host: Host, label: string, ...words: string[]): Promise<Workload> {
    const netns = host.lab.addNetns(label);
    const text = await host.weaveOk('attach', ...words, netns, '--output', 'json');
    const { addresses } = JSON.parse(text) as { addresses: string[] };
    return new Workload(host, label, addresses[0] as string, netns);
  }

  /**
   * Plugged into the bridge by hand, for routers whose command line is not at hand.
   * @param mtu of its interface.
   */
  static plug(host: Host, label: string, cidr: string, mtu: number): Workload {
    const workload = new Workload(host, label, cidr);
    const device = `v${label}`;
    host.lab.cable({ netns: host.netns, device }, { netns: workload.netns, device: 'ethwe' }, mtu);
    host.lab.ip(host.netns, [`link set ${device} master weave`]);
    // The original captures frames before the kernel has filled in their checksums.
    runSync(['ip', 'netns', 'exec', workload.netns, 'ethtool', '-K', 'ethwe', 'tx', 'off']);
    host.lab.ip(workload.netns, [`addr add ${cidr} dev ethwe`, 'route add 224.0.0.0/4 dev ethwe']);
    return workload;
  }

  exec(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return this.host.lab.exec(this.netns, argv, options);
  }

  async ping(address: string, options: PingOptions = {}): Promise<PingResult> {
    const { count = 3, intervalSeconds = 0.1, payloadBytes = 56, df = false } = options;
    // Without a deadline ping waits only twice the longest round trip for its last answer, which
    // a busy machine exceeds.
    const deadlineSeconds = Math.ceil(count * intervalSeconds) + 2;
    const flags = ['-n', '-c', `${count}`, '-i', `${intervalSeconds}`, '-w', `${deadlineSeconds}`];
    if (df) flags.push('-M', 'do');
    const result = await this.exec(['ping', ...flags, '-s', `${payloadBytes}`, address]);
    const numbers = /(\d+) packets transmitted, (\d+) received/.exec(result.stdout);
    return {
      sent: Number(numbers?.[1] ?? 0),
      received: Number(numbers?.[2] ?? 0),
      output: `${result.stdout}${result.stderr}`,
    };
  }

  /** Whether one echo request is answered; for polling. */
  async reaches(address: string): Promise<boolean> {
    return (await this.exec(['ping', '-n', '-c', '1', '-W', '1', address])).code === 0;
  }

  /** Starts a verb of `agent.ts` in the background; its output goes to the log. */
  agent(verb: string, ...args: string[]): BackgroundProcess {
    const label = `${this.label}-${verb}`;
    return this.host.lab.start(this.netns, [process.execPath, AGENT, verb, ...args], { label });
  }

  /** Runs a verb of `agent.ts` to its end. @returns the JSON object it printed. */
  async agentResult<T>(timeoutMs: number, verb: string, ...args: string[]): Promise<T> {
    return agentIn<T>(this.netns, timeoutMs, verb, ...args);
  }
}

/** Runs a verb of `agent.ts` in any namespace. */
export async function agentIn<T>(
  netns: string,
  timeoutMs: number,
  verb: string,
  ...args: string[]
): Promise<T> {
  const argv = ['ip', 'netns', 'exec', netns, process.execPath, AGENT, verb, ...args];
  const result = await run(argv, { timeoutMs });
  if (result.code !== 0) throw new Error(`agent ${verb}: ${result.code} ${result.stderr}`);
  return JSON.parse(result.stdout) as T;
}
