/**
 * Keeps this node in the cluster's record, and returns the addresses of nodes that left to the
 * ring, exactly once however many nodes notice; a machine without sockets.
 *
 *   resting ──a node left, or long ago──▶ read ──▶ own entry missing    ──▶ write it ──▶ read again
 *                                           │
 *                                           └────▶ an entry's node gone ──▶ ask for that node alone
 *                                                    ──▶ mark as taken by us ──▶ router takes over
 *                                                    ──▶ write without it ──▶ read again
 *
 * Each write holds for the version that was read only, so of several nodes one gets through, and
 * the others see its mark. A mark counts while its writer is in the record. The router refuses
 * while the peer is alive anywhere, and is asked again later: a node that is only unreachable, or
 * was deleted but runs, keeps its addresses. Source: reference/kubernetes.md 7.
 */
import type { Timeout } from '../../core/clock.js';
import {
  type Annotations,
  type ClusterPeer,
  type ClusterRecord,
  gonePeers,
  readRecord,
  withoutPeer,
  withPeer,
  withTaker,
  writeRecord,
} from './cluster-record.js';

export interface StoredRecord {
  readonly annotations: Annotations;
  readonly resourceVersion: string;
}

export type MembershipAction =
  /** Answered by `handleRecord`. */
  | { readonly kind: 'read' }
  /** Answered by `handleRecord` or `handleConflict`. */
  | {
      readonly kind: 'write';
      readonly annotations: Annotations;
      /** null: it does not exist yet. */
      readonly resourceVersion: string | null;
    }
  /** Answered by `handleNode`. */
  | { readonly kind: 'look-up'; readonly node: string }
  /** Answered by `handleRemoved`. */
  | { readonly kind: 'remove'; readonly peer: string; readonly node: string };

export interface MembershipModules {
  /** 0 ≤ value < 1. */
  readonly random: () => number;
}

/** Nodes hear of a departure at the same time, and should not all read at once. */
const SPREAD_MS = 5_000;
/** What was missed, or left by a node that died over it, is found after so long. */
const REVIEW_MS = 10 * 60_000;
const FIRST_RETRY_MS = 1_000;
const LAST_RETRY_MS = 60_000;

type State =
  | { readonly kind: 'resting'; readonly atMs: number }
  /** An action is to be polled. */
  | { readonly kind: 'ready'; readonly action: MembershipAction }
  | { readonly kind: 'busy'; readonly action: MembershipAction };

export class Membership {
  readonly self: ClusterPeer;
  readonly #random: () => number;
  #state: State;
  /** null: not known yet. */
  #nodes: ReadonlySet<string> | null = null;
  #stored: StoredRecord | null = null;
  #record: ClusterRecord = { peers: [], takers: new Map() };
  /** The peer whose node the API server does not know either. */
  #confirmed: string | null = null;
  /** Taken over by our router, perhaps not yet out of the record. */
  #removed: string | null = null;
  #failures = 0;
  #isListed = false;
  #problem: string | null = null;

  constructor(self: ClusterPeer, modules: MembershipModules, nowMs: number) {
    this.self = self;
    this.#random = modules.random;
    this.#state = { kind: 'resting', atMs: nowMs + this.#random() * FIRST_RETRY_MS };
  }

  /** This node has been in the record. */
  get isListed(): boolean {
    return this.#isListed;
  }

  /** What stands in the way, for the log; null: nothing. */
  get problem(): string | null {
    return this.#problem;
  }

