/**
 * From an empty ring to the first division: who starts the vote, with what quorum, and what comes
 * of it. Source: reference/ipam.md 9.3, 9.5, 9.6.
 */
import type { PeerName } from '../core/peer-name.js';
import { decodeState, encodeVotes } from './codec.js';
import { Consensus, type NodeEntry } from './consensus.js';
import type { IpamInit } from './interfaces.js';

export interface ElectionOptions {
  readonly localPeer: PeerName;
  readonly init: IpamInit;
}

export interface ElectionModules {
  /** Targets of the router: what the number of peers is guessed from. */
  readonly targetCount: () => number;
  /** Our claims changed: they must be stored, then spread. */
  readonly onClaims: () => void;
  /** What we know is to be told; an observer asks for a ring by it. */
  readonly onAsk: () => void;
  readonly onAgreed: (peers: readonly PeerName[]) => void;
  readonly onGuess: (quorum: number) => void;
  /** Milliseconds, monotonic. */
  readonly nowMs: () => number;
}

/**
 * At the start peers appear one by one, and some have missed what we said: it is said again, after
 * this and twice as long each time, without another proposal, until the next tick of the allocator.
 */
const FIRST_REPEAT_MS = 250;

export class Election {
  readonly #options: ElectionOptions;
  readonly #modules: ElectionModules;
  /** null: an observer. */
  #consensus: Consensus | null = null;
  #awaiting = false;
  #over = false;
  #repeat = { atMs: Number.POSITIVE_INFINITY, pauseMs: FIRST_REPEAT_MS };

  constructor(options: ElectionOptions, modules: ElectionModules) {
    this.#options = options;
    this.#modules = modules;
  }

  /**
   * Call once, before any vote. @param uid of the life whose promises are kept
   * @param votes what `votes` gave in that life
   * @throws {DecodeError} if it is not
   */
  begin(uid: bigint, votes: string | null): void {
    const { localPeer, init } = this.#options;
    if (init.mode === 'observer') return;
    const stored = votes === null ? [] : (decodeState(Buffer.from(votes, 'hex')).paxos ?? []);
    this.#consensus = new Consensus({ name: localPeer, uid });
    this.#consensus.restore(stored);
  }

  /** We want a ring and have none. */
  get awaiting(): boolean {
    return this.#awaiting;
  }

  get isElector(): boolean {
    return this.#consensus !== null;
  }

  get quorum(): number {
    return this.#consensus?.quorum ?? 0;
  }

  get knownNodes(): number {
    return this.#consensus?.knownNodes ?? 0;
  }

  /** What goes into gossip while there is no ring; null: we are an observer. */
  get knowledge(): readonly NodeEntry[] | null {
    return this.#consensus?.knowledge ?? null;
  }

  /** Our own promises and votes in hex, to be stored; null: there is nothing to remember. */
  get votes(): string | null {
    const own = this.#consensus?.ownEntry ?? null;
    if (this.#over || own === null) return null;
    return Buffer.from(encodeVotes([own])).toString('hex');
  }

  /** Something needs a ring. */
  start(): void {
    if (this.#over || this.#awaiting) return;
    this.#awaiting = true;
    if (this.#consensus !== null) this.#consensus.setQuorum(this.#chooseQuorum());
    this.#repeat = { atMs: this.#modules.nowMs() + FIRST_REPEAT_MS, pauseMs: FIRST_REPEAT_MS };
    this.#propose();
  }

  /** When knowledge is to be told again; Infinity: not. */
  get nextRepeatMs(): number {
    return this.#awaiting ? this.#repeat.atMs : Number.POSITIVE_INFINITY;
  }

  handleTimeout(nowMs: number): void {
    if (nowMs < this.nextRepeatMs) return;
    const pauseMs = this.#repeat.pauseMs * 2;
    this.#repeat = { atMs: nowMs + pauseMs, pauseMs };
    this.#modules.onAsk();
  }

  /** Others may have missed our proposal, or it was superseded. */
  repeat(): void {
    if (this.#awaiting) this.#propose();
  }

  /** What others know. */
  handleVotes(entries: readonly NodeEntry[]): void {
    if (this.#over || this.#consensus === null) return;
    const { learnt, changed } = this.#consensus.merge(entries);
    if (changed) this.#modules.onClaims();
    if (learnt) this.#conclude();
  }

  /** There is a ring: nothing is left to vote on. */
  end(): void {
    this.#awaiting = false;
    this.#over = true;
  }

  #propose(): void {
    if (this.#consensus === null) {
      this.#modules.onAsk();
      return;
    }
    this.#consensus.propose();
    this.#modules.onClaims();
    this.#conclude();
  }

  #conclude(): void {
    const agreed = this.#consensus?.agreed() ?? null;
    if (agreed !== null && agreed.value.length > 0) this.#modules.onAgreed(agreed.value);
  }

  #chooseQuorum(): number {
    const { init } = this.#options;
    const given = init.mode === 'consensus' ? (init.peers ?? 0) : 0;
    if (given > 0) return Math.floor(given / 2) + 1;
    const quorum = Math.floor((1 + this.#modules.targetCount()) / 2) + 1;
    this.#modules.onGuess(quorum);
    return quorum;
  }
}
