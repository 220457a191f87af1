/**
 * One host in a network namespace of its own, with workloads in further ones, for the tests of
 * router/host. The test process stays where it is; the tools it starts go inside.
 */
import { execFile } from 'node:child_process';
import type { TestContext } from 'node:test';
import { promisify } from 'node:util';
import { parseMac } from '../../core/mac.js';
import { HostNetwork, type HostNetworkOptions } from '../../router/host/host-network.js';
import { createHostModules, type HostModulesOptions } from '../../router/host/io/modules.js';
import { DEFAULT_BRIDGE_NAME, DEFAULT_TAP_NAME } from '../../router/host/names.js';
import type { HostModules } from '../../router/host/ports.js';

const execute = promisify(execFile);
const TOOL_TIMEOUT_MS = 20_000;
export const PEER_MAC = '82:00:00:00:00:01';

let rigs = 0;

export class HostRig {
  /** Log lines of all networks of this rig: level, text and fields. */
  readonly logged: string[] = [];
  readonly host: string;
  readonly #prefix: string;
  readonly #netns: string[] = [];
  readonly #modules: HostModules[] = [];

  private constructor(prefix: string) {
    this.#prefix = prefix;
    this.host = `${prefix}-host`;
  }

  static async create(t: TestContext): Promise<HostRig> {
    rigs += 1;
    const rig = new HostRig(`wtF-${process.pid}-${rigs}`);
    t.after(() => rig.#close());
    await rig.addNetns('host');
    return rig;
  }

  /** @returns the full name. */
  async addNetns(label: string): Promise<string> {
    const name = `${this.#prefix}-${label}`;
    await run('ip', 'netns', 'add', name);
    this.#netns.push(name);
    await run('ip', '-n', name, 'link', 'set', 'lo', 'up');
    return name;
  }

  /** A router's view of the host, as a freshly started router has it. */
  network(
    options: Partial<HostNetworkOptions> = {},
    modulesOptions: HostModulesOptions = {},
    adapt: (modules: HostModules) => HostModules = (modules) => modules,
  ): HostNetwork {
    const log = (level: string) => (text: string, fields?: object) => {
      this.logged.push(`${level} ${text} ${JSON.stringify(fields ?? {})}`);
    };
    const modules = createHostModules(
      { hostNetnsPath: `/run/netns/${this.host}`, engineSockets: [], ...modulesOptions },
      { error: log('error'), warn: log('warn'), info: log('info'), debug: log('debug') },
    );
    this.#modules.push(modules);
    const defaults: HostNetworkOptions = {
      bridge: DEFAULT_BRIDGE_NAME,
      tapName: DEFAULT_TAP_NAME,
      mtu: null,
      peerMac: parseMac(PEER_MAC),
      apiPort: 6784,
    };
    return new HostNetwork({ ...defaults, ...options }, adapt(modules));
  }

  async up(options: Partial<HostNetworkOptions> = {}): Promise<HostNetwork> {
    const network = this.network(options);
    await network.setUp();
    return network;
  }

  /** Runs `ip` on the host. */
  ip(...args: string[]): Promise<string> {
    return run('ip', '-n', this.host, ...args);
  }

  inside(netns: string, ...argv: string[]): Promise<string> {
    return run('ip', 'netns', 'exec', netns, ...argv);
  }

  /** @returns whether one of two pings came back. */
  async pings(netns: string, address: string): Promise<boolean> {
    try {
      await this.inside(netns, 'ping', '-n', '-c2', '-i0.2', '-W1', address);
      return true;
    } catch {
      return false;
    }
  }

  /** IPv4 addresses of one interface with prefix, in the kernel's order. */
  async addresses(netns: string, device: string): Promise<string[]> {
    const text = await run('ip', '-n', netns, '-o', '-4', 'addr', 'show', 'dev', device);
    return [...text.matchAll(/inet (\S+)/g)].map((match) => match[1] as string);
  }

  rules(netns = this.host): Promise<string> {
    return this.inside(netns, 'nft', 'list', 'ruleset');
  }

  async #close(): Promise<void> {
    for (const modules of this.#modules) modules.netns.host.close();
    for (const name of this.#netns) await run('ip', 'netns', 'del', name).catch(() => {});
  }
}

/** @returns what it printed. @throws with its error text */
export async function run(program: string, ...args: string[]): Promise<string> {
  const { stdout } = await execute(program, args, { timeout: TOOL_TIMEOUT_MS, encoding: 'utf8' });
  return stdout;
}

/** For `assert.rejects`: an error with this code. */
export function hasCode(code: string): (error: unknown) => boolean {
  return (error) => {
    const actual = (error as { code?: unknown }).code;
    if (actual === code) return true;
    throw new Error(`code ${String(actual)} instead of ${code}: ${String(error)}`);
  };
}
