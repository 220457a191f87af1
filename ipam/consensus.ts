/**
 * The vote on who divides the range first: single-value Paxos spread by gossip, with all of a
 * node's knowledge in each message. Used only until there is a ring.
 *
 *   propose ──> others promise ──> proposer accepts a value ──> others accept ──> agreed
 *
 * Source: reference/ipam.md 9.
 */
import type { PeerName } from '../core/peer-name.js';

/** A peer in one of its lives: one that lost its memory must not keep its old promises. */
export interface NodeId {
  readonly name: PeerName;
  readonly uid: bigint;
}

export interface ProposalId {
  /** 0: none. */
  readonly round: bigint;
  readonly proposer: NodeId;
}

export interface AcceptedValue {
  /** Peers to divide the range among, in any order. */
  readonly value: readonly PeerName[];
  /** The proposal that the value was first chosen for. */
  readonly origin: ProposalId;
}

/** What a node has said. */
export interface NodeClaims {
  readonly promise: ProposalId;
  readonly accepted: ProposalId;
  readonly acceptedValue: AcceptedValue;
}

export interface NodeEntry {
  readonly node: NodeId;
  readonly claims: NodeClaims;
}

/** More voters than a network of this size has peers; later ones are not listened to. */
export const MAX_VOTERS = 4096;
const MAX_ROUND = 2n ** 63n;

const NO_NODE: NodeId = { name: 0 as PeerName, uid: 0n };
export const NO_PROPOSAL: ProposalId = { round: 0n, proposer: NO_NODE };
const NO_VALUE: AcceptedValue = { value: [], origin: NO_PROPOSAL };
const NO_CLAIMS: NodeClaims = {
  promise: NO_PROPOSAL,
  accepted: NO_PROPOSAL,
  acceptedValue: NO_VALUE,
};

function compare(a: ProposalId, b: ProposalId): number {
  if (a.round !== b.round) return a.round < b.round ? -1 : 1;
  const byName = a.proposer.name - b.proposer.name;
  if (byName !== 0) return byName;
  if (a.proposer.uid === b.proposer.uid) return 0;
  return a.proposer.uid < b.proposer.uid ? -1 : 1;
}

const keyOf = (node: NodeId): string => `${node.name} ${node.uid}`;

export class Consensus {
  readonly #self: NodeId;
  /** 0 until this node takes the initiative: then it only votes. */
  #quorum = 0;
  /** By name and UID. BOUNDED by MAX_VOTERS. */
  readonly #nodes = new Map<string, NodeEntry>();

  constructor(self: NodeId) {
    this.#self = self;
  }

