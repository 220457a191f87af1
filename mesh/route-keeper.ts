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

  /** The topology changed. */
  request(nowMs: number): void {
    this.#dueMs ??= nowMs + RECALCULATION_DELAY_MS;
  }

  /** Tables that include all changes. */
  current(nowMs: number): Routes {
    if (this.#dueMs !== null) this.#recalculate(nowMs);
    return this.#routes;
  }

  /** For gossip: at most MIN_RECALCULATION_GAP_MS behind the topology. */
  forGossip(nowMs: number): GossipRoutes {
    if (nowMs - this.#lastMs >= MIN_RECALCULATION_GAP_MS) this.current(nowMs);
    const routes = this.#routes;
    return {
      unicastHop: (destination) => routes.unicastAll.get(destination),
      broadcastHops: (source) => routes.broadcastAll(source),
      randomNeighbours: (exclude) => routes.randomNeighbours(exclude, this.#modules.random),
    };
  }

  handleTimeout(nowMs: number): void {
    if (this.#dueMs !== null && nowMs >= this.#dueMs) this.#recalculate(nowMs);
  }

  nextTimeout(): Timeout | null {
    return this.#dueMs === null ? null : { atMs: this.#dueMs, reason: 'route recalculation' };
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
