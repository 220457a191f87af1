/**
 * One node with pods, for tests and benchmarks of the policy controller: a namespace for the host
 * with the bridge `weave`, and namespaces that each stand for several pods, an address each. A pod
 * reaches pods of the other namespaces through the bridge, as on a real node.
 *
 *   pods 0: 10.32.0.1 …  ──┐
 *   pods 1: 10.32.1.1 …  ──┤ bridge weave, 10.32.255.254/16, in the host's namespace
 *   …                    ──┘
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Lab } from './lab.js';

const AGENT = fileURLToPath(new URL('./pod-agent.js', import.meta.url));
export const POD_PORTS = [8080, 9090] as const;

export interface TryResult {
  readonly ok: boolean;
  /** Milliseconds since 1970. */
  readonly startedMs: number;
  readonly endedMs: number;
}

export interface HoldState {
  readonly open: number;
  readonly broken: number;
  /** The longest time since an answer came, of those that are open. */
  readonly quietMs: number;
}

type Waiting = (reply: Readonly<Record<string, unknown>>) => void;

/** A namespace with the agent in it. */
class PodHome {
  readonly netns: string;
  readonly #child: ChildProcess;
  /** BOUNDED by what the test asks at once. */
  readonly #waiting = new Map<number, Waiting>();
  readonly ready: Promise<void>;
  #nextId = 1;

  constructor(lab: Lab, netns: string) {
    this.netns = netns;
    this.#child = spawn(
      'ip',
      ['netns', 'exec', netns, process.execPath, AGENT, ...POD_PORTS.map(String)],
      { stdio: ['pipe', 'pipe', 'inherit'] },
    );
    lab.onClose(() => this.#child.kill('SIGKILL'));
    this.#child.stdin?.on('error', () => {});
    this.ready = new Promise((resolve) => this.#waiting.set(0, () => resolve()));
    const lines = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    lines.on('line', (line) => {
      const reply = JSON.parse(line) as { readonly id: number } & Record<string, unknown>;
      this.#waiting.get(reply.id)?.(reply);
      this.#waiting.delete(reply.id);
    });
  }

  ask<T>(order: Readonly<Record<string, unknown>>): Promise<T> {
    const id = this.#nextId++;
    this.#child.stdin?.write(`${JSON.stringify({ ...order, id })}\n`);
    return new Promise((resolve) => this.#waiting.set(id, (reply) => resolve(reply as T)));
  }
}

export class PodRig {
  readonly lab: Lab;
  /** Namespace of the host, where the controller runs. */
  readonly host: string;
  readonly #homes: PodHome[] = [];

  private constructor(lab: Lab) {
    this.lab = lab;
    this.host = lab.addNetns('node');
  }

  /** @param perHome pods of each namespace, at most 250. */
  static async start(lab: Lab, homes: number, perHome: number): Promise<PodRig> {
    const rig = new PodRig(lab);
    lab.ip(rig.host, [
      'link add weave type bridge',
      'addr add 10.32.255.254/16 dev weave',
      'link set weave up',
    ]);
    lab.sysctl(rig.host, 'net/bridge/bridge-nf-call-iptables', '1');
    lab.sysctl(rig.host, 'net/bridge/bridge-nf-call-ip6tables', '1');
    for (let home = 0; home < homes; home++) rig.#addHome(home, perHome);
    await Promise.all(rig.#homes.map(({ ready }) => ready));
    return rig;
  }

  static address(home: number, pod: number): string {
    return `10.32.${home}.${pod + 1}`;
  }

  tryConnect(from: string, to: string, port: number, timeoutMs: number): Promise<TryResult> {
    return this.#home(from).ask({ do: 'try', from, to, port, timeoutMs });
  }

  async hold(from: string, to: string, port: number, timeoutMs: number): Promise<boolean> {
    const order = { do: 'hold', from, to, port, timeoutMs };
    return (await this.#home(from).ask<{ ok: boolean }>(order)).ok;
  }

  /** Of all namespaces together. */
  async holds(): Promise<HoldState> {
    const states = await Promise.all(this.#homes.map((h) => h.ask<HoldState>({ do: 'holds' })));
    return {
      open: states.reduce((sum, { open }) => sum + open, 0),
      broken: states.reduce((sum, { broken }) => sum + broken, 0),
      quietMs: Math.max(...states.map(({ quietMs }) => quietMs)),
    };
  }

  /** Median in microseconds: of round trips on one connection, or of making new ones. */
  async cost(kind: 'rtt' | 'connects', from: string, to: string, count: number): Promise<number> {
    const order = { do: kind, from, to, port: POD_PORTS[0], count, timeoutMs: 5000 };
    return (await this.#home(from).ask<{ us: number }>(order)).us;
  }

  #home(address: string): PodHome {
    const home = this.#homes[Number(address.split('.')[2])];
    if (home === undefined) throw new Error(`${address} is no pod of this rig`);
    return home;
  }

  #addHome(home: number, pods: number): void {
    const netns = this.lab.addNetns(`p${home}`);
    const port = `pod${home}`;
    this.lab.cable({ netns, device: 'eth0' }, { netns: this.host, device: port }, 1376);
    this.lab.ip(this.host, [`link set ${port} master weave`]);
    const addresses = Array.from({ length: pods }, (_, pod) => PodRig.address(home, pod));
    this.lab.ip(
      netns,
      addresses.map((address) => `addr add ${address}/16 dev eth0`),
    );
    this.#homes.push(new PodHome(this.lab, netns));
  }
}