  /** @param nodes names of all nodes, complete. */
  handleNodes(nodes: ReadonlySet<string>, nowMs: number): void {
    const before = this.#nodes;
    this.#nodes = nodes;
    const hasLeft = before === null || [...before].some((node) => !nodes.has(node));
    if (!hasLeft || this.#state.kind !== 'resting') return;
    const atMs = nowMs + this.#random() * SPREAD_MS;
    this.#state = { kind: 'resting', atMs: Math.min(atMs, this.#state.atMs) };
  }

  nextTimeout(): Timeout | null {
    return this.#state.kind === 'resting'
      ? { atMs: this.#state.atMs, reason: 'look at the cluster' }
      : null;
  }

  handleTimeout(nowMs: number): void {
    if (this.#state.kind !== 'resting' || this.#state.atMs > nowMs) return;
    this.#state = { kind: 'ready', action: { kind: 'read' } };
  }

  /** The next thing to do; the caller answers with one of the inputs below. */
  pollAction(): MembershipAction | null {
    if (this.#state.kind !== 'ready') return null;
    const { action } = this.#state;
    this.#state = { kind: 'busy', action };
    return action;
  }

  /** @param stored null: there is none yet. */
  handleRecord(stored: StoredRecord | null, nowMs: number): void {
    this.#stored = stored;
    this.#confirmed = null;
    try {
      this.#record = readRecord(stored?.annotations ?? {});
    } catch {
      this.#rest('the list of peers in the ConfigMap is damaged: delete the ConfigMap', nowMs);
      return;
    }
    this.#decide(nowMs);
  }

  /** Somebody else wrote in between. */
  handleConflict(nowMs: number): void {
    const waitMs = FIRST_RETRY_MS * (0.5 + this.#random() / 2);
    this.#state = { kind: 'resting', atMs: nowMs + waitMs };
  }

  handleNode(exists: boolean, nowMs: number): void {
    const { action } = this.#state as { action: MembershipAction };
    if (action.kind !== 'look-up') return;
    // A list that is behind: it will catch up, and until then nothing is concluded from it.
    if (exists) this.#rest(null, nowMs);
    else {
      this.#confirmed = action.node;
      this.#decide(nowMs);
    }
  }

  /** The router has taken the addresses over. */
  handleRemoved(): void {
    const { action } = this.#state as { action: MembershipAction };
    if (action.kind !== 'remove') return;
    this.#removed = action.peer;
    this.#write(withoutPeer(this.#record, action.peer));
    this.#failures = 0;
    this.#problem = null;
  }

  /** @param reason a sentence. */
  handleFailure(reason: string, nowMs: number): void {
    const limitMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#failures, 20));
    this.#failures += 1;
    this.#problem = reason;
    this.#state = { kind: 'resting', atMs: nowMs + limitMs * (0.5 + this.#random() / 2) };
  }

  #decide(nowMs: number): void {
    const nodes = this.#nodes;
    const self = this.self;
    const own = this.#record.peers.find(({ peer }) => peer === self.peer);
    this.#isListed ||= own?.node === self.node;
    if (nodes === null) {
      this.#rest('the nodes of the cluster are not known yet', nowMs);
    } else if (!nodes.has(self.node)) {
      // The others would take our addresses.
      this.#rest(`the cluster has no node "${self.node}": HOSTNAME must be its name`, nowMs);
    } else if (own !== undefined && own.node !== self.node && nodes.has(own.node)) {
      const clone = `node "${own.node}" has our peer name ${self.peer}: machines with equal ids`;
      this.#rest(`${clone}; give them ids of their own, or --name in EXTRA_ARGS`, nowMs);
    } else if (own?.node !== self.node) {
      this.#write(withPeer(this.#record, self));
    } else this.#removeNext(gonePeers(this.#record, self, nodes), nowMs);
  }

  #removeNext(gone: readonly ClusterPeer[], nowMs: number): void {
    const living = new Set(this.#record.peers.map(({ peer }) => peer));
    for (const { peer, node } of gone) {
      const taker = this.#record.takers.get(peer);
      const isOurs = taker === this.self.peer;
      if (!isOurs && taker !== undefined && living.has(taker) && taker !== peer) continue;
      const action: MembershipAction =
        isOurs && this.#removed === peer
          ? this.#writing(withoutPeer(this.#record, peer))
          : node !== this.self.node && this.#confirmed !== node
            ? { kind: 'look-up', node }
            : isOurs
              ? { kind: 'remove', peer, node }
              : this.#writing(withTaker(this.#record, peer, this.self.peer));
      this.#state = { kind: 'ready', action };
      return;
    }
    this.#removed = null;
    this.#rest(null, nowMs);
  }

  #write(record: ClusterRecord): void {
    this.#state = { kind: 'ready', action: this.#writing(record) };
  }

  #writing(record: ClusterRecord): MembershipAction {
    const annotations = writeRecord(this.#stored?.annotations ?? {}, record);
    const resourceVersion = this.#stored?.resourceVersion ?? null;
    return { kind: 'write', annotations, resourceVersion };
  }

  #rest(problem: string | null, nowMs: number): void {
    this.#problem = problem;
    this.#failures = 0;
    // Without the nodes nothing can be done; their arrival ends the rest.
    this.#state = { kind: 'resting', atMs: nowMs + REVIEW_MS * (0.5 + this.#random() / 2) };
  }
}
