/**
 * Taking over the ranges of a dead peer, so that no two peers do the same and none that lives loses
 * its ranges. The candidate asks all peers of our kind that it can reach; each looks for the target
 * in its own topology, and promises itself to one candidate at a time.
 *
 *   candidate ── ask ──> others ── agree | refuse ──> candidate ── all agree ──> ranges pass
 *
 * By itself (after `--ipalloc-reclaim-after`) a peer does it only with a majority of all owners.
 */
import { formatPeerName, type PeerName } from '../core/peer-name.js';
import type { Random } from '../core/random.js';
import type { Ballot } from './codec.js';
import type { RequestId } from './interfaces.js';
import type { Peers } from './peers.js';

/** The candidate gives up before the promises made to it end. */
const ANSWER_MS = 10_000;
const PROMISE_MS = 30_000;
/** What a candidate did has spread to everybody by then. */
const SPREAD_MS = 60_000;
const RETRY_MS = 60_000;
const MAX_PROMISES = 1024;

interface Attempt {
  readonly round: bigint;
  /** null: by itself. */
  readonly request: RequestId | null;
  readonly force: boolean;
  readonly waitingFor: Set<PeerName>;
  readonly agreed: Set<PeerName>;
  readonly untilMs: number;
}

export interface TakeOverModules {
  readonly peers: Peers;
  readonly random: Random;
  readonly owners: () => ReadonlySet<PeerName>;
  readonly send: (to: PeerName, ballot: Ballot) => void;
  /** Ranges of the target pass to us. */
  readonly onAgreed: (target: PeerName, request: RequestId | null) => void;
  /** @param why one sentence */
  readonly onRefused: (target: PeerName, request: RequestId | null, why: string) => void;
}

export class TakeOver {
  readonly #localPeer: PeerName;
  readonly #modules: TakeOverModules;
  /** By target. BOUNDED by the owners of ranges. */
  readonly #attempts = new Map<PeerName, Attempt>();
  /** By target. BOUNDED by MAX_PROMISES. */
  readonly #promises = new Map<PeerName, { readonly candidate: PeerName; readonly atMs: number }>();
  /** Of attempts by itself. BOUNDED by the owners of ranges. */
  readonly #retryAtMs = new Map<PeerName, number>();

  constructor(localPeer: PeerName, modules: TakeOverModules) {
    this.#localPeer = localPeer;
    this.#modules = modules;
  }

  /** Attempts under way need ticks. */
  get isBusy(): boolean {
    return this.#attempts.size > 0;
  }

  /** @param force do without those that can't be asked or don't answer */
  begin(target: PeerName, request: RequestId | null, force: boolean, nowMs: number): void {
    const why = this.#objection(target, request !== null && !force);
    if (why !== null) {
      this.#modules.onRefused(target, request, why);
      return;
    }
    const { peers, random, send } = this.#modules;
    const others = [...peers.known].filter(
      (peer) => peer !== this.#localPeer && peers.healers.has(peer),
    );
    const round = random.uint64();
    this.#attempts.set(target, {
      round,
      request,
      force,
      waitingFor: new Set(others),
      agreed: new Set([this.#localPeer]),
      untilMs: nowMs + ANSWER_MS,
    });
    const step = request === null ? 'ask-if-gone' : 'ask';
    for (const peer of others) send(peer, { step, target, round, reason: '' });
    this.#decide(target);
  }

  handleBallot(from: PeerName, ballot: Ballot, nowMs: number): void {
    const { target, round } = ballot;
    const attempt = this.#attempts.get(target);
    const isAnswer = attempt?.round === round && attempt.waitingFor.has(from);
    if (ballot.step === 'ask' || ballot.step === 'ask-if-gone') this.#vote(from, ballot, nowMs);
    else if (ballot.step === 'agree' && isAnswer) {
      attempt.waitingFor.delete(from);
      attempt.agreed.add(from);
      this.#decide(target);
    } else if (ballot.step === 'refuse' && isAnswer) {
      this.#fail(target, `${this.#modules.peers.describe(from)} refuses: ${ballot.reason}`, nowMs);
    }
  }

