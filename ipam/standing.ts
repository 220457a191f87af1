/**
 * Who still stands for its ranges: taking over those of the dead, making sure that ours are still
 * ours, and giving ours away when we leave for good.
 */
import type { PeerName } from '../core/peer-name.js';
import type { Random } from '../core/random.js';
import type { Ballot } from './codec.js';
import type { Holdings } from './holdings.js';
import type { RequestId } from './interfaces.js';
import { type Held, Lease, type LeaseView } from './lease.js';
import { chooseHeir, resolvePeer } from './leave.js';
import type { Outbox } from './outbox.js';
import type { Peers } from './peers.js';
import { sizeOf } from './range.js';
import { HAND_OVER_INCREMENT } from './ring.js';
import { TakeOver } from './take-over.js';
import type { IpamTuning } from './tuning.js';

export interface StandingOptions {
  readonly localPeer: PeerName;
  readonly tuning: IpamTuning;
}

export interface StandingModules {
  readonly peers: Peers;
  readonly holdings: Holdings;
  readonly outbox: Outbox;
  readonly random: Random;
  readonly send: (to: PeerName, ballot: Ballot) => void;
  readonly onRingChanged: () => void;
  /** Addresses may be handed out again. */
  readonly onSure: () => void;
}

export class Standing {
  readonly #options: StandingOptions;
  readonly #modules: StandingModules;
  readonly #lease: Lease;
  readonly #takeOver: TakeOver;

  constructor(options: StandingOptions, modules: StandingModules) {
    this.#options = options;
    this.#modules = modules;
    const { localPeer, tuning } = options;
    this.#lease = new Lease({ localPeer, startHoldMs: tuning.startHoldMs });
    this.#takeOver = new TakeOver(localPeer, {
      peers: modules.peers,
      random: modules.random,
      owners: () => modules.holdings.ring.owners(),
      send: modules.send,
      onAgreed: (target, request) => this.#takeRanges(target, request),
      onRefused: (target, request, why) => this.#reportRefusal(target, request, why),
    });
  }

  /** Why no new addresses are handed out; null: they are. */
  get held(): Held | null {
    return this.#lease.held;
  }

  /** @param restored our ranges come from the store */
  start(restored: boolean, nowMs: number): void {
    this.#lease.start(restored && this.#options.tuning.startHoldMs > 0, nowMs);
  }

  /** @param text nickname or name in text form */
  takeOver(text: string, request: RequestId, force: boolean, nowMs: number): void {
    const { peers, holdings, outbox } = this.#modules;
    const found = resolvePeer(text, peers, holdings.ring);
    if (found.kind === 'ambiguous') this.#refuse(request, found.text);
    else if (found.kind === 'unknown' || found.peer === this.#options.localPeer) {
      outbox.complete(request, { status: 'granted', request: 'take-over', addresses: 0 });
    } else this.#takeOver.begin(found.peer, request, force, nowMs);
  }

  handleBallot(from: PeerName, ballot: Ballot, nowMs: number): void {
    if (ballot.step === 'return') {
      if (!this.#takeOver.maySettle(from)) return;
      this.#modules.send(from, { ...ballot, step: 'welcome', target: from });
    } else if (ballot.step === 'welcome') {
      this.#lease.welcome(from);
      this.update(nowMs);
    } else this.#takeOver.handleBallot(from, ballot, nowMs);
  }

  handleTick(nowMs: number): void {
    this.#lease.askAgain();
    this.#takeOver.handleTick(nowMs);
    this.update(nowMs);
  }

  /** To be called after anything that may matter: time, topology, ring, messages. */
  update(nowMs: number): void {
    const view = this.#view();
    if (this.#lease.update(view, nowMs)) {
      if (this.held === null) this.#modules.onSure();
      else this.#modules.outbox.log('warn', 'no new addresses for now', { why: this.held });
    }
    const { localPeer } = this.#options;
    const ballot = { step: 'return', target: localPeer, round: 0n, reason: '' } as const;
    for (const peer of this.#lease.takePeersToAsk(view)) this.#modules.send(peer, ballot);
  }

  /** Our ranges pass to an heir, if there is one. */
  leave(): void {
    const { localPeer } = this.#options;
    const { peers, holdings, outbox } = this.#modules;
    const { ring, space } = holdings;
    const heir = chooseHeir(localPeer, peers, ring);
    // Without an heir the ring stays as it is: started again, we go on as before.
    if (heir === null || !ring.hasOwner(localPeer)) return;
    ring.transfer(localPeer, heir, HAND_OVER_INCREMENT);
    space.setOwned([]);
    outbox.save();
    outbox.broadcast();
    outbox.log('info', 'our ranges passed to another peer', { peer: peers.describe(heir) });
  }

  #view(): LeaseView {
    const { peers, holdings } = this.#modules;
    return {
      isCloned: peers.isCloned(),
      owners: holdings.ring.owners(),
      reclaimAfterMs: peers.reclaimAfterMs,
      isReachable: (peer) => peers.isReachable(peer),
      isKnown: (peer) => peers.known.has(peer),
      goneSinceMs: (peer) => peers.goneSinceMs(peer),
      electorate: (lostAtMs) => peers.electorate(lostAtMs),
      isHealer: (peer) => peers.healers.has(peer),
    };
  }

  #takeRanges(target: PeerName, request: RequestId | null): void {
    const { peers, holdings, outbox, onRingChanged } = this.#modules;
    const { localPeer, tuning } = this.#options;
    const taken = holdings.ring.transfer(target, localPeer, tuning.takeOverIncrement);
    const addresses = taken.reduce((sum, range) => sum + sizeOf(range), 0);
    if (addresses > 0) {
      holdings.followRing();
      onRingChanged();
      outbox.broadcast();
    }
    const fields = { peer: peers.describe(target), addresses };
    outbox.log('info', 'took over the ranges of a peer', fields);
    if (request === null) return;
    outbox.complete(request, { status: 'granted', request: 'take-over', addresses });
  }

  #reportRefusal(target: PeerName, request: RequestId | null, why: string): void {
    const { peers, outbox } = this.#modules;
    const peer = peers.describe(target);
    if (request === null) outbox.log('info', 'ranges not taken over', { peer, why });
    else this.#refuse(request, `the ranges of ${peer} are not taken over: ${why}`);
  }

  #refuse(request: RequestId, text: string): void {
    const failure = { status: 'failed', code: 'ipam-take-over-refused', text } as const;
    this.#modules.outbox.complete(request, failure);
  }
}
