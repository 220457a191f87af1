/**
 * A seeded network of routers in one process: latency, cut links, blocked UDP, partitions, crashes.
 * Time jumps from event to event. Addresses are 10.0.0.N, all routers listen on port 6783.
 */
import assert from 'node:assert/strict';
import { formatPeerName, type PeerName } from '../../core/peer-name.js';
import { EventQueue } from './event-queue.js';
import type { SeededRandom } from './seeded-random.js';
import { SimNode, type SimNodeOptions } from './sim-node.js';
import { SimSocket } from './sim-socket.js';
import type { SimHost, SimNetworkOptions, SimWorld } from './sim-world.js';

const DEFAULTS: SimNetworkOptions = { minLatencyMs: 1, maxLatencyMs: 40, blockProbability: 0.1 };
const DIAL_TIMEOUT_MS = 30_000;
const CHECK_MS = 250;

export class SimNetwork implements SimWorld {
  readonly events = new EventQueue();
  readonly random: SeededRandom;
  readonly options: SimNetworkOptions;
  readonly #nodes = new Map<string, SimNode>();
  /** Pairs of addresses that cannot speak TCP, or UDP. */
  readonly #cut = new Set<string>();
  readonly #udpBlocked = new Set<string>();
  #nextConnId = 1;
  #nextPort = 40_000;

  constructor(random: SeededRandom, options: Partial<SimNetworkOptions> = {}) {
    this.random = random;
    this.options = { ...DEFAULTS, ...options };
  }

  get nowMs(): number {
    return this.events.nowMs;
  }

  get nodes(): SimNode[] {
    return [...this.#nodes.values()];
  }

  /** @param host the last number of the address; the name's if absent */
  addNode(options: SimNodeOptions, host: number = options.name): SimNode {
    const node = new SimNode(options, `10.0.0.${host}`, this);
    this.#nodes.set(node.ip, node);
    return node;
  }

  /** Names 1 … count, not connected. */
  addNodes(count: number, options: Partial<SimNodeOptions> = {}): SimNode[] {
    return Array.from({ length: count }, (_, i) =>
      this.addNode({ ...options, name: (i + 1) as PeerName }),
    );
  }

  /** The process dies and a new one starts with the same name at the same address. */
  restart(node: SimNode, options: Partial<SimNodeOptions> = {}): SimNode {
    node.kill();
    return this.addNode({ name: node.name, ...options }, Number(node.ip.split('.')[3]));
  }

  cut(a: SimNode, b: SimNode): void {
    this.#cut.add(pairOf(a.ip, b.ip));
  }

  /** Cuts every link between the two groups. */
  partition(left: readonly SimNode[], right: readonly SimNode[]): void {
    for (const a of left) for (const b of right) this.cut(a, b);
  }

  heal(): void {
    this.#cut.clear();
  }

  blockUdp(a: SimNode, b: SimNode): void {
    this.#udpBlocked.add(pairOf(a.ip, b.ip));
  }

  unblockUdp(): void {
    this.#udpBlocked.clear();
  }

  reachable(a: string, b: string): boolean {
    return !this.#cut.has(pairOf(a, b));
  }

  latencyMs(): number {
    const { minLatencyMs, maxLatencyMs } = this.options;
    return minLatencyMs + this.random.float() * (maxLatencyMs - minLatencyMs);
  }

  sendDatagram(from: string, to: string, overlay: string, connectionUid: bigint): void {
    const pair = pairOf(from, to);
    if (this.#cut.has(pair) || this.#udpBlocked.has(pair)) return;
    this.events.after(this.latencyMs(), () => {
      const target = this.#nodes.get(to)?.overlays.find(({ name }) => name === overlay);
      target?.handleHeartbeat(connectionUid);
    });
  }

  dial(from: SimHost, address: string, direct: boolean): void {
    const [ip, port] = address.split(':') as [string, string];
    const fail = (text: string): void =>
      from.input((nowMs) => {
        const error = { code: 'tcp-failed', text: `dial tcp :0->${address}: connect: ${text}` };
        from.mesh.handleDialFailed(address, error, nowMs);
      });
    if (!this.reachable(from.ip, ip)) {
      this.events.after(DIAL_TIMEOUT_MS, () => fail('connection timed out'));
      return;
    }
    this.events.after(this.latencyMs(), () => {
      const to = this.#nodes.get(ip);
      if (to?.alive === true && port === '6783') this.#join(from, to, address, direct);
      else fail('connection refused');
    });
  }

  /** A random open connection is reset. @returns false if there is none. */
  breakConnection(): boolean {
    const sockets = this.nodes.flatMap((node) => [...node.sockets.values()]);
    if (sockets.length === 0) return false;
    this.random.pick(sockets).breakOff();
    return true;
  }

  run(durationMs: number): void {
    this.events.runTo(this.nowMs + durationMs);
  }

  /** Runs until the condition holds. @throws if it does not within the time. */
  runUntil(condition: () => boolean, limitMs: number, what: string): void {
    const endMs = this.nowMs + limitMs;
    while (!condition()) {
      assert.ok(this.nowMs < endMs, `${what}: not within ${limitMs} ms\n${this.describe()}`);
      this.events.runTo(this.nowMs + CHECK_MS);
    }
  }

  /** For failure messages. */
  describe(): string {
    const lines = this.nodes.map((node) => {
      const connections = node
        .status()
        .connections.map(
          ({ state, address, outbound, lastError }) =>
            `${outbound ? '->' : '<-'}${address} ${state} ${lastError?.text ?? ''}`,
        );
      return `${formatPeerName(node.name)} ${node.ip}: ${connections.join('; ')}`;
    });
    return lines.join('\n');
  }

  #join(from: SimHost, to: SimHost, address: string, direct: boolean): void {
    if (!from.alive) return;
    const near = new SimSocket(this.#nextConnId++, from, this);
    const far = new SimSocket(this.#nextConnId++, to, this);
    near.peer = far;
    far.peer = near;
    from.sockets.set(near.connId, near);
    to.sockets.set(far.connId, far);
    const source = `${from.ip}:${this.#nextPort++}`;
    from.input((nowMs) => {
      const socket = { connId: near.connId, remoteAddr: address, localAddr: source };
      from.mesh.handleDialed(socket, direct, nowMs);
    });
    to.input((nowMs) => {
      const socket = { connId: far.connId, remoteAddr: source, localAddr: address };
      to.mesh.handleAccepted(socket, nowMs);
    });
  }
}

function pairOf(a: string, b: string): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
