/**
 * The four routing tables of one topology: unicast and broadcast, each over links that both ends
 * have established ("strict", for data frames) and over all listed links ("all", for gossip).
 * Every router computes its own tables; that all use the same order of names makes a broadcast
 * reach every peer exactly once. Source: reference/wire-protocol.md 7.
 */
import type { PeerName } from '../core/peer-name.js';
import type { Random } from '../core/random.js';

/** The part of a topology entry that routing reads. */
export interface RoutedPeer {
  readonly connections: ReadonlyMap<
    PeerName,
    { readonly remotePeer: PeerName; readonly established: boolean }
  >;
}

/** What `computeRoutes` reads. The result does not refer to it afterwards. */
export interface TopologyView {
  readonly peers: ReadonlyMap<PeerName, RoutedPeer>;
}

/**
 * Neighbour lists of peers numbered in the order of their names, so that comparing indexes
 * compares names. The list of peer i is `targets[starts[i]] … targets[starts[i + 1] - 1]`.
 */
interface Graph {
  readonly starts: Int32Array;
  readonly targets: Int32Array;
}

const UNREACHED = -1;

export function computeRoutes(view: TopologyView, self: PeerName): Routes {
  return new Routes(view, self);
}

/** Immutable, except that broadcast-all routes and weights are computed when first asked for. */
export class Routes {
  /** Strict: destination → next hop. No entry for ourselves. */
  readonly unicast: ReadonlyMap<PeerName, PeerName>;
  /** All links: destination → next hop. No entry for ourselves. */
  readonly unicastAll: ReadonlyMap<PeerName, PeerName>;
  /** Strict: original source → neighbours to pass it to. An entry for every known peer. */
  readonly broadcast: ReadonlyMap<PeerName, readonly PeerName[]>;
  readonly #names: readonly PeerName[];
  readonly #indexOf: ReadonlyMap<PeerName, number>;
  readonly #self: number;
  readonly #all: Graph;
  /**
   * Steps that making these tables took, roughly; some 7000 take a millisecond. It grows with the
   * links of the topology and with peers times our own neighbours.
   */
  readonly cost: number;
  /** BOUNDED by the number of known peers: unknown sources are not remembered. */
  readonly #broadcastAll = new Map<PeerName, readonly PeerName[]>();
  #weighted: { readonly names: readonly PeerName[]; readonly weights: Int32Array } | null = null;

  constructor(view: TopologyView, self: PeerName) {
    const names = [...view.peers.keys()].sort((a, b) => a - b);
    const indexOf = new Map(names.map((name, index) => [name, index]));
    this.#names = names;
    this.#indexOf = indexOf;
    this.#self = indexOf.get(self) ?? UNREACHED;
    const { all, strict } = buildGraphs(view, names, indexOf);
    this.#all = all;
    this.unicast = this.#unicastTable(strict);
    this.unicastAll = this.#unicastTable(this.#all);
    this.broadcast = this.#strictBroadcastTable(strict);
    const neighbours = this.#neighbours(strict).length;
    this.cost = all.targets.length + (names.length * neighbours) / 2;
  }

  /** Links between known peers: what `broadcastAll` may have to walk over. */
  get linkCount(): number {
    return this.#all.targets.length;
  }

  /** `broadcastAll` has its answer at hand. */
  knowsBroadcastAll(source: PeerName): boolean {
    return this.#broadcastAll.has(source) || !this.#indexOf.has(source);
  }