  handleTick(nowMs: number): void {
    for (const [target, attempt] of this.#attempts) {
      if (nowMs < attempt.untilMs) continue;
      const silent = [...attempt.waitingFor].map((peer) => this.#modules.peers.describe(peer));
      if (attempt.force) this.#pass(target, attempt);
      else this.#fail(target, `no answer from ${silent.slice(0, 8).join(', ')}`, nowMs);
    }
    for (const [target, { atMs }] of this.#promises) {
      if (nowMs - atMs > SPREAD_MS) this.#promises.delete(target);
    }
    this.#reclaim(nowMs);
  }

  /** Whether a peer that asks about itself may be told that its ranges are its own. */
  maySettle(peer: PeerName): boolean {
    return !this.#promises.has(peer) && !this.#attempts.has(peer);
  }

  /** By itself: of those that could, the lowest name tries first, then the next. */
  #reclaim(nowMs: number): void {
    const { peers, owners } = this.#modules;
    const afterMs = peers.reclaimAfterMs;
    if (afterMs === null) return;
    const all = owners();
    const able = [...all].filter((peer) => peers.known.has(peer) && peers.healers.has(peer));
    if (!all.has(this.#localPeer)) return;
    const waitMs = afterMs + RETRY_MS * able.filter((peer) => peer < this.#localPeer).length;
    for (const target of all) {
      if (target === this.#localPeer || peers.goneMs(target, nowMs) < waitMs) continue;
      if (this.#attempts.has(target) || nowMs < (this.#retryAtMs.get(target) ?? 0)) continue;
      this.#retryAtMs.set(target, nowMs + RETRY_MS);
      this.begin(target, null, false, nowMs);
    }
  }

  #vote(from: PeerName, { step, target, round }: Ballot, nowMs: number): void {
    const reason = this.#refusal(from, target, step === 'ask-if-gone', nowMs);
    if (reason === null) this.#promises.set(target, { candidate: from, atMs: nowMs });
    const answer = reason === null ? 'agree' : 'refuse';
    this.#modules.send(from, { step: answer, target, round, reason: reason ?? '' });
  }

  /** Why we don't agree; null: we do. */
  #refusal(from: PeerName, target: PeerName, ifGone: boolean, nowMs: number): string | null {
    const { peers } = this.#modules;
    if (target === this.#localPeer) return 'that is me, and I am alive';
    if (peers.known.has(target)) return 'the peer is alive, I can see it';
    const afterMs = peers.reclaimAfterMs;
    if (ifGone && (afterMs === null || peers.goneMs(target, nowMs) < 0.75 * afterMs)) {
      return 'I have not missed the peer for long enough';
    }
    const promise = this.#promises.get(target);
    const promised = promise !== undefined && nowMs - promise.atMs < PROMISE_MS;
    if (promised && promise.candidate !== from) {
      return `${peers.describe(promise.candidate)} is taking the ranges over`;
    }
    if (!this.#attempts.has(target)) {
      const full = this.#promises.size >= MAX_PROMISES && promise === undefined;
      return full ? 'too many take-overs at once' : null;
    }
    // Two candidates: the lower name goes on.
    if (this.#localPeer < from) return 'I am taking the ranges over myself';
    this.#fail(target, `${peers.describe(from)} is taking the ranges over`, nowMs);
    return null;
  }

  /** Why it must not begin; null: it may. */
  #objection(target: PeerName, needsOwners: boolean): string | null {
    const { peers, owners } = this.#modules;
    if (peers.known.has(target)) {
      return (
        `${peers.describe(target)} is alive: it is in the topology; stop it there, or wait ` +
        'until it has left the mesh'
      );
    }
    if (this.#attempts.has(target)) return 'a take-over of this peer is under way already';
    if (!needsOwners) return null;
    const others = [...owners()].filter((peer) => peer !== target);
    const missing = others.filter((peer) => !peers.known.has(peer));
    if (2 * missing.length < others.length || others.length === 0) return null;
    const names = missing.slice(0, 8).map((peer) => peers.describe(peer));
    return (
      `most other owners of ranges can't be asked (${names.join(', ')}): they may still see the ` +
      'peer, or take its ranges over as well; if they are dead too, repeat it with force'
    );
  }

  #decide(target: PeerName): void {
    const attempt = this.#attempts.get(target);
    if (attempt === undefined || attempt.waitingFor.size > 0) return;
    if (attempt.request !== null) {
      this.#pass(target, attempt);
      return;
    }
    const { peers } = this.#modules;
    const voters = peers.witnesses(peers.goneSinceMs(target) ?? Number.NEGATIVE_INFINITY);
    const votes = voters.filter((peer) => attempt.agreed.has(peer)).length;
    if (2 * votes > voters.length) this.#pass(target, attempt);
    else {
      this.#attempts.delete(target);
      const why = `only ${votes} of ${voters.length} owners of ranges agree, a majority is needed`;
      this.#modules.onRefused(target, null, why);
    }
  }

  #pass(target: PeerName, attempt: Attempt): void {
    this.#attempts.delete(target);
    const { peers, onAgreed, onRefused } = this.#modules;
    if (peers.known.has(target)) {
      onRefused(target, attempt.request, `${formatPeerName(target)} has just come back`);
    } else onAgreed(target, attempt.request);
  }

  #fail(target: PeerName, why: string, nowMs: number): void {
    const attempt = this.#attempts.get(target);
    if (attempt === undefined) return;
    this.#attempts.delete(target);
    this.#retryAtMs.set(target, nowMs + RETRY_MS);
    this.#modules.onRefused(target, attempt.request, why);
  }
}
