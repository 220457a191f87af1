/**
 * What peers tell each other: our state on its way out, others' states and requests coming in.
 * Source: reference/ipam.md 8.
 */
import { ProtocolError } from '../core/errors.js';
import { formatPeerName, type PeerName } from '../core/peer-name.js';
import type { GossipData } from '../mesh/gossip-channel.js';
import {
  type Ballot,
  decodeState,
  decodeUnicast,
  encodeState,
  encodeUnicast,
  type GossipState,
} from './codec.js';
import type { Election } from './election.js';
import type { Holdings } from './holdings.js';
import type { Outbox } from './outbox.js';
import type { Peers } from './peers.js';
import { type AddressRange, formatRangeAsCidr } from './range.js';
import type { Requests } from './requests.js';

export interface ExchangeModules {
  readonly peers: Peers;
  readonly holdings: Holdings;
  readonly election: Election;
  readonly requests: Requests;
  readonly outbox: Outbox;
  readonly onRingChanged: (nowMs: number) => void;
  readonly onBallot: (from: PeerName, ballot: Ballot, nowMs: number) => void;
  /** We must not give space away now. */
  readonly isHeld: () => boolean;
  readonly count: (event: string) => void;
}

/** Peers told who we are, per tick. */
const GREETINGS_PER_TICK = 16;

/** Our state, encoded when it is sent; all that waits for a neighbour is one such message. */
export class StateNews implements GossipData {
  readonly #encode: () => Uint8Array;

  constructor(encode: () => Uint8Array) {
    this.#encode = encode;
  }

  encode(): Iterable<Uint8Array> {
    return [this.#encode()];
  }

  merge(): GossipData {
    return this;
  }
}

export class Exchange {
  readonly #localPeer: PeerName;
  readonly #modules: ExchangeModules;
  /** Came into the topology, kind unknown. BOUNDED by the peers of the topology. */
  readonly #strangers = new Set<PeerName>();

  constructor(localPeer: PeerName, modules: ExchangeModules) {
    this.#localPeer = localPeer;
    this.#modules = modules;
  }

  encodeState(nowMs: number): Uint8Array {
    return encodeState(this.#state(nowMs, null));
  }

  sendRing(to: PeerName, nowMs: number, ballot: Ballot | null = null): void {
    const state = this.#state(nowMs, ballot);
    this.#modules.outbox.unicast(to, encodeUnicast({ type: 'ring-update', state }));
  }

  /** @throws {DecodeError} nothing is changed then */
  handleGossip(payload: Uint8Array, neighbour: PeerName, nowMs: number): void {
    this.#handleState(
      this.#decode(() => decodeState(payload)),
      neighbour,
      false,
      nowMs,
    );
  }

  /** @throws {DecodeError} nothing is changed then */
  handleBroadcast(payload: Uint8Array, source: PeerName, nowMs: number): void {
    this.#handleState(
      this.#decode(() => decodeState(payload)),
      source,
      true,
      nowMs,
    );
  }

  /** @throws {DecodeError} nothing is changed then */
  handleUnicast(payload: Uint8Array, source: PeerName, nowMs: number): void {
    const message = this.#decode(() => decodeUnicast(payload));
    const { requests, count } = this.#modules;
    switch (message?.type) {
      case undefined:
        count('ipam-unicasts-unknown');
        return;
      case 'space-request':
        this.#handleSpaceRequest(message.range, source, nowMs);
        return;
      case 'denied':
        count('ipam-space-requests-denied');
        requests.handleDenied(message.range, source, nowMs);
        return;
      case 'ring-update': {
        this.#handleState(message.state, source, true, nowMs);
        const ballot = message.state.healing?.ballot ?? null;
        if (ballot !== null) this.#modules.onBallot(source, ballot, nowMs);
      }
    }
  }