  /** All links: neighbours that get a broadcast of `source` from us. Unknown source: none. */
  broadcastAll(source: PeerName): readonly PeerName[] {
    const known = this.#broadcastAll.get(source);
    if (known !== undefined) return known;
    const start = this.#indexOf.get(source);
    if (start === undefined || this.#self === UNREACHED) return [];
    const { met, firstHop } = walk(this.#all, this.#names.length, start, this.#self);
    const hops = met ? this.#neighbours(this.#all).filter((r) => firstHop[r] === UNREACHED) : [];
    const names = hops.map((index) => this.#names[index] as PeerName);
    this.#broadcastAll.set(source, names);
    return names;
  }

  /** How many neighbours `randomNeighbours` picks. */
  randomNeighbourCount(except: PeerName | null): number {
    const { names } = this.#weightedNeighbours();
    return this.#needed(names.length - (except !== null && names.includes(except) ? 1 : 0));
  }

  /**
   * Distinct neighbours to gossip to, each draw weighted by how many destinations lie behind.
   * @param except the neighbour the news came from; null for news of our own.
   */
  randomNeighbours(except: PeerName | null, random: Random): PeerName[] {
    const { names, weights } = this.#weightedNeighbours();
    const left = weights.slice();
    if (except !== null && names.includes(except)) left[names.indexOf(except)] = 0;
    const needed = this.randomNeighbourCount(except);
    let total = left.reduce((sum, weight) => sum + weight, 0);
    const picked: PeerName[] = [];
    while (picked.length < needed) {
      let rest = Math.floor(random.float() * total);
      let at = 0;
      while (rest >= (left[at] as number)) rest -= left[at++] as number;
      picked.push(names[at] as PeerName);
      total -= left[at] as number;
      left[at] = 0;
    }
    return picked;
  }

  #needed(candidates: number): number {
    return Math.floor(Math.min(2 * Math.log2(this.unicastAll.size + 1), candidates));
  }

  /** Neighbours that are a first hop, and to how many destinations each. */
  #weightedNeighbours(): { readonly names: readonly PeerName[]; readonly weights: Int32Array } {
    if (this.#weighted === null) {
      const counts = new Map<PeerName, number>();
      for (const hop of this.unicastAll.values()) counts.set(hop, (counts.get(hop) ?? 0) + 1);
      this.#weighted = { names: [...counts.keys()], weights: Int32Array.from(counts.values()) };
    }
    return this.#weighted;
  }

  #neighbours(graph: Graph): number[] {
    if (this.#self === UNREACHED) return [];
    const { starts, targets } = graph;
    return [...targets.subarray(starts[this.#self], starts[this.#self + 1])];
  }

  #unicastTable(graph: Graph): ReadonlyMap<PeerName, PeerName> {
    const table = new Map<PeerName, PeerName>();
    if (this.#self === UNREACHED) return table;
    const { firstHop } = walk(graph, this.#names.length, this.#self, UNREACHED);
    for (const [index, name] of this.#names.entries()) {
      const hop = firstHop[index] as number;
      if (hop === UNREACHED || index === this.#self) continue;
      table.set(name, this.#names[hop] as PeerName);
    }
    return table;
  }

  /**
   * The strict table for all sources at once. Section 7.3 walks from each source S up to our own
   * level d = dist(S, self) and then passes the frame to those neighbours r that the walk has not
   * met. Strict links are symmetric, so distances can be measured from our side instead, with two
   * searches per neighbour rather than one walk per source. r has been met exactly if
   *  - dist(r, S) ≤ d: it is on our level or nearer, or
   *  - it hangs on a peer of our level that comes before us by name, that is, some neighbour p of
   *    r with p < self has dist(p, S) ≤ d. Since dist(r, S) = d + 1 then, no such p is nearer.
   */
  #strictBroadcastTable(graph: Graph): ReadonlyMap<PeerName, readonly PeerName[]> {
    const count = this.#names.length;
    const hops = this.#names.map((): PeerName[] => []);
    if (this.#self !== UNREACHED) {
      const search = new DistanceSearch(graph, count);
      const own = search.run([this.#self], new Int32Array(count));
      const direct = new Int32Array(count);
      const viaLower = new Int32Array(count);
      for (const neighbour of this.#neighbours(graph)) {
        const lower = lowerNeighbours(graph, neighbour, this.#self);
        search.run([neighbour], direct);
        search.run(lower, viaLower);
        const name = this.#names[neighbour] as PeerName;
        for (let source = 0; source < count; source++) {
          const distance = own[source] as number;
          if (distance === UNREACHED || (direct[source] as number) <= distance) continue;
          const lowerDistance = viaLower[source] as number;
          if (lowerDistance !== UNREACHED && lowerDistance <= distance) continue;
          (hops[source] as PeerName[]).push(name);
        }
      }
    }
    return new Map(this.#names.map((name, index) => [name, hops[index] as PeerName[]]));
  }
}

/** Reads the view once and makes both graphs of it. */
function buildGraphs(
  view: TopologyView,
  names: readonly PeerName[],
  indexOf: ReadonlyMap<PeerName, number>,
): { readonly all: Graph; readonly strict: Graph } {
  const count = names.length;
  const starts = new Int32Array(count + 1);
  const targets: number[] = [];
  // Bit from · count + to: `from` calls its link to `to` established. 12 MB for 10,000 peers.
  const established = new Uint32Array(Math.ceil((count * count) / 32));
  for (let index = 0; index < count; index++) {
    const { connections } = view.peers.get(names[index] as PeerName) as RoutedPeer;
    for (const link of connections.values()) {
      const target = indexOf.get(link.remotePeer);
      if (target === undefined || target === index) continue;
      targets.push(target);
      if (link.established) setBit(established, index * count + target);
    }
    starts[index + 1] = targets.length;
  }
  const strictStarts = new Int32Array(count + 1);
  const strictTargets: number[] = [];
  for (let index = 0; index < count; index++) {
    const end = starts[index + 1] as number;
    for (let edge = starts[index] as number; edge < end; edge++) {
      const target = targets[edge] as number;
      const there = hasBit(established, index * count + target);
      if (there && hasBit(established, target * count + index)) strictTargets.push(target);
    }
    strictStarts[index + 1] = strictTargets.length;
  }
  return {
    all: { starts, targets: Int32Array.from(targets) },
    strict: { starts: strictStarts, targets: Int32Array.from(strictTargets) },
  };
}

function setBit(bits: Uint32Array, at: number): void {
  const word = Math.floor(at / 32);
  bits[word] = (bits[word] as number) | (1 << (at % 32));
}

function hasBit(bits: Uint32Array, at: number): boolean {
  return (((bits[Math.floor(at / 32)] as number) >>> (at % 32)) & 1) === 1;
}

/**
 * The reachability walk of 7.1: level by level, each in the order of names, so that the first hop
 * to a peer comes from the lowest-named peer of the level before. Ends early on reaching `stop`.
 * @returns firstHop[i]: neighbour of `start` that leads to i; `start` itself for `start`.
 */
function walk(
  graph: Graph,
  count: number,
  start: number,
  stop: number,
): { readonly met: boolean; readonly firstHop: Int32Array } {
  const { starts, targets } = graph;
  const firstHop = new Int32Array(count).fill(UNREACHED);
  const queue = new Int32Array(count);
  firstHop[start] = start;
  queue[0] = start;
  let levelStart = 0;
  let levelEnd = 1;
  while (levelStart < levelEnd) {
    queue.subarray(levelStart, levelEnd).sort();
    let length = levelEnd;
    for (let at = levelStart; at < levelEnd; at++) {
      const current = queue[at] as number;
      if (current === stop) return { met: true, firstHop };
      const end = starts[current + 1] as number;
      for (let edge = starts[current] as number; edge < end; edge++) {
        const target = targets[edge] as number;
        if (firstHop[target] !== UNREACHED) continue;
        firstHop[target] = current === start ? target : (firstHop[current] as number);
        queue[length++] = target;
      }
    }
    levelStart = levelEnd;
    levelEnd = length;
  }
  return { met: false, firstHop };
}

/** Breadth-first distances from a set of peers, with buffers kept between runs. */
class DistanceSearch {
  readonly #graph: Graph;
  readonly #count: number;
  readonly #queue: Int32Array;

  constructor(graph: Graph, count: number) {
    this.#graph = graph;
    this.#count = count;
    this.#queue = new Int32Array(count);
  }

  /** @param out receives the distances, UNREACHED where there is no path. @returns `out`. */
  run(from: readonly number[], out: Int32Array): Int32Array {
    const { starts, targets } = this.#graph;
    const queue = this.#queue;
    out.fill(UNREACHED);
    let length = 0;
    for (const index of from) {
      out[index] = 0;
      queue[length++] = index;
    }
    // In dense graphs everything is met within the first lists: no need to read all the others.
    for (let at = 0; at < length && length < this.#count; at++) {
      const current = queue[at] as number;
      const distance = (out[current] as number) + 1;
      const end = starts[current + 1] as number;
      for (let edge = starts[current] as number; edge < end; edge++) {
        const target = targets[edge] as number;
        if (out[target] !== UNREACHED) continue;
        out[target] = distance;
        queue[length++] = target;
      }
    }
    return out;
  }
}

/** The neighbours of `peer` whose names come before that of `limit`. */
function lowerNeighbours(graph: Graph, peer: number, limit: number): number[] {
  const { starts, targets } = graph;
  const lower: number[] = [];
  for (let edge = starts[peer] as number; edge < (starts[peer + 1] as number); edge++) {
    const target = targets[edge] as number;
    if (target < limit) lower.push(target);
  }
  return lower;
}