  /** Of all nodes that we know something of. */
  get knowledge(): readonly NodeEntry[] {
    return [...this.#nodes.values()];
  }

  /** What we have said; null: nothing yet. */
  get ownEntry(): NodeEntry | null {
    return this.#nodes.get(keyOf(this.#self)) ?? null;
  }

  get knownNodes(): number {
    return this.#nodes.size;
  }

  get quorum(): number {
    return this.#quorum;
  }

  /** @param quorum at least 1 */
  setQuorum(quorum: number): void {
    this.#quorum = quorum;
  }

  /** Starts a round above all we know of. The caller spreads our knowledge. */
  propose(): void {
    let round = 0n;
    for (const { claims } of this.#nodes.values()) {
      if (claims.promise.round > round) round = claims.promise.round;
      if (claims.accepted.round > round) round = claims.accepted.round;
    }
    this.#store({ ...this.#own(), promise: { round: round + 1n, proposer: this.#self } });
    if (this.#quorum === 1) this.#reconsider();
  }

  /**
   * What another node knows. @returns learnt: something was new to us; changed: our own claims
   * changed by it, so others should hear of them
   */
  merge(entries: readonly NodeEntry[]): { readonly learnt: boolean; readonly changed: boolean } {
    let learnt = false;
    for (const entry of entries) if (this.#learn(entry)) learnt = true;
    return { learnt, changed: learnt && this.#reconsider() };
  }

  /** The agreed peers; null: no agreement, or this node takes no initiative. */
  agreed(): AcceptedValue | null {
    if (this.#quorum === 0) return null;
    const votes = new Map<string, { count: number; value: AcceptedValue }>();
    for (const { claims } of this.#nodes.values()) {
      if (claims.accepted.round === 0n) continue;
      const { origin } = claims.acceptedValue;
      const key = `${origin.round} ${keyOf(origin.proposer)}`;
      const vote = votes.get(key) ?? { count: 0, value: claims.acceptedValue };
      vote.count++;
      votes.set(key, vote);
      if (vote.count >= this.#quorum) return vote.value;
    }
    return null;
  }

  /** What this node must not forget over a restart. */
  restore(entries: readonly NodeEntry[]): void {
    for (const entry of entries) this.#learn(entry, true);
  }

  #own(): NodeClaims {
    return this.#nodes.get(keyOf(this.#self))?.claims ?? NO_CLAIMS;
  }

  #store(claims: NodeClaims): void {
    this.#nodes.set(keyOf(this.#self), { node: this.#self, claims });
  }

  #learn({ node, claims }: NodeEntry, restoring = false): boolean {
    const key = keyOf(node);
    const known = this.#nodes.get(key)?.claims;
    // A round near the end of its 64 bits would be the last: nobody could propose above it.
    if (claims.promise.round >= MAX_ROUND || claims.accepted.round >= MAX_ROUND) return false;
    if (known === undefined) {
      // Only we speak for ourselves; what others say of us is a life we don't remember.
      if (key === keyOf(this.#self) && !restoring) return false;
      if (this.#nodes.size >= MAX_VOTERS) return false;
      this.#nodes.set(key, { node, claims });
      return true;
    }
    const laterPromise = compare(claims.promise, known.promise) > 0;
    const laterAccepted = compare(claims.accepted, known.accepted) > 0;
    if (!laterPromise && !laterAccepted) return false;
    const { accepted, acceptedValue } = laterAccepted ? claims : known;
    const promise = laterPromise ? claims.promise : known.promise;
    this.#nodes.set(key, { node, claims: { promise, accepted, acceptedValue } });
    return true;
  }

  /** Our own claims in the light of what we know. @returns whether they changed */
  #reconsider(): boolean {
    const before = this.#own();
    let claims = before;
    for (const other of this.#nodes.values()) {
      if (compare(other.claims.promise, claims.promise) > 0) {
        claims = { ...claims, promise: other.claims.promise };
      }
    }
    const { promise } = claims;
    if (keyOf(promise.proposer) === keyOf(this.#self)) claims = this.#chooseValue(claims);
    for (const other of this.#nodes.values()) {
      if (promise.round === 0n || compare(other.claims.accepted, promise) !== 0) continue;
      const { accepted, acceptedValue } = other.claims;
      claims = { ...claims, accepted, acceptedValue };
    }
    this.#store(claims);
    return (
      compare(before.promise, claims.promise) !== 0 ||
      compare(before.accepted, claims.accepted) !== 0 ||
      compare(before.acceptedValue.origin, claims.acceptedValue.origin) !== 0
    );
  }

  /** As the proposer: once enough have promised, the latest value among them, or a new one. */
  #chooseValue(claims: NodeClaims): NodeClaims {
    const { promise } = claims;
    let count = 0;
    let latest = NO_CLAIMS;
    const nodes = new Map(this.#nodes);
    nodes.set(keyOf(this.#self), { node: this.#self, claims });
    for (const { claims: theirs } of nodes.values()) {
      if (compare(theirs.promise, promise) !== 0) continue;
      count++;
      if (compare(theirs.accepted, latest.accepted) > 0) latest = theirs;
    }
    if (this.#quorum === 0 || count < this.#quorum) return claims;
    const names = [...nodes.values()].map(({ node }) => node.name);
    const acceptedValue =
      latest.accepted.round > 0n ? latest.acceptedValue : { value: names, origin: promise };
    return { ...claims, accepted: promise, acceptedValue };
  }
}
