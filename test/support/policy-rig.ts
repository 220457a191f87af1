/** Pods as namespaces on the bridges of one or two nodes, each with an agent that connects. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Lab } from './lab.js';
import type { Trial } from './policy-agent.js';
import { projectRoot } from './vectors.js';
import { holdFor, waitFor } from './wait.js';

const DEADLINE_MS = 60_000;
/** What shall not arrive gets this long after all that shall has arrived. */
const SETTLE_MS = 150;
const GATEWAY = '10.32.0.1';
const PORTS = ['79', '80', '81', '85', '90', '91'];

export interface Try {
  readonly from: string;
  readonly to: string;
  readonly protocol: string;
  readonly port: number;
  readonly expected: boolean;
}

export class PolicyRig {
  readonly #lab: Lab;
  readonly #nodes: readonly string[];
  readonly #agents: ChildProcess[] = [];
  readonly #agentOf = new Map<string, ChildProcess>();
  readonly #succeeded = new Set<number>();
  #ready = 0;
  #lastId = 0;

  /** @param count of nodes; their bridges are joined as the overlay joins them. */
  constructor(lab: Lab, count: 1 | 2) {
    this.#lab = lab;
    this.#nodes = Array.from({ length: count }, (_, index) => {
      const node = lab.addNetns(`n${index + 1}`);
      // No spanning tree and no forwarding delay: ports pass frames at once.
      lab.ip(node, ['link add weave type bridge stp_state 0 forward_delay 0', 'link set weave up']);
      lab.sysctl(node, 'net/bridge/bridge-nf-call-iptables', '1');
      lab.sysctl(node, 'net/bridge/bridge-nf-call-ip6tables', '1');
      lab.sysctl(node, 'net/ipv4/ip_forward', '1');
      return node;
    });
    const [first = '', second] = this.#nodes;
    lab.ip(first, [
      `addr add ${GATEWAY}/12 dev weave`,
      'link add outside type bridge stp_state 0 forward_delay 0',
      'addr add 203.0.113.1/24 dev outside',
      'link set outside up',
    ]);
    this.#startAgent(['203.0.113.1'], first);
    if (second === undefined) return;
    lab.cable({ netns: first, device: 'other' }, { netns: second, device: 'other' }, 1500);
    for (const node of this.#nodes) lab.ip(node, ['link set other master weave']);
  }

  /** Name of a node's namespace. */
  netnsOf(node: number): string {
    return this.#nodes[node] ?? '';
  }

  /** @param node its index. @param ipv6 a second address; it reaches other pods only. */
  addPod(ip: string, node: number, ipv6?: string): void {
    const netns = this.#add(ip, `${ip}/12`, 'weave', this.#nodes[node] ?? '', GATEWAY);
    if (ipv6 !== undefined) this.#lab.ip(netns, [`addr add ${ipv6}/64 dev eth0 nodad`]);
    this.#startAgent(ipv6 === undefined ? [ip] : [ip, ipv6], netns);
  }

  addOutside(ip: string): void {
    const netns = this.#add(ip, `${ip}/24`, 'outside', this.#nodes[0] ?? '', '203.0.113.1');
    this.#startAgent([ip], netns);
  }

  async ready(): Promise<void> {
    await waitFor('ready agents', DEADLINE_MS, () => this.#ready === this.#agents.length);
  }

  nft(node: number, script: string): void {
    if (script !== '') this.#lab.nft(this.#nodes[node] ?? '', script);
  }

  async table(node: number): Promise<unknown> {
    const argv = ['nft', '-j', 'list', 'table', 'inet', 'weave-npc'];
    const { stdout } = await this.#lab.exec(this.#nodes[node] ?? '', argv);
    return JSON.parse(stdout);
  }

  /** Tries all at once. @returns what did not go as expected, in words. */
  async attempt(tries: readonly Try[]): Promise<string[]> {
    const numbered = tries.map((one) => ({ ...one, id: ++this.#lastId }));
    for (const [ip, agent] of this.#agentOf) {
      const trials: Trial[] = numbered.filter(({ from }) => from === ip);
      if (trials.length > 0) agent.stdin?.write(`${JSON.stringify({ try: trials })}\n`);
    }
    const missing = (): typeof numbered =>
      numbered.filter(({ id, expected }) => expected && !this.#succeeded.has(id));
    await waitFor('all allowed connections', DEADLINE_MS, () => missing().length === 0, 10).catch(
      () => {},
    );
    await holdFor(SETTLE_MS);
    for (const agent of this.#agents) agent.stdin?.write('{"stop":true}\n');
    return numbered
      .filter(({ id, expected }) => this.#succeeded.has(id) !== expected)
      .map(
        ({ from, to, protocol, port, expected }) =>
          `${from} > ${to} ${protocol}/${port} should be ${expected ? 'allowed' : 'denied'}`,
      );
  }

  /** @returns its namespace. */
  #add(ip: string, address: string, bridge: string, node: string, gateway: string): string {
    const label = ip.replaceAll('.', '-');
    const netns = this.#lab.addNetns(label);
    const device = `v${label}`.slice(0, 15);
    this.#lab.cable({ netns: node, device }, { netns, device: 'eth0' }, 1500);
    this.#lab.ip(node, [`link set ${device} master ${bridge}`]);
    this.#lab.ip(netns, [`addr add ${address} dev eth0`, `route add default via ${gateway}`]);
    return netns;
  }

  #startAgent(ips: readonly string[], netns: string): void {
    const script = join(projectRoot, 'dist/test/support/policy-agent.js');
    const agent = spawn('ip', ['netns', 'exec', netns, process.execPath, script, ...PORTS], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    // It may end before the last command is written.
    agent.stdin.on('error', () => {});
    createInterface({ input: agent.stdout }).on('line', (line) => {
      const { success } = JSON.parse(line) as { success?: number };
      if (success === undefined) this.#ready += 1;
      else this.#succeeded.add(success);
    });
    this.#agents.push(agent);
    for (const ip of ips) this.#agentOf.set(ip, agent);
    this.#lab.onClose(() => agent.kill('SIGKILL'));
  }
}
