/**
 * The allocator: addresses for workloads out of a range that all peers share without a database.
 * Wires its parts together; each part has one duty.
 *
 *   requests ── holdings (ring, space, holders) ── exchange <──> other peers
 *                   │            │
 *               election      take-over, lease: who is gone, and whether we are
 *
 * Source: reference/ipam.md.
 */
import { strict as assert } from 'node:assert';
import type { Timeout } from '../core/clock.js';
import { RequestError } from '../core/errors.js';
import { type Cidr, formatIpv4, type Ipv4 } from '../core/ip.js';
import type { PeerName } from '../core/peer-name.js';
import type { GossipData } from '../mesh/gossip-channel.js';
import { Election } from './election.js';
import { Exchange, StateNews } from './exchange.js';
import { explain } from './explain.js';
import { Holdings } from './holdings.js';
import {
  type AllocateRequest,
  ANONYMOUS_IDENT,
  type ClaimRequest,
  IPAM_CHANNEL,
  type IpamAction,
  type IpamGauges,
  type IpamMachine,
  type IpamModules,
  type IpamOptions,
  type IpamSnapshot,
  type IpamStatus,
  type OwnedAddresses,
  type PreClaim,
  type RequestId,
  type RestoreOutcome,
} from './interfaces.js';
import { Outbox } from './outbox.js';
import { Peers } from './peers.js';
import { contains, hostRangeOf, rangeOf } from './range.js';
import { Requests } from './requests.js';
import { restoreSnapshot, takeSnapshot } from './snapshot.js';
import { Standing } from './standing.js';
import { buildGauges, buildStatus, type StatusParts } from './status.js';
import { DEFAULT_TUNING, type IpamTuning, TICK_MS } from './tuning.js';
import { Workloads } from './workloads.js';

export class Allocator implements IpamMachine {
  readonly name = IPAM_CHANNEL;
  readonly counters: Record<string, number> = {};
  readonly #options: IpamOptions;
  readonly #peers: Peers;
  readonly #holdings: Holdings;
  readonly #workloads: Workloads;
  readonly #requests: Requests;
  readonly #standing: Standing;
  readonly #outbox: Outbox;
  readonly #exchange: Exchange;
  readonly #news: GossipData;
  readonly #election: Election;
  #uid: bigint;
  #nextId = 1;
  #tickAtMs: number | null = null;
  #nowMs = 0;
  #leaving = false;

