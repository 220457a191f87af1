/**
 * Keeps the routing tables current. Changes of the topology come in bursts, so tables are
 * recalculated some time after the first change (reference/wire-protocol.md 7). Gossip that must
 * be relayed does not wait for that: it asks for fresh tables, which are made then and there.
 */
import type { Timeout } from '../core/clock.js';
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
/** Links walked over for broadcasts of ever new sources: a stock of them, and how it fills up. */
const WALK_STOCK = 40_000_000;
const WALK_LINKS_PER_MS = 100_000;

export interface RouteKeeperModules {
  readonly topology: TopologyView;
  readonly random: Random;
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
  #walkStock = WALK_STOCK;
  #walkStockMs = Number.NEGATIVE_INFINITY;
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
      broadcastHops: (source) => (this.#mayWalk(source, nowMs) ? routes.broadcastAll(source) : []),
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
  #mayWalk(source: PeerName, nowMs: number): boolean {
    const routes = this.#routes;
    if (routes.knowsBroadcastAll(source)) return true;
    const filled = this.#walkStock + (nowMs - this.#walkStockMs) * WALK_LINKS_PER_MS;
    this.#walkStock = Math.min(WALK_STOCK, filled);
    this.#walkStockMs = nowMs;
    if (this.#walkStock < routes.linkCount) {
      this.#walksRefused++;
      return false;
    }
    this.#walkStock -= routes.linkCount;
    return true;
  }

  #gapMs(): number {
    return Math.floor(this.#routes.cost / COST_PER_PAUSE_MS);
  }

  #recalculate(nowMs: number): void {
    const { topology, onRecalculated } = this.#modules;
    this.#dueMs = null;
    this.#lastMs = nowMs;
    this.#recalculations++;
    this.#routes = computeRoutes(topology, this.#localPeer);
    onRecalculated({
      peers: new Set(topology.peers.keys()),
      unicast: this.#routes.unicast,
      broadcast: this.#routes.broadcast,
    });
  }
}