  /** These are in the topology now. */
  meet(peers: readonly PeerName[]): void {
    for (const peer of peers) if (peer !== this.#localPeer) this.#strangers.add(peer);
  }

  /**
   * Peers of our kind that are linked only through originals would never hear of each other's
   * kind: originals pass on their own state. A ring update reaches them through all.
   */
  handleTick(nowMs: number): void {
    const { peers, holdings } = this.#modules;
    let greeted = 0;
    for (const peer of this.#strangers) {
      if (greeted >= GREETINGS_PER_TICK || holdings.ring.isEmpty) return;
      this.#strangers.delete(peer);
      if (peers.healers.has(peer) || !peers.isReachable(peer)) continue;
      this.sendRing(peer, nowMs);
      greeted++;
    }
  }

  #decode<T>(decode: () => T): T {
    try {
      return decode();
    } catch (error) {
      this.#modules.count('ipam-messages-malformed');
      throw error;
    }
  }

  #state(nowMs: number, ballot: Ballot | null): GossipState {
    const { peers, holdings, election } = this.#modules;
    const { ring } = holdings;
    return {
      nowSeconds: BigInt(Math.floor(nowMs / 1000)),
      nicknames: peers.nicknames,
      paxos: ring.isEmpty ? election.knowledge : null,
      ring: ring.isEmpty ? null : { ...ring.state, peer: this.#localPeer },
      healing: { healers: peers.healers, reclaimAfterMs: peers.reclaimAfterMs, ballot },
    };
  }

  /** @param addressed the sender is the origin of the message, so it can be answered */
  #handleState(state: GossipState, sender: PeerName, addressed: boolean, nowMs: number): void {
    const { peers, holdings, election } = this.#modules;
    peers.learnNicknames(state.nicknames);
    if (state.healing !== null) {
      peers.learnHealers(state.healing.healers);
      peers.learnReclaim(state.healing.reclaimAfterMs);
      const unknown = addressed && !state.healing.healers.has(this.#localPeer);
      if (unknown && !holdings.ring.isEmpty) this.sendRing(sender, nowMs);
    }
    if (state.ring !== null) this.#mergeRing(state.ring, sender, nowMs);
    else if (!holdings.ring.isEmpty) {
      if (addressed && state.healing?.healers.has(this.#localPeer) !== false) {
        this.sendRing(sender, nowMs);
      }
    } else if (state.paxos !== null) election.handleVotes(state.paxos);
    else if (addressed && election.isElector) election.start();
  }

  #mergeRing(ring: NonNullable<GossipState['ring']>, sender: PeerName, nowMs: number): void {
    const { holdings, onRingChanged, count, peers, outbox } = this.#modules;
    try {
      if (holdings.merge(ring, nowMs)) onRingChanged(nowMs);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      count('ipam-rings-refused');
      const peer = ring.peer === 0 ? sender : ring.peer;
      const text = this.#explainRefusal(error, ring);
      if (holdings.conflicts.refuse(peer, error.code, text, nowMs)) {
        outbox.log('warn', 'a ring cannot be merged with ours', {
          code: error.code,
          peer: peers.describe(peer),
          reason: text,
        });
      }
    }
  }

  #explainRefusal(error: ProtocolError, theirs: NonNullable<GossipState['ring']>): string {
    const { peers, holdings } = this.#modules;
    const { ring } = holdings;
    const names = (list: readonly PeerName[]): string =>
      list.map((peer) => peers.describe(peer)).join(' ');
    switch (error.code) {
      case 'ipam-seeds-differ':
        return (
          'IP allocation was seeded by different peers ' +
          `(received: [${names(theirs.seeds)}], ours: [${names(ring.seeds)}])`
        );
      case 'ipam-range-differs':
        return (
          'Incompatible IP allocation ranges ' +
          `(received: ${formatRangeAsCidr(theirs)}, ours: ${formatRangeAsCidr(ring.range)})`
        );
      default:
        return error.message;
    }
  }

  #handleSpaceRequest(range: AddressRange, source: PeerName, nowMs: number): void {
    const { holdings, outbox, count, isHeld } = this.#modules;
    count('ipam-space-requests-received');
    if (holdings.ring.isEmpty || isHeld() || source === this.#localPeer) return;
    const given = holdings.donate(range);
    if (given === null) {
      outbox.unicast(source, encodeUnicast({ type: 'denied', range }));
    } else {
      holdings.ring.grant(given, source);
      holdings.followRing();
      count('ipam-ranges-granted');
      outbox.save();
      outbox.log('debug', 'gave space away', {
        range: formatRangeAsCidr(given),
        peer: formatPeerName(source),
      });
      outbox.broadcast();
    }
    this.sendRing(source, nowMs);
  }
}
