/**
 * A cluster around a network of allocators: an API server that knows nodes and the record of peers,
 * answers late or not at all, and loses answers to writes that it has made; and on each host the
 * machine that keeps the record. Lists of nodes are behind, differently on each host.
 */
import assert from 'node:assert/strict';
import { formatPeerName, parsePeerName } from '../../core/peer-name.js';
import { readRecord } from '../../k8s/node/cluster-record.js';
import { Membership, type MembershipAction, type StoredRecord } from '../../k8s/node/membership.js';
import type { IpamHost } from './ipam-host.js';
import type { IpamWorld } from './ipam-world.js';
import type { SeededRandom } from './seeded-random.js';

const MAX_LATENCY_MS = 500;
const MAX_LAG_MS = 3_000;

interface Agent {
  readonly node: string;
  readonly host: IpamHost;
  readonly membership: Membership;
  /** Of the list of nodes that it has seen. */
  version: number;
}

export class ClusterWorld {
  readonly world: IpamWorld;
  readonly #random: SeededRandom;
  readonly #agents = new Map<IpamHost, Agent>();
  readonly nodes = new Set<string>();
  #nodesVersion = 0;
  #record: StoredRecord | null = null;
  #recordVersion = 0;
  /** Share of requests that fail, before or after they had their effect. */
  failures = 0;
  requests = 0;
  /** How often each peer was taken over, and by whom. */
  readonly removals = new Map<string, string[]>();

  constructor(world: IpamWorld, random: SeededRandom) {
    this.world = world;
    this.#random = random;
  }

  get peers(): readonly string[] {
    return readRecord(this.#record?.annotations ?? {}).peers.map(({ peer }) => peer);
  }

  /** For a seed that failed. */
  describe(): string {
    const problems = [...this.#agents.values()].map(
      ({ node, host, membership }) => `${node} ${host.name.toString(16)} ${membership.problem}`,
    );
    return [JSON.stringify(this.#record), [...this.nodes].join(), ...problems].join('\n');
  }

  /** Only then it may use addresses. */
  isListed(host: IpamHost): boolean {
    return this.#agents.get(host)?.membership.isListed === true;
  }

  addNode(node: string, host: IpamHost): void {
    this.nodes.add(node);
    this.#tellNodes();
    this.startAgent(node, host);
  }

  removeNode(node: string): void {
    this.nodes.delete(node);
    this.#tellNodes();
  }

  /** Also after a crash of the host, which ended the one before. */
  startAgent(node: string, host: IpamHost): void {
    const self = { peer: formatPeerName(host.name), node };
    const random = (): number => this.#random.float();
    const membership = new Membership(self, { random }, this.world.nowMs);
    const agent: Agent = { node, host, membership, version: -1 };
    this.#agents.set(host, agent);
    this.#listLater(agent);
    this.#run(agent);
  }

  stopAgent(host: IpamHost): void {
    this.#agents.delete(host);
  }

  #tellNodes(): void {
    this.#nodesVersion += 1;
    for (const agent of this.#agents.values()) this.#listLater(agent);
  }

  #listLater(agent: Agent): void {
    const version = this.#nodesVersion;
    const nodes = new Set(this.nodes);
    this.world.after(this.#random.float() * MAX_LAG_MS, () => {
      if (!this.#lives(agent) || version < agent.version) return;
      agent.version = version;
      agent.membership.handleNodes(nodes, this.world.nowMs);
    });
  }

  #lives(agent: Agent): boolean {
    return this.#agents.get(agent.host) === agent && agent.host.isUp;
  }

  #run(agent: Agent): void {
    if (!this.#lives(agent)) return;
    const { membership } = agent;
    membership.handleTimeout(this.world.nowMs);
    const action = membership.pollAction();
    if (action !== null) {
      this.#perform(agent, action);
      return;
    }
    // Nodes may change before it is due.
    const dueMs = (membership.nextTimeout()?.atMs ?? 0) - this.world.nowMs;
    this.world.after(Math.min(Math.max(dueMs, 1), 1_000), () => this.#run(agent));
  }

  #perform(agent: Agent, action: MembershipAction): void {
    const { membership, host } = agent;
    if (action.kind === 'remove') {
      host.takeOver(parsePeerName(action.peer), true, (refusal) => {
        if (!this.#lives(agent)) return;
        if (refusal !== null) membership.handleFailure(refusal, this.world.nowMs);
        else {
          this.#noteRemoval(action, agent);
          membership.handleRemoved();
        }
        this.#run(agent);
      });
      return;
    }
    this.requests += 1;
    const isLost = this.#random.chance(this.failures);
    const hasEffect = !isLost || this.#random.chance(0.5);
    this.world.after(this.#random.float() * MAX_LATENCY_MS, () => {
      const answer = hasEffect ? this.#serve(action) : () => {};
      this.world.after(this.#random.float() * MAX_LATENCY_MS, () => {
        if (!this.#lives(agent)) return;
        if (isLost) membership.handleFailure('no answer', this.world.nowMs);
        else answer(membership);
        this.#run(agent);
      });
    });
  }

  /** The effect now; the answer is given later. */
  #serve(action: MembershipAction): (membership: Membership) => void {
    const now = (): number => this.world.nowMs;
    if (action.kind === 'look-up') {
      const exists = this.nodes.has(action.node);
      return (membership) => membership.handleNode(exists, now());
    }
    if (action.kind === 'write') {
      if ((this.#record?.resourceVersion ?? null) !== action.resourceVersion) {
        return (membership) => membership.handleConflict(now());
      }
      this.#recordVersion += 1;
      this.#record = {
        annotations: action.annotations,
        resourceVersion: `${this.#recordVersion}`,
      };
    }
    const stored = this.#record;
    return (membership) => membership.handleRecord(stored, now());
  }

  #noteRemoval({ peer, node }: { peer: string; node: string }, agent: Agent): void {
    const takers = this.removals.get(peer) ?? [];
    if (process.env['SIM_TRACE'] !== undefined)
      console.log(`${this.world.nowMs} REMOVED ${peer} by ${agent.host.name}`);
    takers.push(formatPeerName(agent.host.name));
    this.removals.set(peer, takers);
    assert.ok(
      !this.nodes.has(node) || node === agent.node,
      `${peer} was removed although ${node} is in the cluster`,
    );
  }
}
