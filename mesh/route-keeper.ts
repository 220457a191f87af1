/**
 * Keeps the routing tables current. Changes of the topology come in bursts, so tables are
 * recalculated some time after the first change (reference/wire-protocol.md 7). Gossip that must
 * be relayed does not wait for that: it asks for fresh tables, which are made then and there.
 */
import type { Clock, Timeout } from '../core/clock.js';
import type { PeerName } from '../core/peer-name.js';
import type { Random } from '../core/random.js';
import type { GossipRoutes } from './gossip.js';
import type { ForwardingTables } from './overlay.js';
import { computeRoutes, type Routes, type TopologyView } from './routes.js';

export const RECALCULATION_DELAY_MS = 100;
/** Least time between recalculations on demand: storms of gossip must not fill the processor. */
export const MIN_RECALCULATION_GAP_MS = 25;
/**
 * Steps of a recalculation (`Routes.cost`) that buy a millisecond of pause after it: of a topology
 * with a million links, which takes a third of a second, new tables come once a second.
 */
const COST_PER_PAUSE_MS = 2_000;
/** The same by the time it took, as a busy or slow machine may take longer than its steps tell. */
const PAUSE_PER_WORK = 3;
/**
 * What finding the way of broadcasts of ever new sources may take: milliseconds at once, and the
 * share of a processor that they grow again by.
 */
const WALK_STOCK_MS = 250;
const WALK_SHARE = 0.1;
/** Without a clock a walk counts by the links of the topology. A slow processor does so many. */
const WALK_LINKS_PER_MS = 20_000;

export interface RouteKeeperModules {
  readonly topology: TopologyView;
  readonly random: Random;
  /** Charges work what it really took; estimates stand in for it unless given. */
  readonly clock?: Clock | undefined;
  /** New tables for the data path. */
  readonly onRecalculated: (tables: ForwardingTables) => void;
}

export class RouteKeeper {
  readonly #localPeer: PeerName;
  readonly #modules: RouteKeeperModules;
  #routes: Routes;
  #dueMs: number | null = null;
  #lastMs = Number.NEGATIVE_INFINITY;
  #recalculations = 0;
  /** Of the last recalculation; 0 without a clock. */
  #tookMs = 0;
  /** May be in debt by what the last walk took. */
  #walkStockMs = WALK_STOCK_MS;
  #walkStockAtMs = Number.NEGATIVE_INFINITY;
  #walksRefused = 0;

  constructor(options: { readonly localPeer: PeerName }, modules: RouteKeeperModules) {
    this.#localPeer = options.localPeer;
    this.#modules = modules;
    this.#routes = computeRoutes(modules.topology, options.localPeer);
  }

  /** As calculated last. */
  get routes(): Routes {
    return this.#routes;
  }

  get recalculations(): number {
    return this.#recalculations;
  }

  /** Broadcasts not passed on because finding their way would have cost too much at once. */
  get walksRefused(): number {
    return this.#walksRefused;
  }

  /** The topology changed. */
  request(nowMs: number): void {
    this.#dueMs ??= Math.max(nowMs + RECALCULATION_DELAY_MS, this.#lastMs + this.#gapMs());
  }

  /** Tables that include all changes; null if those would cost too much right now. */
  current(nowMs: number): Routes | null {
    if (this.#dueMs === null) return this.#routes;
    if (nowMs - this.#lastMs < this.#gapMs()) return null;
    this.#recalculate(nowMs);
    return this.#routes;
  }

  /** For gossip: as current as the pause between recalculations allows. */
  forGossip(nowMs: number): GossipRoutes {
    if (nowMs - this.#lastMs >= MIN_RECALCULATION_GAP_MS) this.current(nowMs);
    const routes = this.#routes;
    return {
      unicastHop: (destination) => routes.unicastAll.get(destination),
      broadcastHops: (source) => this.#broadcastHops(source, nowMs),
      randomNeighbours: (exclude) => routes.randomNeighbours(exclude, this.#modules.random),
    };
  }

  handleTimeout(nowMs: number): void {
    if (this.#dueMs !== null && nowMs >= this.#dueMs) this.#recalculate(nowMs);
  }

  nextTimeout(): Timeout | null {
    return this.#dueMs === null ? null : { atMs: this.#dueMs, reason: 'route recalculation' };
  }

  /** Each new source costs a walk through the topology, and a peer may name thousands. */
  #broadcastHops(source: PeerName, nowMs: number): readonly PeerName[] {
    const routes = this.#routes;
    if (routes.knowsBroadcastAll(source)) return routes.broadcastAll(source);
    const filled = this.#walkStockMs + (nowMs - this.#walkStockAtMs) * WALK_SHARE;
    this.#walkStockMs = Math.min(WALK_STOCK_MS, filled);
    this.#walkStockAtMs = nowMs;
    if (this.#walkStockMs <= 0) {
      this.#walksRefused++;
      return [];
    }
    const { clock } = this.#modules;
    const startedMs = clock?.nowMs() ?? 0;
    const hops = routes.broadcastAll(source);
    const tookMs = clock ? clock.nowMs() - startedMs : routes.linkCount / WALK_LINKS_PER_MS;
    this.#walkStockMs -= tookMs;
    return hops;
  }

  #gapMs(): number {
    const estimateMs = Math.floor(this.#routes.cost / COST_PER_PAUSE_MS);
    // What little work took says more about the machine than about the work.
    if (estimateMs < MIN_RECALCULATION_GAP_MS) return estimateMs;
    return Math.max(estimateMs, Math.ceil(this.#tookMs * PAUSE_PER_WORK));
  }

  #recalculate(nowMs: number): void {
    const { topology, onRecalculated, clock } = this.#modules;
    const startedMs = clock?.nowMs() ?? 0;
    this.#dueMs = null;
    this.#lastMs = nowMs;
    this.#recalculations++;
    this.#routes = computeRoutes(topology, this.#localPeer);
    onRecalculated({
      peers: new Set(topology.peers.keys()),
      unicast: this.#routes.unicast,
      broadcast: this.#routes.broadcast,
    });
    this.#tookMs = clock ? clock.nowMs() - startedMs : 0;
  }
}