  constructor(options: IpamOptions, modules: IpamModules, tuning: IpamTuning = DEFAULT_TUNING) {
    this.#options = options;
    this.#uid = options.uid;
    const { localPeer } = options;
    const count = (event: string): void => {
      this.counters[event] = (this.counters[event] ?? 0) + 1;
    };
    this.#news = new StateNews(() => this.#exchange.encodeState(this.#nowMs));
    this.#outbox = new Outbox({ news: this.#news, snapshot: () => this.#snapshot() });
    const outbox = this.#outbox;
    this.#peers = new Peers(options, modules.mesh);
    const peers = this.#peers;
    this.#holdings = new Holdings(
      { localPeer, universe: rangeOf(options.universe), tuning },
      { peers, count, warn: (text, fields) => outbox.log('warn', text, fields) },
    );
    const holdings = this.#holdings;
    this.#workloads = new Workloads(holdings.owned);
    this.#standing = new Standing(
      { localPeer, tuning },
      {
        peers,
        holdings,
        outbox,
        random: modules.random,
        send: (to, ballot) => this.#exchange.sendRing(to, this.#nowMs, ballot),
        onRingChanged: () => this.#ringChanged(this.#nowMs),
        onSure: () => this.#requests.retry(this.#nowMs),
      },
    );
    const isHeld = (): boolean => this.#standing.held !== null;
    this.#election = this.#makeElection();
    this.#requests = new Requests({
      holdings,
      peers,
      outbox,
      random: modules.random,
      onRingNeeded: () => this.#election.start(),
      isHeld,
      onUsed: (ident) => this.#workloads.lives(ident),
      isDead: (ident) => this.#workloads.isDead(ident),
      count,
    });
    this.#exchange = new Exchange(localPeer, {
      peers,
      holdings,
      election: this.#election,
      requests: this.#requests,
      outbox,
      onRingChanged: (nowMs) => this.#ringChanged(nowMs),
      onBallot: (from, ballot, nowMs) => this.#standing.handleBallot(from, ballot, nowMs),
      isHeld,
      count,
    });
  }

  start(
    snapshot: IpamSnapshot | null,
    preClaims: readonly PreClaim[],
    nowMs: number,
  ): RestoreOutcome {
    assert(this.#tickAtMs === null, 'an allocator is started once');
    this.#nowMs = nowMs;
    this.#tickAtMs = nowMs + TICK_MS;
    const { localPeer, init, universe } = this.#options;
    const outcome = restoreSnapshot(snapshot, localPeer, rangeOf(universe), this.#holdings);
    if (snapshot !== null && outcome === 'restored') {
      this.#uid = BigInt(snapshot.uid);
      this.#peers.learnReclaim(snapshot.reclaimAfterMs);
    }
    this.#election.begin(this.#uid, outcome === 'restored' ? (snapshot?.vote ?? null) : null);
    const restored = !this.#holdings.ring.isEmpty;
    if (restored) this.#election.end();
    else if (init.mode === 'seed' && init.peers.length > 0) this.#createRing(init.peers);
    this.#standing.start(restored, nowMs);
    for (const { ident, cidr, watched } of preClaims) {
      this.#holdings.adopt(ident ?? ANONYMOUS_IDENT, cidr, watched);
    }
    if (preClaims.length > 0) this.#outbox.save();
    this.handlePeersChanged(nowMs);
    return outcome;
  }

  allocate(request: AllocateRequest, nowMs: number): RequestId {
    const subnet = request.subnet ?? this.#options.defaultSubnet;
    const what = `Allocate request for ${request.ident}`;
    return this.#request(what, nowMs, (id) =>
      this.#requests.allocate(id, { ...request, subnet }, nowMs),
    );
  }

  claim(request: ClaimRequest, nowMs: number): RequestId {
    const what = `Claim request for ${request.ident}`;
    return this.#request(what, nowMs, (id) => this.#requests.claim(id, request, nowMs));
  }

  prime(nowMs: number): RequestId {
    return this.#request('Prime request', nowMs, (id) => this.#requests.prime(id));
  }

  takeOver(peer: string, force: boolean, nowMs: number): RequestId {
    this.handlePeersChanged(nowMs);
    return this.#request('Take-over', nowMs, (id) =>
      this.#standing.takeOver(peer, id, force, nowMs),
    );
  }

  cancel(id: RequestId, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#requests.cancel(id);
  }

  free(ident: string, address: Ipv4, nowMs: number): void {
    const key = ident === ANONYMOUS_IDENT ? formatIpv4(address) : ident;
    if (!this.#holdings.release(key, address)) {
      const text = `Free: address ${formatIpv4(address)} not found for ${ident}`;
      throw new RequestError('ipam-not-found', text);
    }
    this.#released(nowMs);
  }

  freeAll(ident: string, nowMs: number): void {
    if (this.#holdings.owned.cidrsOf(ident).length === 0) {
      throw new RequestError('ipam-not-found', `Delete: no addresses for ${ident}`);
    }
    this.#releaseAll(ident);
    this.#released(nowMs);
  }

  lookup(ident: string, subnet: Cidr | null): readonly Cidr[] {
    const range = hostRangeOf(subnet ?? this.#options.defaultSubnet);
    return this.#holdings.owned.cidrsOf(ident).filter(({ address }) => contains(range, address));
  }

  list(): readonly OwnedAddresses[] {
    return this.#holdings.owned.list();
  }

  workloadDied(ident: string, nowMs: number): void {
    if (this.#workloads.died(ident, nowMs)) this.#requests.cancelOf(ident);
  }

  workloadStarted(ident: string, _nowMs: number): void {
    this.#workloads.lives(ident);
  }

  workloadGone(ident: string, nowMs: number): void {
    this.#requests.cancelOf(ident);
    if (!this.#holdings.owned.isWatched(ident)) return;
    this.#releaseAll(ident);
    this.#released(nowMs);
  }

  reconcileWorkloads(living: ReadonlySet<string>, nowMs: number): void {
    const { owned } = this.#holdings;
    const gone = [...owned.idents()].filter((id) => owned.isWatched(id) && !living.has(id));
    for (const ident of gone) this.workloadGone(ident, nowMs);
  }

  leave(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#leaving = true;
    this.#requests.cancelAll();
    this.#standing.leave();
  }

  handlePeersChanged(nowMs: number): void {
    this.#nowMs = nowMs;
    const owners = this.#holdings.ring.owners();
    this.#exchange.meet(this.#peers.refresh(owners, nowMs));
    this.#peers.prune(owners);
    this.#standing.update(nowMs);
  }

  onGossip(payload: Uint8Array, sender: PeerName, nowMs: number): GossipData | null {
    this.#nowMs = nowMs;
    this.#exchange.handleGossip(payload, sender, nowMs);
    this.#finish(nowMs);
    return null;
  }

  onGossipBroadcast(payload: Uint8Array, source: PeerName, nowMs: number): GossipData | null {
    this.#nowMs = nowMs;
    this.#exchange.handleBroadcast(payload, source, nowMs);
    this.#finish(nowMs);
    return this.#news;
  }

  onGossipUnicast(payload: Uint8Array, source: PeerName, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#exchange.handleUnicast(payload, source, nowMs);
    this.#finish(nowMs);
  }

  completeState(): GossipData {
    return this.#news;
  }

  handleTimeout(nowMs: number): void {
    if (this.#tickAtMs === null) return;
    this.#nowMs = nowMs;
    this.#requests.handleTimeout(nowMs);
    this.#election.handleTimeout(nowMs);
    if (nowMs < this.#tickAtMs) return;
    this.#tickAtMs = nowMs + TICK_MS;
    this.handlePeersChanged(nowMs);
    const { ring, conflicts } = this.#holdings;
    conflicts.expire(nowMs);
    if (this.#election.awaiting) this.#election.repeat();
    this.#requests.handleTick(nowMs);
    for (const ident of this.#workloads.takeExpired(nowMs)) {
      if (this.#holdings.owned.cidrsOf(ident).length === 0) continue;
      this.#releaseAll(ident);
      this.#released(nowMs);
    }
    this.#standing.handleTick(nowMs);
    if (!ring.isEmpty) this.#exchange.handleTick(nowMs);
    this.#finish(nowMs);
  }

  nextTimeout(): Timeout | null {
    if (this.#tickAtMs === null) return null;
    return this.#requests.nextTimeout(Math.min(this.#tickAtMs, this.#election.nextRepeatMs));
  }

  pollAction(): IpamAction | null {
    return this.#outbox.poll();
  }

  status(nowMs: number): IpamStatus {
    return buildStatus(this.#statusParts(), nowMs);
  }

  gauges(): IpamGauges {
    return buildGauges(this.#statusParts());
  }

  explain(nowMs: number): readonly string[] {
    return explain(this.#statusParts(), this.status(nowMs), nowMs);
  }

  #snapshot(): IpamSnapshot {
    return takeSnapshot({
      localPeer: this.#options.localPeer,
      uid: this.#uid,
      holdings: this.#holdings,
      vote: this.#election.votes,
      reclaimAfterMs: this.#options.reclaimAfterMs,
    });
  }

  #statusParts(): StatusParts {
    return {
      options: this.#options,
      peers: this.#peers,
      holdings: this.#holdings,
      requests: this.#requests,
      election: this.#election,
      held: this.#standing.held,
    };
  }

  #request(what: string, nowMs: number, run: (id: RequestId) => void): RequestId {
    this.#nowMs = nowMs;
    const id = this.#nextId++;
    if (this.#leaving) this.#complete(id, 'ipam-leaving', `${what} cancelled`);
    else if (this.#requests.isFull) {
      this.#complete(id, 'ipam-too-many-requests', `${what}: too many requests wait already`);
    } else run(id);
    this.#finish(nowMs);
    return id;
  }

  #complete(id: RequestId, code: string, text: string): void {
    this.#outbox.complete(id, { status: 'failed', code, text });
  }

  #makeElection(): Election {
    const { localPeer, init } = this.#options;
    return new Election(
      { localPeer, init },
      {
        targetCount: () => this.#peers.targetCount(),
        onClaims: () => {
          this.#outbox.save();
          this.#outbox.broadcast();
        },
        onAsk: () => this.#outbox.broadcast(),
        nowMs: () => this.#nowMs,
        onAgreed: (peers) => this.#createRing(peers),
        onGuess: (quorum) => this.#outbox.log('info', 'assuming quorum', { quorum }),
      },
    );
  }

  #createRing(peers: readonly PeerName[]): void {
    this.#holdings.ring.divide(peers);
    this.#holdings.followRing();
    this.#ringChanged(this.#nowMs);
    this.#outbox.broadcast();
  }

  #ringChanged(nowMs: number): void {
    this.#election.end();
    this.#outbox.save();
    const owners = this.#holdings.ring.owners();
    this.#peers.refresh(owners, nowMs);
    this.#peers.prune(owners);
    this.#standing.update(nowMs);
    this.#requests.retry(nowMs);
  }

  #releaseAll(ident: string): void {
    this.#workloads.lives(ident);
    for (const { address } of [...this.#holdings.owned.cidrsOf(ident)]) {
      this.#holdings.release(ident, address);
    }
  }

  /** Addresses became free: somebody may be waiting for one. */
  #released(nowMs: number): void {
    this.#nowMs = nowMs;
    this.#outbox.save();
    this.#requests.retry(nowMs);
    this.#finish(nowMs);
  }

  #finish(nowMs: number): void {
    this.#standing.update(nowMs);
    if (!this.#leaving && this.#holdings.reportFree(nowMs)) this.#outbox.save();
  }
}
