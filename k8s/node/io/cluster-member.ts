/**
 * This node's part in the cluster: follows the list of nodes, tells the router whom to call, keeps
 * the record of peers, and has addresses of nodes that left taken over.
 *
 * What the API server hears, per node: one list and a watch that is renewed every five minutes; the
 * record every ten minutes, and once within five seconds after a node left. For each node that
 * left, one of all makes four further requests. A failure is tried again after a second at first
 * and a minute at most.
 */
import type { Clock } from '../../../core/clock.js';
import { errorCode, errorText } from '../../../core/errors.js';
import type { Logger } from '../../../core/log.js';
import type { ApiClient } from '../../api/io/client.js';
import { ApiFollower } from '../../api/io/follower.js';
import { Membership, type MembershipAction } from '../membership.js';
import { NodeList } from '../node-list.js';
import { ClusterApi, NODES_PATH } from './cluster-api.js';

export interface ClusterMemberOptions {
  readonly nodeName: string;
  /** The router is told whom to call; false when the peers were given. */
  readonly followTargets: boolean;
}

export interface ClusterMemberModules {
  readonly client: ApiClient;
  readonly router: {
    /** Replaces the targets. */
    connect(peers: readonly string[]): Promise<void>;
    /** Takes over the addresses of a peer. @throws while it is alive. */
    removePeer(peer: string): Promise<string>;
  };
  /** The node is in the record under this peer name. */
  readonly onListed: (peer: string) => void;
  readonly clock: Clock;
  /** 0 ≤ value < 1. */
  readonly random: () => number;
  readonly log: Logger;
}

/** A cluster that starts brings its nodes one by one. */
const TARGETS_DELAY_MS = 1_000;
const TARGETS_SPREAD_MS = 4_000;
const TARGETS_RETRY_MS = 10_000;

export class ClusterMember {
  readonly #options: ClusterMemberOptions;
  readonly #modules: ClusterMemberModules;
  readonly #api: ClusterApi;
  readonly #nodes: NodeList;
  readonly #follower: ApiFollower;
  #membership: Membership | null = null;
  #timer: NodeJS.Timeout | undefined;
  #targetsTimer: NodeJS.Timeout | undefined;
  #targets: string | null = null;
  #onComplete: (() => void)[] = [];
  #lastProblem: string | null = null;
  #isListed = false;
  #isStopped = false;

  constructor(options: ClusterMemberOptions, modules: ClusterMemberModules) {
    this.#options = options;
    this.#modules = modules;
    const { client, clock, random, log } = modules;
    this.#api = new ClusterApi(client);
    this.#nodes = new NodeList({
      changed: () => this.#nodesChanged(),
      failing: (reason) => {
        if (reason === null) log.info('the nodes of the cluster are followed');
        else log.warn('the list of nodes may be behind', { error: reason });
      },
    });
    const kinds = [{ path: NODES_PATH, sink: this.#nodes }];
    this.#follower = new ApiFollower(client, kinds, { clock, random });
  }

  get api(): ClusterApi {
    return this.#api;
  }

  /** @returns null if the node is in the record, else what it waits for. */
  notListed(): string | null {
    if (this.#isListed) return null;
    return this.#membership?.problem ?? 'it was not written yet';
  }

  start(): void {
    this.#follower.start();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#targetsTimer);
    await this.#follower.stop();
  }

  /** @returns null if the API server has not told by then. */
  async peers(timeoutMs: number): Promise<readonly string[] | null> {
    if (!this.#nodes.isComplete) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, timeoutMs);
        this.#onComplete.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
    if (!this.#nodes.isComplete) return null;
    const peers = this.#nodes.peers(this.#options.nodeName);
    this.#targets = peers.join();
    return peers;
  }

  /** To be called once the router is ready. @param peer its name, MAC form. */
  join(peer: string): void {
    const { clock, random } = this.#modules;
    const self = { peer, node: this.#options.nodeName };
    this.#membership = new Membership(self, { random }, clock.nowMs());
    this.#nodesChanged();
  }

  #nodesChanged(): void {
    if (!this.#nodes.isComplete) return;
    for (const resolve of this.#onComplete.splice(0)) resolve();
    if (this.#membership === null || this.#isStopped) return;
    this.#membership.handleNodes(this.#nodes.names, this.#modules.clock.nowMs());
    this.#arm();
    this.#targetsLater(TARGETS_DELAY_MS + this.#modules.random() * TARGETS_SPREAD_MS);
  }

  #targetsLater(delayMs: number): void {
    if (!this.#options.followTargets || this.#targetsTimer !== undefined) return;
    this.#targetsTimer = setTimeout(() => {
      this.#targetsTimer = undefined;
      void this.#updateTargets();
    }, delayMs);
  }

  async #updateTargets(): Promise<void> {
    const { router, log } = this.#modules;
    const peers = this.#nodes.peers(this.#options.nodeName);
    const targets = peers.join();
    if (targets === this.#targets || this.#isStopped) return;
    try {
      await router.connect(peers);
      this.#targets = targets;
      log.info('the nodes to call have changed', { count: peers.length });
    } catch (error) {
      log.warn('the router was not told whom to call', { error: errorText(error) });
      this.#targetsLater(TARGETS_RETRY_MS);
    }
  }

  #arm(): void {
    clearTimeout(this.#timer);
    const due = this.#membership?.nextTimeout() ?? null;
    if (due === null || this.#isStopped) return;
    const waitMs = Math.max(0, due.atMs - this.#modules.clock.nowMs());
    this.#timer = setTimeout(() => void this.#drive(), waitMs);
  }

  async #drive(): Promise<void> {
    const membership = this.#membership;
    if (membership === null) return;
    const { clock } = this.#modules;
    membership.handleTimeout(clock.nowMs());
    for (;;) {
      const action = membership.pollAction();
      if (action === null || this.#isStopped) break;
      try {
        await this.#perform(membership, action);
      } catch (error) {
        this.#modules.log.debug('a step failed', { step: action.kind, code: errorCode(error) });
        membership.handleFailure(errorText(error), clock.nowMs());
      }
    }
    this.#report(membership);
    this.#arm();
  }

  async #perform(membership: Membership, action: MembershipAction): Promise<void> {
    const { clock, router, log } = this.#modules;
    switch (action.kind) {
      case 'read':
        membership.handleRecord(await this.#api.readRecord(), clock.nowMs());
        return;
      case 'write': {
        const stored = await this.#api.writeRecord(action.annotations);
        if (stored === null) membership.handleConflict(clock.nowMs());
        else membership.handleRecord(stored, clock.nowMs());
        return;
      }
      case 'look-up':
        membership.handleNode(await this.#api.nodeExists(action.node), clock.nowMs());
        return;
      case 'remove': {
        const { peer, node } = action;
        const outcome = await router.removePeer(peer);
        log.info('a node left the cluster', { node, peer, outcome });
        membership.handleRemoved();
      }
    }
  }

  #report(membership: Membership): void {
    const { log, onListed } = this.#modules;
    const { problem } = membership;
    if (problem !== this.#lastProblem && problem !== null) {
      log.warn('the record of the cluster is not in order', { why: problem });
    }
    this.#lastProblem = problem;
    if (membership.isListed && !this.#isListed) {
      this.#isListed = true;
      onListed(membership.self.peer);
    }
  }
}
